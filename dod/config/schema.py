"""``config.schema.json``, the only list of keys, and how to look things up in it."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Kind = Literal["bot", "defaults", "top"]
Json = dict[str, Any]


def schema_text() -> str:
    """The schema as shipped; an editor gets that of ``editorschema``."""
    return Path(__file__).with_name("config.schema.json").read_text(encoding="utf-8")


@functools.cache
def schema() -> Json:
    """The schema; shared, so never change it."""
    return json.loads(schema_text())  # type: ignore[no-any-return]


@functools.cache
def of_kind(kind: Kind) -> Json:
    """The schema of a bot, of ``defaults``, or of the top level without what is in its bots."""
    if kind != "top":
        return {"$defs": schema()["$defs"], "$ref": f"#/$defs/{kind}"}
    properties = {**schema()["properties"], "bots": {}, "defaults": {}}
    return {**schema(), "properties": properties, "required": []}


def deref(node: Json) -> Json:
    """``node``, or what its ``$ref`` points to (only ``#/$defs/…`` is used here)."""
    while ref := node.get("$ref"):
        node = schema()["$defs"][ref.removeprefix("#/$defs/")]
    return node


def properties(kind: Kind) -> Json:
    found: Json = deref(of_kind(kind))["properties"]
    return {key: deref(value) for key, value in found.items()}


def walk(node: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every property below ``node`` with its path, nested ones included."""
    for key, value in deref(node).get("properties", {}).items():
        yield (*path, key), deref(value)
        yield from walk(deref(value), (*path, key))


@functools.cache
def key_names() -> tuple[frozenset[str], frozenset[str]]:
    """Names of the secret keys, and of all others."""
    both = [*walk(schema()), *walk(schema()["$defs"]["bot"])]
    secret = frozenset(path[-1] for path, it in both if it.get("writeOnly"))
    return secret, frozenset(path[-1] for path, _ in both) - secret
