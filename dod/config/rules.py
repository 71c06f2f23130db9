"""One mapping of a file against the schema, and against what no schema can see.

A schema sees values; curly quotes, placeholders and a secret cut at ``#`` are in the writing.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import idna

from dod.config.complaints import EXPLAIN, Case, Finding, other
from dod.config.document import Entry, Mapping, Node, Scalar, Sequence, plain, scalars
from dod.config.problems import nearest, shorten
from dod.config.schema import Json, Kind, deref, of_kind, walk
from dod.config.source import Place, Remark

_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
_UNFILLED = re.compile(r"\s*<[^<>]*>\s*")


@dataclass(frozen=True, slots=True)
class Checked:
    """``value``: the mapping as Python objects. ``bad``: its top keys that cannot be used."""

    value: Json
    findings: tuple[Finding, ...]
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def sound(self) -> bool:
        return all(finding.warning for finding in self.findings)

    @property
    def bad(self) -> set[str]:
        return {str(it.path[0]) for it in self.findings if it.path and not it.warning}


@functools.cache
def _validator(kind: Kind) -> Any:
    # Imported here: it costs 12 MB and 70 ms, which `dod status` and the like need not pay.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(of_kind(kind))


def check(node: Mapping, kind: Kind) -> Checked:
    """Hold ``node`` against the schema; everything wrong with it at once. Never raises."""
    node = normalise(node, of_kind(kind))
    findings = list(_look(node, deref(of_kind(kind)), ()))
    told = {finding.path for finding in findings if not finding.warning}
    for error in _validator(kind).iter_errors(plain(node)):
        path = tuple(error.absolute_path)
        if any(path[: len(it)] == it for it in told):
            continue
        findings += _explain(node, path, error, kind)
    secrets = [
        scalar.value
        for path, rule in walk(of_kind(kind))
        if rule.get("writeOnly") and (found := _find(node, path))
        for scalar in scalars(found.node)
        if isinstance(scalar.value, str) and not _UNFILLED.fullmatch(scalar.value)
    ]
    return Checked(plain(node), tuple(findings), tuple(secrets))


def normalise(node: Mapping, rule: Json) -> Mapping:
    """Forgive what is harmless: letter case of ``x-values``, a URL's last slash.

    What ``!env_var`` gives is text; where a number or a boolean is wanted it is read as one.
    """
    rules = deref(rule).get("properties", {})
    entries = {
        key: Entry(
            entry.key, _normal(entry.node, deref(rules[key])) if key in rules else entry.node
        )
        for key, entry in node.entries.items()
    }
    return replace(node, entries=entries)


def _normal(node: Node, rule: Json) -> Node:
    if isinstance(node, Mapping):
        return normalise(node, rule)
    if isinstance(node, Sequence) or not isinstance(node.value, str):
        return node
    value = node.value
    if rule.get("format") == "uri":
        return replace(node, value=value.rstrip("/") if value.rstrip("/")[-1:] != ":" else value)
    if value.strip().lower() in rule.get("x-values", ()):
        return replace(node, value=value.strip().lower())
    if node.written.startswith("!env_var"):
        if rule.get("type") == "integer" and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
            return replace(node, value=int(value))
        boolean = rule.get("type") == "boolean" or True in rule.get("enum", ())
        if boolean and value.strip().lower() in {"true", "false"}:
            return replace(node, value=value.strip().lower() == "true")
    return node


# -- what a schema cannot see, because it is in the writing
def _look(node: Node, rule: Json, path: tuple[str | int, ...], key: str = "") -> Iterator[Finding]:
    if isinstance(node, Mapping):
        rules = rule.get("properties", {})
        for name, entry in node.entries.items():
            below = deref(rules.get(name) or rule.get("patternProperties", {}).get("^.+$") or {})
            inner = (*path, name)
            if below.get("x-planned"):
                yield Finding(entry.key, planned(name), inner, warning=True)
            for found in _look(entry.node, below, inner, name):
                # A value is where its key is when it is not there at all.
                yield replace(found, place=_at(entry, found))
            if isinstance(entry.node, Mapping) and "x-placeholders" in below:
                yield from _placeholders(entry.node, below["x-placeholders"], inner)
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            yield from _look(item, deref(rule.get("items", {})), (*path, number), key)
    else:
        yield from _look_at(node, rule, path, key)


def _at(entry: Entry, found: Finding) -> Place:
    node = entry.node
    hollow = isinstance(node, Scalar) and node.value is None and not node.text and not node.fault
    return entry.key if hollow and not found.warning else found.place


def _look_at(node: Scalar, rule: Json, path: tuple[str | int, ...], key: str) -> Iterator[Finding]:
    secret = bool(rule.get("writeOnly"))
    if node.fault:
        yield Finding(node.place, node.fault, path)
        return
    if node.value is None:
        if rule:
            yield Finding(node.place, nothing_after(key, rule), path)
        return
    if not isinstance(node.value, str) or not rule:
        return
    # Free text may well be “<…>”.
    if secret or "pattern" in rule or "enum" in rule:
        if _UNFILLED.fullmatch(node.value):
            yield Finding(node.place, unfilled(key), path)
            return
        if node.plain and node.value[:1] in "“”‘’＂" and node.value[-1:] in "“”‘’＂":
            yield Finding(node.place, curly(key, node.value, secret=secret), path)
            return
    if (
        rule.get("format") == "uri"
        and re.match(rule["pattern"], node.value)
        and bad_url(node.value)
    ):
        yield Finding(node.place, Remark(*bad_address(key)), path)
    if secret and node.plain and re.match(r"\s+#\S", node.after):
        yield Finding(node.place, truncated(key), path, warning=True)


def _placeholders(
    node: Mapping, known: list[str], path: tuple[str | int, ...]
) -> Iterator[Finding]:
    for name, entry in node.entries.items():
        value = entry.node
        if not isinstance(value, Scalar) or not isinstance(value.value, str):
            continue
        for word in dict.fromkeys(_PLACEHOLDER.findall(value.value)):
            if word not in known:
                yield Finding(value.place, unknown_placeholder(word, known), (*path, name))


# -- what the schema sees
def _find(node: Node, path: tuple[str | int, ...]) -> Entry | None:
    """The entry at ``path``; an item of a list is an entry whose key is the list's."""
    entry: Entry | None = None
    for step in path:
        if isinstance(node, Mapping) and step in node.entries:
            entry = node.entries[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and entry:
            entry = Entry(entry.key, node.items[step])
        else:
            return None
        node = entry.node
    return entry


def _explain(node: Mapping, path: tuple[Any, ...], error: Any, kind: Kind) -> list[Finding]:
    entry = _find(node, path)
    target = entry.node if entry else node
    words = [step for step in path if isinstance(step, str)]
    key = words[-1] if words else ""
    item = bool(path) and isinstance(path[-1], int)
    case = Case(key, target, error.schema, error.validator_value, kind, item=item)
    found = EXPLAIN.get(error.validator, other)(case)
    return [replace(it, path=(*path, *it.path)) for it in found]


# -- its sentences
def nothing_after(key: str, rule: Json) -> Remark:
    default = rule.get("default")
    zh, en = f"“{key}” 后面是空的。", f"There is nothing after '{key}'."
    if default is not None and default != {}:
        zh += "要用默认值就删掉这一行。"
        en += " Delete the line to get the default."
    kind = rule.get("type")
    return Remark(zh, en, f'{key}: "…"' if kind == "string" else f"{key}: …")


def unfilled(key: str) -> Remark:
    return Remark(
        f"“{key}” 还没有填写：请把 <…> 整个换成真实的值。",
        f"'{key}' is not filled in yet: replace all of <…> by the real value.",
    )


def curly(key: str, value: str, *, secret: bool) -> Remark:
    inner = "…" if secret else value.strip("“”‘’＂")
    return Remark(
        f"“{key}” 用了中文引号，引号会成为值的一部分；请改用英文引号，或不加引号。",
        f"'{key}' has curly quotes, which become part of the value; use ASCII quotes or none.",
        f'{key}: "{inner}"',
    )


def truncated(key: str) -> Remark:
    return Remark(
        f"“{key}” 的值里有“ #”，从那里起被当作注释丢掉了；如果 # 是值的一部分，请加引号。",
        f"'{key}' is cut at ' #', where a comment begins. If the # belongs to the value, quote it.",
        f'{key}: "…"',
    )


def planned(key: str) -> Remark:
    return Remark(
        f"“{key}” 可以写，但本版本还没有使用它。",
        f"'{key}' is accepted; not used by this version yet.",
    )


def unknown_placeholder(word: str, known: list[str]) -> Remark:
    meant = nearest(word.lower(), known, 0.5)
    listed = " ".join("{" + it + "}" for it in known)
    shown = "{" + shorten(word) + "}"
    return Remark(
        f"没有 {shown} 这个占位符；可用的是 {listed}。",
        f"Unknown placeholder {shown}; there are {listed}.",
        "{" + meant + "}" if meant else "",
    )


def bad_url(value: str) -> bool:
    """Whether a URL that matches the pattern has no usable host or port all the same."""
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname or ""
        if not host.isascii():
            idna.encode(host)  # as httpx will
    except ValueError:
        return True
    return not host or port == 0 or not value.isprintable()


def bad_address(key: str) -> tuple[str, str]:
    return (
        f"“{key}” 不是有效的网址：主机名或端口不对。",
        f"'{key}' is not a valid address: its host or port is wrong.",
    )
