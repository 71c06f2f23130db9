"""What the admin is told when a value breaks a rule of the schema.

Each kind of complaint is one small function in ``EXPLAIN``, by the schema keyword that was broken;
``WANTED`` tells the types apart.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dod.config.nodes import Mapping, Node, Odd, Scalar
from dod.config.problems import MOST, nearest
from dod.config.schema import Json, Kind
from dod.config.slips import on_line
from dod.config.source import Place, Remark
from dod.config.strangers import meant_by, unknown_key
from dod.config.widesigns import WIDE_OPENERS, narrow, wide_brackets

_TRUE, _FALSE = {"yes", "on", "y", "true", "是", "开"}, {"no", "off", "n", "false", "否", "关"}


@dataclass(frozen=True, slots=True)
class Finding:
    place: Place
    remark: Remark
    path: tuple[str | int, ...] = ()
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One broken rule: at which value, of which piece of schema. ``item``: it is in a list."""

    key: str
    node: Node
    rule: Json
    wanted: Any
    kind: Kind
    item: bool = False


def _one(case: Case, zh: str, en: str, fix: str = "") -> list[Finding]:
    return [Finding(case.node.place, Remark(zh, en, fix))]


def other(case: Case) -> list[Finding]:
    return _one(case, f"“{case.key}” 的值不对。", f"The value of '{case.key}' is not valid.")


def _unknown_keys(case: Case) -> list[Finding]:
    if not isinstance(case.node, Mapping):
        return []
    known = list(case.rule.get("properties", {}))
    if "patternProperties" in case.rule:
        return [
            Finding(
                entry.key, Remark("变量名是空的。", "The name of the variable is empty."), (key,)
            )
            for key, entry in case.node.entries.items()
            if not key
        ]
    return [
        Finding(*unknown_key(key, entry.key, known, case.kind), (key,))
        for key, entry in case.node.entries.items()
        if key not in known
    ]


def _missing(case: Case) -> list[Finding]:
    if not isinstance(case.node, Mapping):
        return []
    known = list(case.rule.get("properties", {}))
    # A key that is there, but written wrongly, is told as such.
    meant = {meant_by(key, known) for key in case.node.entries if key not in known}
    keys = [key for key in case.wanted if key not in case.node.entries and key not in meant]
    if not keys:
        return []
    first = next(iter(case.node.entries.values()), None)
    place = case.node.place
    # After ``<<`` or ``!include`` the first key may stand elsewhere.
    if first and first.key.source is place.source and first.key.line == place.line:
        place = first.key
    zh = f"缺少必填项：{'、'.join(keys)}。"
    en = f"Missing required setting(s): {', '.join(keys)}."
    return [Finding(place, Remark(zh, en, cause="missing"))]


def _type(case: Case) -> list[Finding]:
    return WANTED[case.wanted](case)


def _wants_boolean(case: Case) -> list[Finding]:
    key, value = case.key, case.node.text if isinstance(case.node, Scalar) else ""
    word = value.strip().lower()
    quote = "" if isinstance(case.node, Scalar) and case.node.plain else '"'
    shown = f"，不是 {quote}{value}{quote}" if value and len(value) < 20 else ""
    meant = "true" if word in _TRUE else "false" if word in _FALSE else ""
    return _one(
        case,
        f"“{key}” 要写 true 或 false（不带引号）{shown}。",
        f"'{key}' must be true or false.",
        f"{key}: {meant}" if meant else "",
    )


def _wants_integer(case: Case) -> list[Finding]:
    key, node = case.key, case.node
    text = node.text.strip() if isinstance(node, Scalar) else ""
    digits = text.translate(str.maketrans("０１２３４５６７８９", "0123456789"))
    fix = f"{key}: {int(digits)}" if re.fullmatch(r"[0-9]{1,9}", digits) else ""
    return _one(
        case,
        f"“{key}” 要写整数（不带引号、单位和小数点）。",
        f"'{key}' must be an integer (no quotes, no unit, no decimal point).",
        fix,
    )


def _wants_string(case: Case) -> list[Finding]:
    key, node = case.key, case.node
    fix = f'{key}: ["…"]' if case.item else f'{key}: "…"'
    if isinstance(node, Mapping) and len(node.entries) == 1 and not case.item:
        word, entry = next(iter(node.entries.items()))
        if isinstance(entry.node, Scalar) and entry.node.value is None:
            return _one(
                case,
                f"“{key}” 的值以 {{ 开头，YAML 会当成一组设置；请给整个值加引号。",
                f"The value of '{key}' begins with '{{' and is read as a mapping; quote all of it.",
                f'{key}: "{{{word}}}"',
            )
    if not isinstance(node, Scalar):
        return _one(
            case,
            f"“{key}” 要写一个值，不是列表或一组设置。",
            f"'{key}' takes one value, not a list or a mapping.",
            fix,
        )
    if isinstance(node.value, bool):
        return _one(
            case,
            f"“{key}” 要写文字；{node.text} 会被当作布尔值，请加引号。",
            f"'{key}' must be text; {node.text} is read as a boolean, so quote it.",
            fix,
        )
    if isinstance(node.value, Odd) and re.match(r"\d{4}-\d", node.text):
        return _one(
            case,
            f"“{key}” 看起来像日期，会被改写；请加引号。",
            f"'{key}' looks like a date; quote it.",
            fix,
        )
    return _one(
        case,
        f"“{key}” 看起来像数字，会丢掉前导 0 或变成科学计数；请加引号。",
        f"'{key}' looks like a number; quote it.",
        fix,
    )


def _wants_list(case: Case) -> list[Finding]:
    key, node = case.key, case.node
    if slips := slips_in(node):
        return [Finding(place, remark) for place, remark in slips]
    if isinstance(node, Scalar) and node.plain and node.text[:1] in WIDE_OPENERS:
        return [Finding(node.place, wide_brackets(narrow(node.place.text.strip())))]
    word = node.text if isinstance(node, Scalar) and len(node.text) < 40 else "…"
    return _one(
        case,
        f"“{key}” 要写成列表。",
        f"'{key}' must be a list.",
        f'{key}: ["{word}"]' if isinstance(node, Scalar) else "",
    )


def _wants_mapping(case: Case) -> list[Finding]:
    key, node = case.key, case.node
    if slips := slips_in(node):
        return [Finding(place, remark) for place, remark in slips]
    example = json.dumps((case.rule.get("examples") or [{}])[0], ensure_ascii=False)
    return _one(
        case,
        f"“{key}” 下面要写一组“名称: 值”。",
        f"'{key}' must be a mapping of settings.",
        f"{key}: {example.replace(chr(34), '')}"
        if example != "{}" and key != "dify_inputs"
        else "",
    )


def slips_in(node: Node) -> list[tuple[Place, Remark]]:
    """Slips that turned a mapping into text: ``name：it`` alone is a perfectly good word."""
    if not isinstance(node, Scalar) or not node.plain:
        return []
    source, begin = node.place.source, node.place.line
    last = min(node.last_line, begin + 2 * MOST)
    slips = [on_line(source.lines, line) for line in range(begin, last + 1)]
    return [(source.at(slip.line, slip.column), slip.remark) for slip in slips if slip]


def _enum(case: Case) -> list[Finding]:
    return _choice(case, [it if isinstance(it, str) else str(it).lower() for it in case.wanted])


def _pattern(case: Case) -> list[Finding]:
    if values := case.rule.get("x-values"):
        return _choice(case, list(values))
    key, value = case.key, case.node.value if isinstance(case.node, Scalar) else ""
    if value == "" and "minLength" in case.rule:
        return []  # ``minLength`` says so
    if case.rule.get("format") == "uri" and re.match("https?://", str(value)):
        zh, en = f"“{key}” 里不能有空格。", f"'{key}' must not contain spaces."
        return _one(case, zh, en, f"{key}: {''.join(str(value).split())}")
    hint = case.rule.get("x-hint", {"zh": "格式不对", "en": "has the wrong form"})
    fix = ""
    if case.rule.get("format") == "uri" and re.fullmatch(r"[\w.-]+(:\d+)?(/\S*)?", str(value)):
        local = re.match(r"localhost|[\d.]+(:|/|$)|[\w-]+(:|/|$)", str(value))
        fix = f"{key}: {'http' if local else 'https'}://{value}"
    return _one(case, f"“{key}” 的格式不对：{hint['zh']}。", f"'{key}' {hint['en']}.", fix)


def _choice(case: Case, values: list[str]) -> list[Finding]:
    key = case.key
    value = case.node.value if isinstance(case.node, Scalar) else None
    if not isinstance(value, str):
        if "type" in case.rule:
            return []  # ``type`` says what is wrong with it
        value = case.node.written if isinstance(case.node, Scalar) else ""
    lower = {it.lower(): it for it in values}
    aliases = case.rule.get("x-aliases", {})
    word = value.strip().lower()
    meant = (
        aliases.get(word)
        or lower.get(word)
        or lower.get(nearest(word, list(lower), 0.5 if len(word) > 3 else 0.7), "")
    )
    zh, en = f"“{key}” 只能是 {'、'.join(values)}", f"'{key}' must be one of {', '.join(values)}."
    if not meant:
        return _one(case, zh + "。", en)
    return _one(
        case, f"{zh}。是不是想写 “{meant}”？", f"{en} Did you mean '{meant}'?", f"{key}: {meant}"
    )


def _least(case: Case) -> list[Finding]:
    zh, en = f"“{case.key}” 最小是 {case.wanted}。", f"'{case.key}' must be at least {case.wanted}."
    return _one(case, zh, en, f"{case.key}: {case.wanted}")


def _most(case: Case) -> list[Finding]:
    zh, en = f"“{case.key}” 最大是 {case.wanted}。", f"'{case.key}' must be at most {case.wanted}."
    return _one(case, zh, en, f"{case.key}: {case.wanted}")


def _short(case: Case) -> list[Finding]:
    return _one(case, f"“{case.key}” 不能是空的。", f"'{case.key}' must not be empty.")


def _long(case: Case) -> list[Finding]:
    return _one(
        case,
        f"“{case.key}” 太长，最多 {case.wanted} 个字。",
        f"'{case.key}' is too long: at most {case.wanted} characters.",
    )


EXPLAIN: dict[str, Callable[[Case], list[Finding]]] = {
    "type": _type,
    "required": _missing,
    "additionalProperties": _unknown_keys,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _least,
    "maximum": _most,
    "minLength": _short,
    "maxLength": _long,
}
WANTED: dict[str, Callable[[Case], list[Finding]]] = {
    "boolean": _wants_boolean,
    "integer": _wants_integer,
    "string": _wants_string,
    "array": _wants_list,
    "object": _wants_mapping,
}
