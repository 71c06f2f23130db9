"""What a schema cannot see, because it is in the writing: quotes, signs, placeholders, comments."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from dod.config.addresses import bad_address, bad_url
from dod.config.complaints import Finding
from dod.config.credentials import looks_secret
from dod.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from dod.config.problems import nearest, shorten
from dod.config.schema import Json, deref
from dod.config.source import Place, Remark
from dod.config.widesigns import CURLY, in_word
from dod.logs import MASK

_PLACEHOLDER = re.compile(r"\{([^\W\d]\w*)\}")
_WIDE_PLACEHOLDER = re.compile(r"｛\s*([^\W\d]\w*)\s*｝")
_DOLLAR = re.compile(r"\$(\w+)|\$\{(\w+)[^}]*\}")
UNFILLED = re.compile(r"\s*<[^<>]*>\s*")


def look(node: Node, rule: Json, path: tuple[str | int, ...], key: str = "") -> Iterator[Finding]:
    if isinstance(node, Mapping):
        rules = rule.get("properties", {})
        for name, entry in node.entries.items():
            below = deref(rules.get(name) or rule.get("patternProperties", {}).get("^.+$") or {})
            inner = (*path, name)
            for found in look(entry.node, below, inner, name):
                # A value is where its key is when it is not there at all.
                yield replace(found, place=_at(entry, found))
            if isinstance(entry.node, Mapping) and "x-placeholders" in below:
                yield from _placeholders(entry.node, below["x-placeholders"], inner)
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            yield from look(item, deref(rule.get("items", {})), (*path, number), key)
    else:
        yield from _look_at(node, rule, path, key)


def _at(entry: Entry, found: Finding) -> Place:
    node = entry.node
    hollow = isinstance(node, Scalar) and node.value is None and not node.text and not node.fault
    return entry.key if hollow and not found.warning else found.place


def _look_at(node: Scalar, rule: Json, path: tuple[str | int, ...], key: str) -> Iterator[Finding]:
    if node.fault:
        yield Finding(node.place, node.fault, path)
    elif node.value is None:
        if rule:
            remark = nothing_after(key, rule, node.place)
            item = isinstance(path[-1], int)
            yield Finding(node.place, replace(remark, fix="") if item else remark, path)
    elif isinstance(node.value, str) and rule:
        if found := _sign(node, node.value, rule, key, item=isinstance(path[-1], int)):
            yield Finding(*found, path)
            return
        if (
            rule.get("format") == "uri"
            and re.match(rule["pattern"], node.value)
            and bad_url(node.value)
        ):
            yield Finding(node.place, Remark(*bad_address(key)), path)
        if rule.get("writeOnly") and node.plain and re.match(r"\s+#\S", node.after):
            yield Finding(node.place, truncated(key), path, warning=True)


def _sign(
    node: Scalar, value: str, rule: Json, key: str, *, item: bool
) -> tuple[Place, Remark] | None:
    """What a keyboard, another program's syntax or an example left in a value that is no prose."""
    place, secret = node.place, bool(rule.get("writeOnly"))
    strict = item or _strict(rule)
    if not (secret or strict or "pattern" in rule or "enum" in rule):
        return None  # free text may well be “<…>”
    if UNFILLED.fullmatch(value):
        return place, unfilled(key)
    if node.plain and in_curly_quotes(value, strict=strict):
        return place, curly(key, value, secret=secret, item=item)
    if not strict or node.written.startswith("!secret"):
        return None
    if item and (match := re.search("[，、]", value)):
        return _inside(node, match.start()), wide_comma(key, value)
    if meant := _meant_tag(value):
        return place, tag_as_text(key, meant)
    if match := _DOLLAR.fullmatch(value):
        return place, dollar(key, match[1] or match[2])
    if found := in_word(value):
        offset, remark, word = found
        fix = "…" if secret else word
        written = f'{key}: ["{fix}"]' if item else f'{key}: "{fix}"' if secret else f"{key}: {fix}"
        return _inside(node, offset), replace(remark, fix=written)
    credential = secret or rule.get("x-reload") == "reconnect"
    if credential and (match := re.search("[^\\x00-\\x7f]", value)):
        return _inside(node, match.start()), foreign(key)
    return None


def _strict(rule: Json) -> bool:
    """Whether no white space, quote or full-width sign has business in such a value."""
    if "pattern" in rule:
        return not re.match(rule["pattern"], "a b")
    return "enum" in rule or rule.get("type") in {"integer", "boolean"}


def in_curly_quotes(value: str, *, strict: bool) -> bool:
    ends = (value[:1] in CURLY, value[-1:] in CURLY)
    return len(value) > 1 and (any(ends) if strict else all(ends))


def _inside(node: Scalar, offset: int) -> Place:
    """The place of the character ``offset`` of a value, where it is written as it is."""
    place = node.place
    if node.written or not place.text.startswith(node.text, place.column - 1):
        return place
    return place.source.at(place.line, place.column + offset)


def no_secret(value: str) -> bool:
    """Whether ``value``, where a secret should stand, is plainly none, and may be shown."""
    meant = _meant_tag(value)
    return bool(UNFILLED.fullmatch(value) or (meant and MASK not in meant))


def _meant_tag(value: str) -> str:
    """The tag that became text in ``value``, as it should be written."""
    match = re.fullmatch(r"(?:[!！]\s*)?(secret|env_var|include)s?\s+([\w./-]+)", value.strip())
    if not match:
        return ""
    return f"!{match[1]} {MASK if looks_secret(match[2]) else match[2]}"


def _placeholders(
    node: Mapping, known: list[str], path: tuple[str | int, ...]
) -> Iterator[Finding]:
    for name, entry in node.entries.items():
        value = entry.node
        if not isinstance(value, Scalar) or not isinstance(value.value, str):
            continue
        for word in dict.fromkeys(_WIDE_PLACEHOLDER.findall(value.value)):
            yield Finding(value.place, wide_placeholder(word, known), (*path, name))
        for word in dict.fromkeys(_PLACEHOLDER.findall(value.value)):
            if word not in known:
                yield Finding(value.place, unknown_placeholder(word, known), (*path, name))


# -- its sentences
def nothing_after(key: str, rule: Json, place: Place) -> Remark:
    default = rule.get("default")
    if match := re.search(r":\s+([#&])\S*\s*(#.*)?$", place.text):
        return Remark(
            f"“{key}” 后面是空的：没有引号时，“{match[1]}”"
            f"{'开始的是注释' if match[1] == '#' else '开始的是锚点'}；请给整个值加引号。",
            f"There is nothing after '{key}': without quotes, '{match[1]}' begins "
            f"{'a comment' if match[1] == '#' else 'an anchor'}. Quote the whole value.",
            f'{key}: "{match[1]}…"',
        )
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


def curly(key: str, value: str, *, secret: bool, item: bool = False) -> Remark:
    inner = "…" if secret else value.strip(CURLY + "\"'")
    return Remark(
        f"“{key}” 用了中文引号，引号会成为值的一部分；请改用英文引号，或不加引号。",
        f"'{key}' has curly quotes, which become part of the value; use ASCII quotes or none.",
        f'"{inner}"' if item else f'{key}: "{inner}"',
    )


def wide_comma(key: str, value: str) -> Remark:
    words = [it.strip() for it in re.split("[，、]", value) if it.strip()]
    return Remark(
        f"“{key}” 里的逗号是全角的，几项成了一项；请用英文逗号。",
        f"Full-width comma in '{key}': several items became one. Use ASCII commas.",
        f"{key}: [{', '.join(json.dumps(it, ensure_ascii=False) for it in words)}]",
    )


def tag_as_text(key: str, meant: str) -> Remark:
    tag = meant.split(maxsplit=1)[0]
    return Remark(
        f"“{key}” 的值被当作普通文字；标签 {tag} 要以英文感叹号开头，不加引号，感叹号后没有空格。",
        f"The value of '{key}' is read as mere text; write the tag {tag} with an ASCII '!', "
        "without quotes and without a space after the '!'.",
        f"{key}: {meant}",
    )


def foreign(key: str) -> Remark:
    return Remark(
        f"“{key}” 只由英文字母、数字和符号组成；请从控制台重新复制。",
        f"'{key}' has ASCII letters, digits and signs only; copy it from the console again.",
    )


def dollar(key: str, name: str) -> Remark:
    return Remark(
        f"“{key}” 里的 ${{…}} 不会被替换；要用环境变量请写 !env_var。",
        f"Nothing replaces the ${{…}} in '{key}'; write !env_var to use a variable.",
        f"{key}: !env_var {name}",
    )


def wide_placeholder(word: str, known: list[str]) -> Remark:
    meant = nearest(word.lower(), known, 0.5) or word
    return Remark(
        "占位符的括号是全角的；请用英文括号 { }。",
        "Full-width brackets around a placeholder; use ASCII ones: { }.",
        "{" + meant + "}",
    )


def truncated(key: str) -> Remark:
    return Remark(
        f"“{key}” 的值里有“ #”，从那里起被当作注释丢掉了；如果 # 是值的一部分，请加引号。",
        f"'{key}' is cut at ' #', where a comment begins. If the # belongs to the value, quote it.",
        f'{key}: "…"',
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
