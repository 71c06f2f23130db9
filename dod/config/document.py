"""YAML text → the nodes of a tree, and what is wrong with it.

ruamel's node graph is read instead of its constructed objects: it keeps the place of every key and
value, quotes and tags, and lets us report *all* duplicate keys. YAML 1.2, so ``yes`` is a word.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dod.config.composing import MAX_DEPTH, MAX_NODES, compose
from dod.config.nodes import Entry, Mapping, Node, Odd, Scalar, Sequence
from dod.config.slips import Wreck
from dod.config.source import Place, Remark, Source, damage
from dod.config.wrecks import explain

MAX_REPAIRS = 20
MAX_DIGITS = 1_000  # of an integer, in any base: Python writes down 4,300 decimal ones at most
REPAIRED = 600_000  # characters parsed for repairs in all: each parses the whole text once more
_CORE = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Parsed:
    """``sound`` is False when the file must not be used, though ``root`` may still be looked at."""

    root: Node | None
    remarks: tuple[tuple[Place, Remark], ...]
    sound: bool


def parse(source: Source) -> Parsed:
    """Read ``source``. Never raises.

    A slip whose repair is obvious is repaired in memory, only to find the next ones: the file is
    unsound all the same.
    """
    if found := damage(source):
        return Parsed(None, (found,), sound=False)
    text, remarks = source.text, []
    for _ in range(min(MAX_REPAIRS, 1 + REPAIRED // (len(text) + 1))):
        graph = compose(text)
        if not isinstance(graph, Wreck):
            tree = _Tree(Source(source.file, text, source.secret), source)
            root = tree.root(graph)
            remarks += tree.remarks
            return Parsed(root, tuple(remarks), sound=not remarks)
        slip = explain(graph)
        remarks.append((source.at(slip.line, slip.column), slip.remark))
        if slip.repaired is None:
            break
        lines = text.split("\n")
        lines[slip.line - 1] = slip.repaired
        text = "\n".join(lines)
    return Parsed(None, tuple(remarks), sound=False)


class _Tree:
    """Turns ruamel's graph into our tree. ``source`` is what was parsed, ``shown`` the file."""

    def __init__(self, source: Source, shown: Source) -> None:
        self._source = source
        self._shown = shown
        self._count = 0
        self._last = shown.at(1, 1)
        self._dashless: Mapping | None = None
        self.remarks: list[tuple[Place, Remark]] = []

    def root(self, graph: Any) -> Node | None:
        if graph is None:
            return None
        try:
            return self._node(graph, 0)
        except OverflowError:
            self.remarks.append((self._last, TOO_MANY))
            return None

    def _place(self, mark: Any) -> Place:
        place = self._source.find(mark.index)
        return self._shown.at(place.line, place.column)

    def _node(self, graph: Any, depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES or depth > MAX_DEPTH:
            raise OverflowError
        place, tag = self._place(graph.start_mark), str(graph.tag)
        self._last = place
        kind = tag.removeprefix(_CORE)
        if graph.id == "scalar":
            return self._scalar(graph, place, tag, kind)
        if graph.id == "sequence":
            items = tuple(self._node(item, depth + 1) for item in graph.value)
            return Sequence(place, items, "" if tag == _CORE + "seq" else _name(tag))
        mapping = Mapping(place, {}, "" if tag == _CORE + "map" else _name(tag))
        merged: dict[str, Entry] = {}
        for key, value in graph.value:
            node = self._node(value, depth + 1)
            if key.tag == _CORE + "merge":
                for entries in self._merged(self._place(key.start_mark), node):
                    merged = {**entries, **merged}
            else:
                self._enter(mapping, key, node)
        mapping.entries.update({k: v for k, v in merged.items() if k not in mapping.entries})
        return mapping

    def _merged(self, place: Place, node: Node) -> Iterator[dict[str, Entry]]:
        for item in node.items if isinstance(node, Sequence) else (node,):
            if isinstance(item, Mapping):
                yield item.entries
            else:
                self.remarks.append((place, NOT_MERGED))

    def _enter(self, mapping: Mapping, key: Any, node: Node) -> None:
        place = self._place(key.start_mark)
        if key.id != "scalar" or str(key.tag).startswith("!"):
            double = mapping.place.text.startswith("{{", mapping.place.column - 1)
            self.remarks.append((place, BRACES if double else ODD_KEY))
            return
        if first := mapping.entries.get(key.value):
            # A bot without its dash: one remark says it, not one for each of its keys.
            if self._dashless is not mapping:
                self.remarks.append((place, twice(key.value, first.key.line, place.line)))
            if key.value == "name":
                self._dashless = mapping
            return
        mapping.entries[key.value] = Entry(place, node)

    def _scalar(self, graph: Any, place: Place, tag: str, kind: str) -> Scalar:
        text = str(graph.value)
        end = self._source.find(graph.end_mark.index)
        scalar = Scalar(place, text, text, plain=graph.style is None, last_line=end.line)
        if graph.style in {None, "'", '"'}:
            scalar = replace(scalar, after=end.text[end.column - 1 :])
        if kind == "str":
            return scalar
        if tag.startswith(_CORE) and kind in {"int", "float", "bool", "null", "timestamp"}:
            return replace(scalar, value=_value(kind, text))
        return replace(scalar, tag=_name(tag))


def _name(tag: str) -> str:
    """A tag as the admin wrote it."""
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _value(kind: str, text: str) -> int | float | bool | Odd | str | None:
    if kind == "null":
        return None
    if kind == "bool":
        # ``yes`` is a boolean only after ``%YAML 1.1``; it stays a word here.
        return {"true": True, "false": False}.get(text.lower(), text)
    digits = text.replace("_", "").lower()
    try:
        if kind == "int":
            bare = digits.lstrip("+-")
            base = {"0x": 16, "0o": 8, "0b": 2}.get(bare[:2], 10)
            if len(bare if base == 10 else bare[2:]) <= MAX_DIGITS:
                return int(digits, base)
        if kind == "float":
            return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # what ruamel takes for a number and Python does not
        pass
    return Odd(text)


def twice(key: str, first: int, second: int) -> Remark:
    if key == "name":
        return Remark(
            f"“name” 写了两次（第 {first} 行和第 {second} 行），只能留一个；"
            "如果这里是另一个机器人，请以“- name:”开头。",
            f"Duplicate key 'name' (lines {first} and {second}); if another bot begins here, "
            "write '- name:'.",
            "- name: …",
        )
    if first == second:
        return Remark(
            f"“{key}” 在第 {first} 行写了两次，只能留一个。",
            f"Duplicate key '{key}' (twice on line {first}).",
        )
    return Remark(
        f"“{key}” 写了两次（第 {first} 行和第 {second} 行），只能留一个。",
        f"Duplicate key '{key}' (lines {first} and {second}).",
    )


TOO_MANY = Remark(
    f"文件内容太多（展开后超过 {MAX_NODES} 项，或嵌套太深，或别名套住了自己）。",
    f"Too much in this file: over {MAX_NODES} nodes after expansion, nested too deeply, "
    "or an alias that contains itself.",
)
NOT_MERGED = Remark(
    "“<<” 后面只能是另一组设置（例如 *base）。",
    "'<<' must be followed by another mapping, e.g. *base.",
)
ODD_KEY = Remark(
    "设置项的名字只能是一个词，不能是列表、一组设置或带标签。",
    "The name of a setting must be a plain word, not a list, a mapping or a tag.",
)
BRACES = Remark(
    "“{{ }}” 在这里不会被替换；环境变量写 !env_var 名称，密钥写 !secret 名称。",
    "Nothing replaces '{{ }}' here; write !env_var NAME for a variable, !secret name for a secret.",
)
