"""Why a text is no YAML, told by what people actually type.

YAML legal elsewhere is never complained about: these rows run only when the parser has given up,
on the line it gave up at and the two above, since it notices most slips a line late
(appliance §2, 26-47). A further explanation is one further function in a table.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from dod.config.source import Remark
from dod.config.widesigns import (
    HEAD,
    KEY,
    Found,
    wide_bracket,
    wide_colon,
    wide_dash,
    wide_gap,
    wide_hash,
    wide_indent,
)


@dataclass(frozen=True, slots=True)
class Slip:
    """``repaired``: the line as it should be, if that is certain enough to read on."""

    line: int
    column: int
    remark: Remark
    repaired: str | None = None


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


# -- one line is enough to see these: (column, sentences, repaired line)


def conflict(line: str, _above: str) -> Found:
    if not re.match(r"(<{7}|={7}|>{7}|\|{7})(\s|$)", line):
        return None
    return (
        1,
        Remark(
            "这是版本合并留下的冲突标记，请选定内容并删掉标记行。",
            "A merge-conflict marker: choose one side and delete the marker lines.",
        ),
        None,
    )


def tab_indent(line: str, above: str) -> Found:
    match = re.match(r"( *)\t\s*", line)
    if not match or not line.strip():
        return None
    repaired = " " * _indent_after(above) + line[match.end() :]
    return (
        len(match[1]) + 1,
        Remark(
            "缩进里有 Tab 键；YAML 只能用空格缩进。",
            "Tab used for indentation; YAML allows spaces only.",
            repaired.rstrip(),
            "tab",
        ),
        repaired,
    )


def fence(line: str, _above: str) -> Found:
    if not re.match(r"\s*(```|~~~)", line):
        return None
    return (
        len(line) - len(line.lstrip()) + 1,
        Remark(
            "这是 Markdown 代码块的标记（从网页或聊天里复制时带来的），请删掉这一行。",
            "This marks a block of code in Markdown, copied along with it; delete the line.",
        ),
        "",
    )


def dash_without_space(line: str, _above: str) -> Found:
    match = re.match(rf"(\s*)-(?={KEY}\s*[:：])", line)
    if not match:
        return None
    repaired = f"{match[1]}- {line[match.end() :]}"
    return (
        match.end() + 1,
        Remark(
            "横线 “-” 后面少了一个空格。",
            "Missing space after '-'.",
            repaired.strip(),
        ),
        repaired,
    )


def wrong_colon(line: str, _above: str) -> Found:
    match = re.match(HEAD + r"\s*(?P<sign>[=＝；;∶﹕︰])\s*", line)
    if not match:
        return None
    repaired = f"{match['indent']}{match['key']}: {line[match.end() :]}"
    return (
        match.start("sign") + 1,
        Remark(
            f"设置项和值之间要用英文冒号加一个空格，不是“{match['sign']}”。",
            f"Between a setting and its value stands ': ', not '{match['sign']}'.",
            repaired.strip(),
        ),
        repaired,
    )


def missing_space(line: str, _above: str) -> Found:
    match = re.match(HEAD + r":(?=[^\s:/])", line)
    if not match:
        return None
    repaired = f"{match.group()} {line[match.end() :]}"
    return (
        match.end(),
        Remark("冒号后面少了一个空格。", "Missing space after ':'.", repaired.strip()),
        repaired,
    )


def missing_colon(line: str, _above: str) -> Found:
    match = re.match(r"^(?P<indent>\s*(?:-\s+)*)(?P<key>[a-z]+(?:_[a-z]+)+)\s+(?=[^\s:])", line)
    if not match or ": " in line:
        return None
    repaired = f"{match['indent']}{match['key']}: {line[match.end() :]}"
    return (
        match.end("key") + 1,
        Remark("设置项后面少了冒号。", "Missing ':' after the setting.", repaired.strip()),
        repaired,
    )


LINE_SLIPS: tuple[Callable[[str, str], Found], ...] = (
    conflict,
    tab_indent,
    wide_indent,
    wide_hash,
    fence,
    wide_dash,
    dash_without_space,
    wide_gap,
    wide_colon,
    wide_bracket,
    missing_space,
    wrong_colon,
    missing_colon,
)


def on_line(lines: tuple[str, ...], line: int) -> Slip | None:
    """The slip on ``line`` (1-based) that one can see by looking at it."""
    text = lines[line - 1] if 1 <= line <= len(lines) else ""
    if not text.strip() or text.lstrip().startswith("#"):
        return None
    above = next((it for it in lines[max(0, line - 20) : line - 1][::-1] if it.strip()), "")
    for look in LINE_SLIPS:
        if found := look(text, above):
            return Slip(line, *found)
    return None


def _indent_after(above: str) -> int:
    """Where a line below ``above`` most likely begins."""
    body = above.lstrip(" -") if above.lstrip().startswith("-") else above.lstrip()
    return len(above) - len(body) + (2 if above.rstrip().endswith(":") else 0)
