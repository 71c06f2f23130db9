"""Values that YAML stumbles over: their quotes, and what a value must not begin with or contain.

Rows of the table in ``wrecks``: each needs to know where the parser stopped and what it said.
"""

import re

from dod.config.problems import nearest
from dod.config.slips import Slip, Wreck
from dod.config.source import Remark
from dod.config.widesigns import HEAD


def unclosed_quote(wreck: Wreck) -> Slip | None:
    if "quoted scalar" not in wreck.context:
        return None
    if "escape" in wreck.problem or "hexdecimal" in wreck.problem:
        zh = "双引号里的反斜杠 \\ 有特殊含义；含 \\ 的值请改用单引号。"
        en = "A backslash has a meaning of its own in double quotes; use single quotes."
        return Slip(wreck.line, wreck.column, Remark(zh, en, "'…\\…'"))
    zh = "这里开始的引号没有闭合（或双引号里有反斜杠）。"
    en = f"Unclosed quote or bad escape: {wreck.problem}"
    fix = "成对使用引号；含 \\ 的值改用单引号"
    repaired = _closed(wreck.text(wreck.begin_line).rstrip(), wreck.begin_column - 1)
    remark = Remark(zh, en, repaired.strip() if repaired else fix)
    return Slip(wreck.begin_line, wreck.begin_column, remark, repaired)


def quote_above(wreck: Wreck) -> Slip | None:
    """A quote that was closed only by the first one of a later value."""
    if "expected <block end>" not in wreck.problem:
        return None
    for line in range(wreck.line - 1, max(0, wreck.line - 30), -1):
        text = wreck.text(line).rstrip()
        match = re.match(HEAD + r":\s+(?P<quote>[\"'])", text)
        if not match or match["quote"] in text[match.end() :]:
            continue
        if match["quote"] not in wreck.text(wreck.line):
            return None
        start = match.end() - 1
        repaired = _closed(text, start)
        zh = "这里开始的引号没有闭合（或双引号里有反斜杠）。"
        en = f"Unclosed quote: it ends only on line {wreck.line}."
        return Slip(line, start + 1, Remark(zh, en, (repaired or "").strip()), repaired)
    return None


def _closed(text: str, start: int) -> str | None:
    """The line with the quote at ``start`` closed, where all of it can only be the value."""
    match = re.match(HEAD + ":\\s+", text)
    value = text[start + 1 :]
    if not match or match.end() != start or re.search(r"[\"'\\#]", value.removesuffix("'")):
        return None
    if value.endswith(("'", "”", "’")):  # begun with one kind, ended with another
        value = value[:-1]
    return f"{text[: start + 1]}{value}{text[start]}"


def after_quote(wreck: Wreck) -> Slip | None:
    match = re.match(HEAD + r":\s+([\"']).*?\3(?=\s*[^\s#,}\]])", wreck.text(wreck.line))
    if not match or "expected <block end>" not in wreck.problem:
        return None
    zh = "引号后面还有内容；要么整个值都放进引号，要么在值里不用引号。"
    en = "There is text after the closing quote; put the whole value in quotes."
    return Slip(wreck.line, match.end() + 1, Remark(zh, en))


def after_bracket(wreck: Wreck) -> Slip | None:
    if "expected <block end>" not in wreck.problem:
        return None
    text = wreck.text(wreck.line)
    match = re.match(HEAD + r":\s+(?P<value>(\[[^\]]*\]|\{[^}]*\})\s*[^\s#].*)$", text)
    if not match:
        return None
    repaired = quoted(text, match.start("value"))
    zh = "值以 [ 或 { 开头，后面还有内容；请给整个值加引号。"
    en = "The value begins with '[' or '{' and goes on after it; quote the whole value."
    remark = Remark(zh, en, repaired.strip())
    return Slip(wreck.line, match.start("value") + 1, remark, repaired)


def after_pipe(wreck: Wreck) -> Slip | None:
    match = re.match(HEAD + r":\s+(?P<value>[|>].*\S)\s*$", wreck.text(wreck.line))
    if not match or "expected a comment or a line break" not in wreck.problem:
        return None
    repaired = quoted(wreck.text(wreck.line), match.start("value"))
    zh = "“|” 和 “>” 后面要换行，文字从下一行开始；只有一行就给整个值加引号。"
    en = "After '|' or '>' the text begins on the next line; or quote the whole value."
    remark = Remark(zh, en, repaired.strip())
    return Slip(wreck.line, match.start("value") + 1, remark, repaired)


def colon_in_value(wreck: Wreck) -> Slip | None:
    if "mapping values are not allowed" not in wreck.problem:
        return None
    text = wreck.text(wreck.line)
    match = re.match(HEAD + r":\s+(?P<value>[^\s\"'\[{|>&*!#].*:(\s.*|$))", text)
    if not match or wreck.column <= match.start("value"):
        return None
    if match["value"][0] in "｛［【「":
        return None
    repaired = quoted(text, match.start("value"))
    zh, en = "值里含有“: ”，必须加引号。", "The value contains ': ' and must be quoted."
    remark = Remark(zh, en, repaired.strip())
    return Slip(wreck.line, match.start("value") + 1, remark, repaired)


def special_start(wreck: Wreck) -> Slip | None:
    match = re.search(r"found character '(.)' that cannot start any token", wreck.problem)
    if not match or match[1] == "\t":
        return None
    text, start = wreck.text(wreck.line), wreck.column - 1
    zh = f"值不能以 “{match[1]}” 开头；请给整个值加引号。"
    en = f"A value must not begin with '{match[1]}'; quote the whole value."
    value = text[start:].rstrip()
    if '"' in value or "\\" in value or not re.search(r"[:\-]\s+$", text[:start]):
        return Slip(wreck.line, wreck.column, Remark(zh, en))
    repaired = f'{text[:start]}"{value}"'
    return Slip(wreck.line, wreck.column, Remark(zh, en, repaired.strip()), repaired)


def bare_star(wreck: Wreck) -> Slip | None:
    if "alias" not in wreck.problem + wreck.context:
        return None
    line, column = (
        (wreck.begin_line, wreck.begin_column) if wreck.context else (wreck.line, wreck.column)
    )
    text = wreck.text(line)
    zh = "“*” 在 YAML 里有特殊含义；表示“所有”时要加引号。"
    en = "'*' has a meaning of its own in YAML; quote it to say “everybody”."
    rest = text[column - 1 :]
    if not re.match(r"\*\s*([,\]}].*)?$", rest):
        return Slip(line, column, Remark(zh, en, '"*"'))
    repaired = f'{text[: column - 1]}"*"{rest[1:]}'
    return Slip(line, column, Remark(zh, en, repaired.strip()), repaired)


def undefined_alias(wreck: Wreck) -> Slip | None:
    match = re.search("undefined alias '([^']*)'", wreck.problem)
    if not match:
        return None
    text = wreck.text(wreck.line)
    value = re.match(HEAD + r":\s+(?P<value>\*.*[^\w\s-].*)$", text)
    if value and wreck.column == value.start("value") + 1:
        # ``**bold**``: no alias was meant at all.
        repaired = quoted(text, value.start("value"))
        zh = "值以 “*” 开头，YAML 会当成引用；请给整个值加引号。"
        en = "A value that begins with '*' is read as an alias; quote the whole value."
        return Slip(wreck.line, wreck.column, Remark(zh, en, repaired.strip()), repaired)
    anchors = re.findall(r"&([\w-]+)", "\n".join(wreck.lines))
    meant = nearest(match[1], anchors, 0.5)
    zh = f"“*{match[1]}” 引用的 “&{match[1]}” 不存在；如果它是普通的值，请加引号。"
    en = f"'*{match[1]}' refers to '&{match[1]}', which is not there; quote it if it is a value."
    return Slip(wreck.line, wreck.column, Remark(zh, en, f"*{meant}" if meant else ""))


def quoted(text: str, start: int) -> str:
    """``text`` with all from ``start`` in double quotes."""
    value = text[start:].rstrip().replace("\\", "\\\\").replace('"', '\\"')
    return f'{text[:start]}"{value}"'
