"""From checked mappings to specs: what a key means that was not written, and who clashes."""

from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any

from dod.config.complaints import slips_in
from dod.config.environment import Environment
from dod.config.nodes import Mapping, Node, Scalar, Sequence, merge
from dod.config.problems import Report
from dod.config.rules import Checked, check
from dod.config.schema import properties, schema
from dod.config.source import Place, Remark
from dod.config.spec import (
    PUBLIC_TEMPLATE_ID,
    Allow,
    BotSpec,
    Config,
    Conversation,
    Limits,
    Show,
    Web,
)

Say = Callable[[str, Place, Place], Remark]


class Tagged(str):
    """A tag left unresolved, as written: ``!secret it_key``. Any other text is no ``Tagged``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of ``bots``. ``spec`` is None when it is not accepted."""

    label: str
    spec: BotSpec | None
    unresolved: Map[str, Any]
    secrets: tuple[str, ...] = ()

    @property
    def client(self) -> str:
        """The client id as written, perhaps a ``Tagged``; empty if there is none."""
        client = self.unresolved.get("dingtalk_app_client_id")
        return client if isinstance(client, str) else ""


def read_bots(
    nodes: tuple[Node, ...],
    defaults: Mapping | None,
    environment: Environment,
    report: Report,
    strays: frozenset[str] = frozenset(),
) -> list[Candidate]:
    """Every bot of the file, in its order; what is wrong goes to ``report``.

    ``strays``: keys that the last bot lacks because they stand below it, outside: told there.
    """
    names: dict[str, Place] = {}
    clients: dict[str, Place] = {}
    candidates = []
    for number, node in enumerate(nodes, 1):
        if not isinstance(node, Mapping):
            _complain_shape(node, report)
            candidates.append(Candidate(f"#{number}", None, {}))
            continue
        whole = merge(defaults, node) if defaults else node
        name = _text(whole, "name")
        label = name if name and name not in names else f"#{number}"
        checked = check(whole, "bot")
        report.mask.learn(*checked.secrets)
        lacks = set(schema()["$defs"]["bot"]["required"]) - whole.entries.keys()
        astray = number == len(nodes) and lacks <= strays
        for finding in checked.findings:
            if astray and finding.remark.cause == "missing":
                continue
            tell = report.warn if finding.warning else report.error
            tell(finding.place, finding.remark, name)
        alone = _alone(whole, "name", names, bot=name, report=report, say=same_name)
        alone &= _alone(
            whole, "dingtalk_app_client_id", clients, bot=name, report=report, say=same_client
        )
        spec = spec_of(checked.value, environment) if checked.sound and alone else None
        candidates.append(Candidate(label, spec, unresolved(whole), checked.secrets))
    return candidates


def _text(node: Mapping, key: str) -> str:
    entry = node.entries.get(key)
    value = entry.node.value if entry and isinstance(entry.node, Scalar) else None
    return value if isinstance(value, str) else ""


def _complain_shape(node: Node, report: Report) -> None:
    if isinstance(node, Scalar) and node.fault:
        report.error(node.place, node.fault)
    else:
        for place, remark in slips_in(node) or [(node.place, NOT_A_BOT)]:
            report.error(place, remark)


def _alone(
    node: Mapping, key: str, seen: dict[str, Place], *, bot: str, report: Report, say: Say
) -> bool:
    """Whether no bot before this one has the same ``key``; bots that are wrong count, too."""
    entry, value = node.entries.get(key), _text(node, key)
    if not entry or not value or value.strip().startswith("<"):
        return True
    if value in seen:
        report.error(entry.node.place, say(value, seen[value], entry.node.place), bot)
        return False
    seen[value] = entry.node.place
    return True


def same_name(name: str, first: Place, place: Place) -> Remark:
    zh, en = _line(first, place)
    return Remark(
        f"机器人名称 “{name}” 写了两次（{zh}和第 {place.line} 行）；名称不能重复。",
        f"Two bots are called '{name}' (here and on {en}); names must differ.",
        f"name: {name}2",
    )


def same_client(client: str, first: Place, place: Place) -> Remark:
    zh, en = _line(first, place)
    return Remark(
        f"dingtalk_app_client_id “{client}” 与{zh}的机器人重复（这里是第 {place.line} 行）；"
        "一个钉钉应用只能有一个机器人。",
        f"dingtalk_app_client_id '{client}' is already used on {en} (and here on line "
        f"{place.line}); a DingTalk app has one bot.",
    )


def _line(first: Place, second: Place) -> tuple[str, str]:
    """Where ``first`` is, for somebody who looks at ``second``."""
    if first.source.file == second.source.file:
        return f"第 {first.line} 行", f"line {first.line}"
    return f" {first.source.file} 第 {first.line} 行", f"line {first.line} of {first.source.file}"


NOT_A_BOT = Remark(
    "bots 的每一项都要是一个机器人：“- name: …”，下面各行与 name 对齐。",
    "Each item of bots must be one bot: '- name: …', with the next lines aligned to name.",
    "- name: …",
)


def spec_of(value: Map[str, Any], environment: Environment) -> BotSpec:
    """The spec of a valid mapping; what it does not say comes from ``environment``."""
    fields = dict(value)
    fields.setdefault("max_workers", environment.default_max_workers)
    fields.setdefault("dify_api_url", environment.dify_api_url)
    template = fields.setdefault("dingtalk_ai_card_template_id", environment.card_template_id)
    fields.setdefault(
        "dingtalk_ai_card_content_key",
        "msgContent" if template == PUBLIC_TEMPLATE_ID else "content",
    )
    inputs = {} if fields["dify_app_type"] == "chatbot" else {"query": "{text}"}
    fields["dify_inputs"] = tuple(fields.get("dify_inputs", inputs).items())
    allow = {key: tuple(ids) for key, ids in fields.get("allow", {}).items()}
    fields["allow"] = Allow(**allow)
    fields["conversation"] = Conversation(**_whole(fields.get("conversation", {})))
    fields["show"] = Show(**fields.get("show", {}))
    fields["limits"] = Limits(**_whole(fields.get("limits", {})))
    return BotSpec(**_whole(fields))


def _whole(fields: Map[str, Any]) -> dict[str, Any]:
    # ``2.0`` is an integer to a schema.
    return {key: int(it) if isinstance(it, float) else it for key, it in fields.items()}


def config_of(top: Checked, bots: tuple[BotSpec, ...]) -> Config:
    """The whole; a top-level key that is wrong keeps its default."""
    fields = {key: it for key, it in top.value.items() if key not in top.bad}
    for key in ("bots", "defaults"):
        fields.pop(key, None)
    if "admins" in fields:
        fields["admins"] = tuple(fields["admins"])
    if "web" in fields:
        fields["web"] = Web(**fields["web"])
    return Config(bots=bots, **_whole(fields))


def usable_defaults(node: Mapping) -> Mapping:
    """``defaults`` without the keys no bot could use; wrong *values* stay and fail their bots."""
    known = properties("defaults")
    return Mapping(node.place, {key: it for key, it in node.entries.items() if key in known})


def unresolved(node: Node) -> Any:
    """``node`` as Python objects, with ``!secret`` and ``!env_var`` as ``Tagged`` text."""
    if isinstance(node, Scalar):
        return Tagged(node.written) if node.written else node.value
    if isinstance(node, Sequence):
        return [unresolved(item) for item in node.items]
    return {key: unresolved(entry.node) for key, entry in node.entries.items()}
