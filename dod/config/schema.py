"""``config.schema.json``, the only list of keys, and what it says about one mapping of a file.

Each kind of complaint is one small function in ``EXPLAIN``, by the schema keyword that was broken.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dod.config.document import Entry, Mapping, Node, Odd, Scalar, Sequence, plain, scalars
from dod.config.slips import on_line
from dod.config.source import Place, Remark
from dod.config.tags import nearest

Kind = Literal["bot", "defaults", "top"]
Json = dict[str, Any]
_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
_UNFILLED = re.compile(r"\s*<[^<>]*>\s*")
_TRUE, _FALSE = {"yes", "on", "y", "true", "是", "开"}, {"no", "off", "n", "false", "否", "关"}


def schema_text() -> str:
    """The schema as shipped, for ``dod schema`` and for the admin's editor."""
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


@functools.cache
def _validator(kind: Kind) -> Any:
    # Imported here: it costs 12 MB and 70 ms, which `dod status` and the like need not pay.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(of_kind(kind))


@dataclass(frozen=True, slots=True)
class Finding:
    place: Place
    remark: Remark
    path: tuple[str | int, ...] = ()
    warning: bool = False


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


@dataclass(frozen=True, slots=True)
class Case:
    """One broken rule: where, by which value, against which piece of schema."""

    key: str
    node: Node
    entry: Entry | None
    rule: Json
    wanted: Any
    kind: Kind


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
        if isinstance(scalar.value, str)
    ]
    return Checked(plain(node), tuple(findings), tuple(secrets))


def normalise(node: Mapping, rule: Json) -> Mapping:
    """Forgive what is harmless: letter case of ``x-values``, a URL's last slash.

    What ``!env_var`` gives is text; where a number or a boolean is wanted it is read as one.
    """
    rules = deref(rule).get("properties", {})
    entries = {
        key: Entry(entry.key, _normal(entry.node, deref(rules[key])) if key in rules else entry.node)
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
        if rule.get("type") == "boolean" and value.strip().lower() in {"true", "false"}:
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
    free = key in {"greeting", "dify_output"} or "pattern" not in rule and "enum" not in rule
    if not (free and not secret):
        if _UNFILLED.fullmatch(node.value):
            yield Finding(node.place, unfilled(key), path)
            return
        if node.plain and node.value[:1] in "“”‘’＂" and node.value[-1:] in "“”‘’＂":
            yield Finding(node.place, curly(key, node.value, secret=secret), path)
            return
    if rule.get("format") == "uri" and re.match(rule["pattern"], node.value) and bad_url(node.value):
        yield Finding(node.place, Remark(*bad_address(key)), path)
    if secret and node.plain and re.match(r"\s+#\S", node.after):
        yield Finding(node.place, truncated(key), path, warning=True)


def _placeholders(node: Mapping, known: list[str], path: tuple[str | int, ...]) -> Iterator[Finding]:
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
    case = Case(key, target, entry, error.schema, error.validator_value, kind)
    found = EXPLAIN.get(error.validator, _other)(case)
    return [replace(it, path=(*path, *it.path)) for it in found]


def _one(case: Case, zh: str, en: str, fix: str = "") -> list[Finding]:
    return [Finding(case.node.place, Remark(zh, en, fix))]


def _other(case: Case) -> list[Finding]:
    return _one(case, f"“{case.key}” 的值不对。", f"The value of '{case.key}' is not valid.")


def _unknown_keys(case: Case) -> list[Finding]:
    if not isinstance(case.node, Mapping):
        return []
    known = case.rule.get("properties", {})
    if "patternProperties" in case.rule:
        return [
            Finding(entry.key, Remark("变量名是空的。", "The name of the variable is empty."), (key,))
            for key, entry in case.node.entries.items()
            if not key
        ]
    return [
        Finding(entry.key, unknown_key(key, entry, list(known), case), (key,))
        for key, entry in case.node.entries.items()
        if key not in known
    ]


def _missing(case: Case) -> list[Finding]:
    if not isinstance(case.node, Mapping):
        return []
    keys = [key for key in case.wanted if key not in case.node.entries]
    # A key that is there, but written wrongly, is told as such.
    first = next(iter(case.node.entries.values()), None)
    place = case.node.place
    # After ``<<`` or ``!include`` the first key may stand elsewhere.
    if first and first.key.source is place.source and first.key.line == place.line:
        place = first.key
    zh = f"缺少必填项：{'、'.join(keys)}。"
    return [Finding(place, Remark(zh, f"Missing required setting(s): {', '.join(keys)}."))]


def _type(case: Case) -> list[Finding]:
    return WANTED[case.wanted](case)


def _wants_boolean(case: Case) -> list[Finding]:
    key, value = case.key, case.node.text if isinstance(case.node, Scalar) else ""
    word = value.strip().lower()
    shown = f"，不是 {value}" if value and len(value) < 20 else ""
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
    fix = f'{key}: "…"'
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
    word = node.text if isinstance(node, Scalar) and len(node.text) < 40 else "…"
    return _one(
        case,
        f"“{key}” 要写成列表。",
        f"'{key}' must be a list.",
        f'{key}: ["{word}"]' if isinstance(node, Scalar) else "",
    )


def _wants_mapping(case: Case) -> list[Finding]:
    key, node = case.key, case.node
    if slip := slip_in(node):
        return [slip]
    example = json.dumps((case.rule.get("examples") or [{}])[0], ensure_ascii=False)
    return _one(
        case,
        f"“{key}” 下面要写一组“名称: 值”。",
        f"'{key}' must be a mapping of settings.",
        f"{key}: {example.replace(chr(34), '')}" if example != "{}" and key != "dify_inputs" else "",
    )


def slip_in(node: Node) -> Finding | None:
    """A slip that turned a mapping into text: ``name：it`` alone is a perfectly good word."""
    if not isinstance(node, Scalar):
        return None
    lines = node.place.source.lines
    for line in range(node.place.line, node.place.line + min(node.text.count(" "), 5) + 1):
        if slip := on_line(lines, line):
            return Finding(node.place.source.at(slip.line, slip.column), slip.remark)
    return None


def _enum(case: Case) -> list[Finding]:
    return _choice(case, list(case.wanted))


def _pattern(case: Case) -> list[Finding]:
    if values := case.rule.get("x-values"):
        return _choice(case, list(values))
    key, value = case.key, case.node.value if isinstance(case.node, Scalar) else ""
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
        return []  # ``type`` says what is wrong with it
    lower = {it.lower(): it for it in values}
    aliases = case.rule.get("x-aliases", {})
    word = value.strip().lower()
    meant = aliases.get(word) or lower.get(word) or lower.get(nearest(word, list(lower), 0.5), "")
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


# -- sentences that need no Case
def shorten(word: str) -> str:
    return word if len(word) <= 40 else word[:39] + "…"


def unknown_key(key: str, entry: Entry, known: list[str], case: Case) -> Remark:
    if slip := on_line(entry.key.source.lines, entry.key.line):
        return slip.remark
    shown = shorten(key)
    meant = nearest(key.lower(), known)
    if meant:
        node = entry.node
        fix = f"{meant}: …" if isinstance(node, Scalar) else f"{meant}:"
        return Remark(
            f"没有 “{shown}” 这个设置项。是不是想写 “{meant}”？",
            f"Unknown setting '{shown}'. Did you mean '{meant}'?",
            fix,
        )
    zh, en = f"没有 “{shown}” 这个设置项。", f"Unknown setting '{shown}'."
    if case.kind == "defaults" and key in properties("bot"):
        zh = f"“{shown}” 每个机器人都不同，要写在各个机器人下面，不能写在 defaults 里。"
        en = f"'{shown}' differs from bot to bot; write it under each bot, not in defaults."
    elif case.kind == "top" and key in properties("bot"):
        zh = f"“{shown}” 要写在 bots 里的机器人下面（注意缩进），不能写在最外层。"
        en = f"'{shown}' belongs under a bot (mind the indentation), not at the top level."
    elif case.kind != "top" and key in properties("top"):
        zh = f"“{shown}” 要写在文件最外层（不缩进）。"
        en = f"'{shown}' belongs at the top level of the file (no indentation)."
    return Remark(zh, en)


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
        f"{key}: …",
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
        return not parts.hostname or parts.port == 0
    except ValueError:
        return True


def bad_address(key: str) -> tuple[str, str]:
    return (
        f"“{key}” 不是有效的网址：主机名或端口不对。",
        f"'{key}' is not a valid address: its host or port is wrong.",
    )
