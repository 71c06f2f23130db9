"""What is right and could be better: told only of a file without errors, and no scolding.

Looks across all that a load has read; a single value is judged in ``rules``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dod.config.addresses import in_clear, public_without_tls
from dod.config.credentials import looks_secret
from dod.config.nodes import Entry, Mapping, Node, Scalar
from dod.config.problems import Report, shorten
from dod.config.schema import properties
from dod.config.secretnames import secret_name, slug_of
from dod.config.secretsfile import Secrets, into
from dod.config.source import Place, Remark
from dod.config.spec import BotSpec

_NAMED = 5  # entries of secrets.yaml told by name
_CARD = ("dingtalk_ai_card_template_id", "dingtalk_ai_card_content_key", "card_updates")


@dataclass(frozen=True, slots=True)
class Whole:
    """One file as it was read: ``bots`` as written, without what lies under them."""

    top: Mapping
    defaults: Mapping | None
    bots: tuple[Mapping, ...]
    specs: tuple[BotSpec, ...]
    secrets: Secrets


def advise(whole: Whole, report: Report) -> None:
    """Tell ``report`` what could be better."""
    for mapping in (whole.defaults, *whole.bots):
        entry = mapping.entries.get("dify_api_url") if mapping else None
        if entry and public_without_tls(_text(entry.node)):
            report.warn(entry.node.place, in_clear("dify_api_url"))
    # A made-up word, as in the demo, gives nothing away.
    clear = list(_secrets_in(whole, lambda it: not it.written and looks_secret(it.text.strip())))
    if clear:
        report.advise(clear[0].node.place, _to_be_moved(clear, whole.secrets))
    tagged = any(True for _ in _secrets_in(whole, lambda it: it.written.startswith("!secret")))
    if (clear or tagged) and (unused := whole.secrets.unused):
        report.advise(unused[0][1], unused_secrets([name for name, _ in unused]))
    for place, remark in _idle_defaults(whole):
        report.advise(place, remark)


@dataclass(frozen=True, slots=True)
class _Secret:
    """A secret value: of which bot (a word for it), under which key."""

    whose: str
    key: str
    node: Scalar


def _secrets_in(whole: Whole, wanted: Callable[[Scalar], bool]) -> Iterator[_Secret]:
    keys = [key for key, rule in properties("bot").items() if rule.get("writeOnly")]
    places = [
        (it, slug_of(_said(it, "name"), number), keys) for number, it in enumerate(whole.bots, 1)
    ]
    web = whole.top.entries.get("web")
    if web and isinstance(web.node, Mapping):
        places.append((web.node, "web", ["password"]))
    for mapping, whose, secret in places:
        for key in secret:
            entry = mapping.entries.get(key)
            node = entry.node if entry else None
            if isinstance(node, Scalar) and _text(node) and wanted(node):
                yield _Secret(whose, key, node)


def _to_be_moved(clear: Sequence[_Secret], secrets: Secrets) -> Remark:
    """The advice for secrets in clear, with the first of them as the example."""
    first = clear[0]
    places = [it.node.place for it in clear]
    if name := secrets.holding(_text(first.node)):
        return secrets_in_clear(first.key, places, name, "")
    name = secrets.free_name(secret_name(first.whose, first.key))
    return secrets_in_clear(first.key, places, name, into(name, absent=secrets.absent))


def _idle_defaults(whole: Whole) -> Iterator[tuple[Place, Remark]]:
    """Defaults that no bot takes, or that nothing reads in those that do."""
    if not whole.defaults or not whole.bots or len(whole.specs) != len(whole.bots):
        return
    both = list(zip(whole.bots, whole.specs, strict=True))
    for key, entry in whole.defaults.entries.items():
        heirs = [spec for bot, spec in both if not _covers(bot.entries.get(key), entry)]
        if not heirs:
            yield entry.key, idle(key)
        elif key in _CARD and all(it.handler == "DifyMarkdownBotHandler" for it in heirs):
            yield entry.key, cardless(key)
        elif key == "dify_output" and all(it.dify_app_type != "workflow" for it in heirs):
            yield entry.key, NO_WORKFLOW


def _covers(over: Entry | None, under: Entry) -> bool:
    """Whether a bot's own entry leaves nothing of the default."""
    if not over:
        return False
    if isinstance(over.node, Mapping) and isinstance(under.node, Mapping):
        return set(under.node.entries) <= set(over.node.entries)
    return True


def _said(mapping: Mapping, key: str) -> str:
    entry = mapping.entries.get(key)
    return _text(entry.node) if entry else ""


def _text(node: Node) -> str:
    value = node.value if isinstance(node, Scalar) else None
    return value if isinstance(value, str) else ""


# -- the sentences
def _lines(places: Sequence[Place]) -> str:
    lines = list(dict.fromkeys(place.line for place in places))
    return ", ".join(map(str, lines[:_NAMED])) + (" …" if len(lines) > _NAMED else "")


def secrets_in_clear(key: str, places: Sequence[Place], name: str, into: str) -> Remark:
    """``name``: of the entry for the first; ``into``: how to write it, empty if it is there."""
    lines = _lines(places)
    plural = "lines" if "," in lines else "line"
    line = f'{name}: "…"'
    first = f"put the line {line} into secrets.yaml first, then write" if into else "write"
    return Remark(
        f"密钥直接写在文件里（第 {lines} 行），这样可以用。放进 secrets.yaml 更好："
        f"{f'先在 secrets.yaml 里写一行 {line}，再把' if into else '把'}这里改成 !secret {name}；"
        "以后把这个文件发给别人时，密钥就不会一起发出去。",
        f"Secrets stand in this file ({plural} {lines}), which works. Better in secrets.yaml: "
        f"{first} !secret {name} here; then this file can be shown to others.",
        f"{into} → {key}: !secret {name}" if into else f"{key}: !secret {name}",
        prose=True,
    )


def unused_secrets(names: Sequence[str]) -> Remark:
    listed = [shorten(name) for name in names[:_NAMED]]
    more = len(names) > _NAMED
    return Remark(
        f"secrets.yaml 里没有用到：{'、'.join(listed)}{' 等' if more else ''}。不需要就删掉。",
        f"Not used by any bot: {', '.join(listed)}{' …' if more else ''}. Delete what is not "
        "needed.",
    )


def idle(key: str) -> Remark:
    return Remark(
        f"defaults 里的 “{key}” 不起作用：每个机器人都自己写了它。",
        f"'{key}' in defaults has no effect: every bot says its own.",
    )


def cardless(key: str) -> Remark:
    return Remark(
        f"defaults 里的 “{key}” 不起作用：机器人都用 DifyMarkdownBotHandler，没有卡片。",
        f"'{key}' in defaults has no effect: with DifyMarkdownBotHandler there is no card.",
    )


NO_WORKFLOW = Remark(
    "defaults 里的 “dify_output” 不起作用：没有 workflow 类型的机器人。",
    "'dify_output' in defaults has no effect: no bot is a workflow.",
)
