"""One mapping of a file against the schema, and against what no schema can see.

A schema sees values; what is in the writing alone is in ``writing``.
"""

import functools
import re
from dataclasses import dataclass, field, replace
from typing import Any

from dod.config.complaints import EXPLAIN, Case, Finding, other
from dod.config.nodes import Entry, Mapping, Node, Sequence, plain, scalars
from dod.config.schema import Json, Kind, deref, of_kind, walk
from dod.config.writing import look, no_secret


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
    findings = list(look(node, deref(of_kind(kind)), ()))
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
        if isinstance(scalar.value, str) and not no_secret(scalar.value)
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
