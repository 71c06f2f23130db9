"""JSON Schema, as much of it as ``config.schema.json`` uses: broken rules, each with its path.

The library for all of it costs 5 MB and 60 ms of every start (docs/decisions/007). A test proves
that both find the same on random values, and that the schema uses no other keyword.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dod.config.schema import Json, deref

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """``keyword`` of ``schema``, whose value is ``wanted``, does not hold at ``path``."""

    path: Path
    keyword: str
    wanted: Any
    schema: Json


def broken_rules(value: Any, schema: Json, path: Path = ()) -> Iterator[Broken]:
    """Everything at and below ``value`` that ``schema`` does not allow."""
    schema = deref(schema)
    for keyword, wanted in schema.items():
        if (holds := KEYWORDS.get(keyword)) and not holds(value, wanted, schema):
            yield Broken(path, keyword, wanted, schema)
    if isinstance(value, dict):
        for key, item in value.items():
            for below in _schemas_of(key, schema):
                yield from broken_rules(item, below, (*path, key))
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from broken_rules(item, schema["items"], (*path, number))


def _schemas_of(key: str, schema: Json) -> Iterator[Json]:
    if key in schema.get("properties", {}):
        yield schema["properties"][key]
    for pattern, below in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            yield below


def _is_integer(value: Any) -> bool:
    # ``2.0`` is an integer to JSON Schema.
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return whole and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _only_known(value: Any, wanted: Any, schema: Json) -> bool:
    # A schema that allows everything is an empty mapping, and false.
    return wanted is not False or all(any(True for _ in _schemas_of(key, schema)) for key in value)


# A rule about one type holds for every value of another: ``type`` is the rule about that.
KEYWORDS: Mapping[str, Callable[[Any, Any, Json], bool]] = {
    "type": lambda value, wanted, _: _TYPES[wanted](value),
    "enum": lambda value, wanted, _: value in wanted,
    "pattern": lambda value, wanted, _: (
        not isinstance(value, str) or bool(re.search(wanted, value))
    ),
    "minLength": lambda value, wanted, _: not isinstance(value, str) or len(value) >= wanted,
    "maxLength": lambda value, wanted, _: not isinstance(value, str) or len(value) <= wanted,
    "minimum": lambda value, wanted, _: not _number(value) or not value < wanted,
    "maximum": lambda value, wanted, _: not _number(value) or not value > wanted,
    "required": lambda value, wanted, _: not isinstance(value, dict) or set(wanted) <= value.keys(),
    "additionalProperties": lambda value, wanted, schema: (
        not isinstance(value, dict) or _only_known(value, wanted, schema)
    ),
}
