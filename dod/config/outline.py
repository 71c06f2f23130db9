"""The outline of bots.yaml: its outermost mapping, and the shape of bots and defaults."""

from dataclasses import dataclass

from dod.config.bots import usable_defaults
from dod.config.complaints import Finding, slips_in
from dod.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from dod.config.problems import Report, nearest
from dod.config.rules import Checked, check
from dod.config.schema import properties
from dod.config.source import Place, Remark


def hollow(root: Node) -> bool:
    """Whether there is nothing in the file but white space and comments."""
    return isinstance(root, Scalar) and root.value is None and not root.tag


def complain_root(root: Node, report: Report) -> None:
    if isinstance(root, Scalar) and root.fault:
        report.error(root.place, root.fault)
    else:
        for place, remark in slips_in(root) or [(root.place, NO_ROOT)]:
            report.error(place, remark)


def defaults_of(root: Mapping, report: Report) -> Mapping | None:
    """What lies under every bot; wrong values stay in it, and fail who inherits them."""
    entry = root.entries.get("defaults")
    if not entry:
        return None
    if not isinstance(entry.node, Mapping):
        for place, remark in _misshapen(entry, DEFAULTS_EMPTY, DEFAULTS_SHAPE):
            report.error(place, remark)
        return None
    checked = check(entry.node, "defaults")
    for finding in checked.findings:
        tell = report.warn if finding.warning else report.error
        tell(finding.place, finding.remark)
    return usable_defaults(entry.node)


def bots_of(root: Mapping, report: Report) -> tuple[Node, ...] | None:
    """The items of ``bots``, whatever they are; None if there is no such list."""
    entry = root.entries.get("bots")
    if not entry:
        first = next(iter(root.entries.values()), None)
        known = properties("top")
        # ``bot:`` has been explained as what it is.
        if not any(
            key not in known and nearest(key.lower(), list(known)) == "bots" for key in root.entries
        ):
            report.error(first.key if first else root.place, NO_BOTS)
        return None
    node = entry.node
    if isinstance(node, Sequence):
        if not node.items:
            report.warn(entry.key, NO_BOT_YET)
        return node.items
    for place, remark in _misshapen(entry, BOTS_EMPTY, BOTS_SHAPE):
        report.error(place, remark)
    return None


@dataclass(frozen=True, slots=True)
class Strays:
    """Keys at the top level that belong to the bot above them: their lines are not indented."""

    bot: str = ""
    keys: frozenset[str] = frozenset()

    def whose(self, finding: Finding) -> str:
        """The bot that ``finding`` at the top level is about, or nothing."""
        return self.bot if _key_of(finding) in self.keys else ""


def strays_below(bots: tuple[Node, ...] | None, top: Checked) -> Strays:
    """Only the last bot can have any: after them the list is over."""
    last = bots[-1] if bots else None
    if not isinstance(last, Mapping):
        return Strays()
    below = {_key_of(it) for it in top.findings if it.place.line > last.place.line}
    keys = below & (properties("bot").keys() - last.entries.keys())
    name = last.entries.get("name")
    value = name.node.value if name and isinstance(name.node, Scalar) else None
    return Strays(value if isinstance(value, str) else "", frozenset(keys))


def _key_of(finding: Finding) -> str:
    # Unseen spaces that are no indentation are a part of the key.
    return str(finding.path[0]).strip() if len(finding.path) == 1 else ""


def _misshapen(entry: Entry, empty: Remark, shape: Remark) -> list[tuple[Place, Remark]]:
    """Why the value of ``bots`` or ``defaults`` is none."""
    node = entry.node
    if isinstance(node, Scalar):
        if node.fault:
            return [(node.place, node.fault)]
        if node.value is None:
            return [(entry.key, empty)]
    return slips_in(node) or [(node.place, shape)]


# -- the sentences
NO_ROOT = Remark(
    "文件最外层应该是“bots:”，下面列出机器人。",
    "The file must begin with 'bots:', with the bots listed below it.",
    "bots:",
)
NO_BOTS = Remark(
    "文件里没有 bots；请写“bots:”，下面列出机器人（一个都没有就写 bots: []）。",
    "There is no 'bots' in this file; write 'bots:' and list the bots below it (none: bots: []).",
    "bots: []",
)
BOTS_EMPTY = Remark(
    "“bots” 后面是空的；一个机器人都不要就写 bots: []。",
    "There is nothing after 'bots'; if you want no bot at all, write bots: [].",
    "bots: []",
)
BOTS_SHAPE = Remark(
    "“bots” 要写成列表：每个机器人以“- name: …”开头。",
    "'bots' must be a list: each bot begins with '- name: …'.",
    "- name: …",
)
DEFAULTS_EMPTY = Remark(
    "“defaults” 后面是空的；不需要就删掉这一行。",
    "There is nothing after 'defaults'; delete the line if you do not need it.",
)
DEFAULTS_SHAPE = Remark(
    "“defaults” 下面要写一组“名称: 值”。",
    "'defaults' must be a mapping of settings.",
    "defaults: {max_workers: 4}",
)
NO_BOT_YET = Remark(
    "bots 是空的，现在没有机器人在运行；加一个“- name: …”就会启动。",
    "'bots' is empty, so no bot runs; add one that begins with '- name: …'.",
    "- name: …",
)
