"""What a file says, as a tree in which everything knows its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from dod.config.source import Place, Remark


@dataclass(frozen=True, slots=True)
class Odd:
    """A value that YAML knows and bots.yaml never wants: a date, for one."""

    text: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """``value`` is what YAML makes of ``text``; ``fault`` says why there is none.

    ``written``: the tag and its words, kept when a tag was resolved (``!secret it_key``).
    ``after``: what follows on the same line.
    """

    place: Place
    value: str | int | float | bool | Odd | None
    text: str
    plain: bool = True
    tag: str = ""
    after: str = ""
    last_line: int = 0
    written: str = ""
    fault: Remark | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """``key``: where the key stands."""

    key: Place
    node: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Sequence:
    place: Place
    items: tuple["Node", ...] = ()
    tag: str = ""


Node = Scalar | Mapping | Sequence


def plain(node: Node) -> Any:
    """``node`` as Python objects; dates and the like stay ``Odd``."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(entry.node) for key, entry in node.entries.items()}


def scalars(node: Node) -> Iterator[Scalar]:
    """Every scalar below ``node``."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from scalars(item)
    else:
        for entry in node.entries.values():
            yield from scalars(entry.node)


def merge(under: Mapping, over: Mapping) -> Mapping:
    """``over`` on top of ``under``: maps merge, scalars and lists replace."""
    entries = dict(under.entries)
    for key, entry in over.entries.items():
        below = entries.get(key)
        if below and isinstance(below.node, Mapping) and isinstance(entry.node, Mapping):
            entries[key] = Entry(entry.key, merge(below.node, entry.node))
        else:
            entries[key] = entry
    return replace(over, entries=entries)
