"""Where the YAML parser gave up, and the best explanation for it.

Rows that need what the parser said; what one can see on the line alone is in ``slips``. A further
explanation is one further function in a table.
"""

import re
from dataclasses import dataclass

from dod.config.problems import nearest
from dod.config.slips import Slip, on_line
from dod.config.source import Remark
from dod.config.widesigns import HEAD, in_brackets


@dataclass(frozen=True, slots=True)
class Wreck:
    """Where ruamel stopped (1-based), what it said, and where the thing began that it was in."""

    lines: tuple[str, ...]
    line: int
    column: int
    problem: str
    context: str = ""
    begin_line: int = 1
    begin_column: int = 1

    def text(self, line: int) -> str:
        return self.lines[line - 1] if 1 <= line <= len(self.lines) else ""


def second_document(wreck: Wreck) -> Slip | None:
    if "another document" not in wreck.problem:
        return None
    sign, line, column = "---", wreck.line, wreck.column
    if not wreck.text(line).startswith(sign):  # then a "..." has ended the first one
        above = [it for it in range(1, line) if wreck.text(it).startswith("...")]
        sign, line, column = "...", above[-1] if above else line, 1 if above else column
    zh = f"文件里有两个 YAML 文档（“{sign}” 分隔）；只支持一个，请合并并删掉 “{sign}”。"
    en = f"Two YAML documents ('{sign}'); only one is supported. Merge them and delete '{sign}'."
    return Slip(line, column, Remark(zh, en))


def undefined_alias(wreck: Wreck) -> Slip | None:
    match = re.search("undefined alias '([^']*)'", wreck.problem)
    if not match:
        return None
    text = wreck.text(wreck.line)
    value = re.match(HEAD + r":\s+(?P<value>\*.*[^\w\s-].*)$", text)
    if value and wreck.column == value.start("value") + 1:
        # ``**bold**``: no alias was meant at all.
        repaired = _quoted(text, value.start("value"))
        zh = "值以 “*” 开头，YAML 会当成引用；请给整个值加引号。"
        en = "A value that begins with '*' is read as an alias; quote the whole value."
        return Slip(wreck.line, wreck.column, Remark(zh, en, repaired.strip()), repaired)
    anchors = re.findall(r"&([\w-]+)", "\n".join(wreck.lines))
    meant = nearest(match[1], anchors, 0.5)
    zh = f"“*{match[1]}” 引用的 “&{match[1]}” 不存在；如果它是普通的值，请加引号。"
    en = f"'*{match[1]}' refers to '&{match[1]}', which is not there; quote it if it is a value."
    return Slip(wreck.line, wreck.column, Remark(zh, en, f"*{meant}" if meant else ""))


def tab_inside(wreck: Wreck) -> Slip | None:
    if "character '\\t'" not in wreck.problem:
        return None
    text, start = wreck.text(wreck.line), wreck.column - 1
    if "\t" not in text[start:]:
        return None
    start = text.index("\t", start)
    repaired = f"{text[:start]} {text[start:].lstrip()}"
    zh = "这里有一个 Tab 键；YAML 里请用空格。"
    en = "There is a tab here; YAML wants spaces."
    return Slip(wreck.line, start + 1, Remark(zh, en, repaired.strip()), repaired)


def wide_comma(wreck: Wreck) -> Slip | None:
    if "flow" not in wreck.context + wreck.problem:
        return None
    for line in range(wreck.begin_line, wreck.line + 1):
        text = wreck.text(line)
        start = wreck.begin_column - 1 if line == wreck.begin_line else 0
        repaired = in_brackets(text, start)
        if match := re.search("[，、：｛｝［］【】]", text[start:] if repaired != text else ""):
            zh = f"[ ] 或 {{ }} 里的“{match[0]}”是全角的；请用英文的逗号、冒号和括号。"
            en = f"Full-width '{match[0]}' inside [ ] or {{ }}; use ASCII commas, colons, brackets."
            place = start + match.start() + 1
            return Slip(line, place, Remark(zh, en, repaired.strip()), repaired)
    return None


def after_bracket(wreck: Wreck) -> Slip | None:
    if "expected <block end>" not in wreck.problem:
        return None
    text = wreck.text(wreck.line)
    match = re.match(HEAD + r":\s+(?P<value>(\[[^\]]*\]|\{[^}]*\})\s*[^\s#].*)$", text)
    if not match:
        return None
    repaired = _quoted(text, match.start("value"))
    zh = "值以 [ 或 { 开头，后面还有内容；请给整个值加引号。"
    en = "The value begins with '[' or '{' and goes on after it; quote the whole value."
    remark = Remark(zh, en, repaired.strip())
    return Slip(wreck.line, match.start("value") + 1, remark, repaired)


def after_pipe(wreck: Wreck) -> Slip | None:
    match = re.match(HEAD + r":\s+(?P<value>[|>].*\S)\s*$", wreck.text(wreck.line))
    if not match or "expected a comment or a line break" not in wreck.problem:
        return None
    repaired = _quoted(wreck.text(wreck.line), match.start("value"))
    zh = "“|” 和 “>” 后面要换行，文字从下一行开始；只有一行就给整个值加引号。"
    en = "After '|' or '>' the text begins on the next line; or quote the whole value."
    remark = Remark(zh, en, repaired.strip())
    return Slip(wreck.line, match.start("value") + 1, remark, repaired)


def _quoted(text: str, start: int) -> str:
    """``text`` with all from ``start`` in double quotes."""
    value = text[start:].rstrip().replace("\\", "\\\\").replace('"', '\\"')
    return f'{text[:start]}"{value}"'


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


def unclosed_quote(wreck: Wreck) -> Slip | None:
    if "quoted scalar" not in wreck.context:
        return None
    if "escape" in wreck.problem or "hexdecimal" in wreck.problem:
        zh = "双引号里的反斜杠 \\ 有特殊含义；含 \\ 的值请改用单引号。"
        en = "A backslash has a meaning of its own in double quotes; use single quotes."
        return Slip(wreck.line, wreck.column, Remark(zh, en, "'…\\…'"))
    zh = "这里开始的引号没有闭合（或双引号里有反斜杠）。"
    en = f"Unclosed quote or bad escape: {wreck.problem}"
    fix, repaired = "成对使用引号；含 \\ 的值改用单引号", _closed(wreck)
    remark = Remark(zh, en, repaired.strip() if repaired else fix)
    return Slip(wreck.begin_line, wreck.begin_column, remark, repaired)


def _closed(wreck: Wreck) -> str | None:
    """The line with its quote closed, where all of it can only be the value."""
    text, start = wreck.text(wreck.begin_line).rstrip(), wreck.begin_column - 1
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


def colon_in_value(wreck: Wreck) -> Slip | None:
    if "mapping values are not allowed" not in wreck.problem:
        return None
    text = wreck.text(wreck.line)
    match = re.match(HEAD + r":\s+(?P<value>[^\s\"'\[{|>&*!#].*:(\s.*|$))", text)
    if not match or wreck.column <= match.start("value"):
        return None
    if match["value"][0] in "｛［【「":
        return None
    repaired = _quoted(text, match.start("value"))
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


def open_bracket(wreck: Wreck) -> Slip | None:
    if "flow" not in wreck.context and "flow" not in wreck.problem:
        return None
    zh = "这里的 [ 或 { 没有正确闭合，或里面少了逗号。"
    en = "A '[' or '{' that is not closed properly, or a missing comma inside it."
    return Slip(wreck.begin_line, wreck.begin_column, Remark(zh, en))


def undefined_tag(wreck: Wreck) -> Slip | None:
    if "tag" not in wreck.problem + wreck.context:
        return None
    zh = "标签写法不对；只有 !secret、!env_var、!include，后面加一个空格。值以 “!” 开头要加引号。"
    en = (
        "Malformed tag: only !secret, !env_var and !include exist, followed by a space. "
        "Quote a value that begins with '!'."
    )
    return Slip(wreck.begin_line, wreck.begin_column, Remark(zh, en))


def misaligned(wreck: Wreck) -> Slip | None:
    block = "block" in wreck.context and "expected <block end>" in wreck.problem
    deeper = "mapping values are not allowed" in wreck.problem
    if not block and not deeper:
        return None
    text = wreck.text(wreck.line)
    column = len(text) - len(text.lstrip()) + 1
    zh = "缩进对不齐：同一层的每一行要从同一列开始。"
    en = "Indentation does not line up with the lines above."
    other = wreck.begin_line if block else wreck.line - 1
    fix = f"与第 {other} 行开始的块对齐 · line up with the block of line {other}"
    return Slip(wreck.line, column, Remark(zh, en, fix if other >= 1 else ""))


def too_much(wreck: Wreck) -> Slip | None:
    if "depth" in wreck.problem:
        zh, en = "嵌套太深。", "Nested too deeply."
    elif "too many nodes" in wreck.problem:
        zh, en = "文件内容太多（超过 10000 项）。", "Too much in this file: over 10,000 nodes."
    else:
        return None
    return Slip(wreck.line, wreck.column, Remark(zh, en))


def key_without_value(wreck: Wreck) -> Slip | None:
    if "could not find expected ':'" not in wreck.problem:
        return None
    zh = "这一行应该是“设置项: 值”，但没有找到冒号。"
    en = "Expected 'setting: value' here, but there is no ':'."
    return Slip(wreck.begin_line, wreck.begin_column, Remark(zh, en))


CERTAIN = (too_much, second_document, undefined_alias, bare_star, unclosed_quote, wide_comma)
LIKELY = (
    tab_inside,
    after_pipe,
    after_bracket,
    colon_in_value,
    after_quote,
    special_start,
    open_bracket,
    undefined_tag,
    key_without_value,
    misaligned,
)


def explain(wreck: Wreck) -> Slip:
    """The best explanation there is."""
    for certain in CERTAIN:
        if slip := certain(wreck):
            return slip
    if slip := colon_in_value(wreck):
        return slip
    for line in dict.fromkeys((wreck.line, wreck.begin_line, wreck.line - 1, wreck.line - 2)):
        if slip := on_line(wreck.lines, line):
            return slip
    for likely in LIKELY:
        if slip := likely(wreck):
            return slip
    zh = "这里的 YAML 写法有误，读到这里就读不下去了。"
    en = f"This is not valid YAML: {wreck.problem or wreck.context}"
    return Slip(wreck.line, wreck.column, Remark(zh, en))
