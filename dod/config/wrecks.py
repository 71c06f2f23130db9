"""Where the YAML parser gave up, and the best explanation for it.

Rows that need what the parser said; what one can see on the line alone is in ``slips``. A further
explanation is one further function in a table.
"""

import re

from dod.config.slips import Slip, Wreck, on_line
from dod.config.source import Remark
from dod.config.stumbles import (
    after_bracket,
    after_pipe,
    after_quote,
    bare_star,
    colon_in_value,
    quote_above,
    special_start,
    unclosed_quote,
    undefined_alias,
)
from dod.config.widesigns import KEY, in_brackets


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
    if repaired := _aligned(wreck):
        remark = Remark(zh, en, repaired.rstrip(), "misaligned")
        return Slip(wreck.line, column, remark, repaired)
    other = wreck.begin_line if block else wreck.line - 1
    fix = f"与第 {other} 行开始的块对齐 · line up with the block of line {other}"
    return Slip(wreck.line, column, Remark(zh, en, fix if other >= 1 else ""))


def _aligned(wreck: Wreck) -> str | None:
    """The line where it lines up with the nearest one above it, if there is one so near."""
    text = wreck.text(wreck.line)
    body = text.lstrip()
    if not re.match(r"- |" + KEY + ":( |$)", body):
        return None
    columns = []
    for above in wreck.lines[max(0, wreck.line - 20) : wreck.line - 1]:
        match = re.match(r"(?P<indent> *)(?P<dash>(- +)?)" + KEY + ":( |$)", above)
        if match and (match["dash"] or not body.startswith("-")):
            columns.append(match.start("dash") if body.startswith("-") else match.end("dash"))
    now = len(text) - len(body)
    best = min(reversed(columns), key=lambda it: abs(it - now), default=now)
    return " " * best + body if 0 < abs(best - now) <= 3 else None


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
    quote_above,
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
