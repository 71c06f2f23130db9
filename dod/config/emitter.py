"""Python objects → YAML that reads back as exactly the same, whatever the strings are.

For the last-good files, which nobody edits: every string is quoted and every odd character escaped,
so that no rule of YAML, no encoding and no file system can change it.
"""

import json
import math
from collections.abc import Mapping as Map
from typing import Any

from dod.config.bots import Tagged
from dod.config.nodes import Odd

_SIMPLE = 100  # characters: YAML wants a "?" before a key of more than 1,024


def document(top: Map[str, Any], bots: list[Map[str, Any]]) -> str:
    """A whole ``bots.yaml``, one line per key. ``Tagged`` values become tags again."""
    lines = [f"{_entry(key, value)}\n" for key, value in top.items()]
    lines.append("bots:\n" if bots else "bots: []\n")
    for bot in bots:
        heads = ["- ", *["  "] * (len(bot) - 1)]
        items = zip(heads, bot.items(), strict=True)
        lines += [f"{head}{_entry(key, value)}\n" for head, (key, value) in items]
    return "".join(lines)


def _entry(key: str, value: Any) -> str:
    return f"{_quoted(key)}: {emit(value)}"


def emit(value: Any) -> str:
    """One value in one line."""
    if isinstance(value, Tagged):
        tag, _, words = value.partition(" ")
        return f"{tag} {_quoted(words)}"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Odd):  # a date for one: only unquoted it is the same again
        return value.text
    if isinstance(value, Map):
        inner = ", ".join(f"{_key(key)}: {emit(it)}" for key, it in value.items())
        return "{" + inner + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(emit(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return json.dumps(value)


def _key(key: str) -> str:
    return _quoted(key) if len(key) <= _SIMPLE else f"? {_quoted(key)} "


def _quoted(text: str) -> str:
    return '"' + "".join(map(_char, text)) + '"'


def _char(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"
