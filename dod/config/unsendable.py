"""Characters that a value may hold by YAML's escapes, and that nothing takes it with."""

import re
from dataclasses import replace

from dod.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from dod.config.source import Remark

# What an escape can still make of a value, and JSON, a card or a terminal will not take.
UNSENDABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

ESCAPED = Remark(
    "这里的转义（例如 \\0 或 \\ud83d）写出了控制字符或半个字符，发不到钉钉；"
    "请删掉它，表情符号直接写即可。",
    "An escape here (such as \\0 or \\ud83d) makes a control character or half a character, which "
    "cannot be sent. Delete it; an emoji can be written as it is.",
)
REFERRED = Remark(
    "这个标签得到的值里有看不见的控制字符或残缺的字符；请在它的来源处改正。",
    "What this tag refers to contains a control character or a broken one; correct it there.",
)


def sendable(node: Node) -> Node:
    """``node``, its tags resolved, without what cannot be sent: a fault stands in its place."""
    if isinstance(node, Sequence):
        return replace(node, items=tuple(map(sendable, node.items)))
    if isinstance(node, Mapping):
        return replace(node, entries=dict(map(_sendable, node.entries.items())))
    if UNSENDABLE.search(node.text + node.written + (node.fault.zh if node.fault else "")):
        return replace(node, value=None, text="", written="", fault=ESCAPED)
    if isinstance(node.value, str) and UNSENDABLE.search(node.value):
        return replace(node, value=None, fault=REFERRED)
    return node


def _sendable(item: tuple[str, Entry]) -> tuple[str, Entry]:
    key, entry = item
    if not UNSENDABLE.search(key):
        return key, replace(entry, node=sendable(entry.node))
    return UNSENDABLE.sub("·", key), Entry(entry.key, Scalar(entry.key, None, "", fault=ESCAPED))
