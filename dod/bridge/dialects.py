"""Dify's Markdown as DingTalk shows it, line by line: on a card, and in a message.

The rules, their sources and what is only guessed about DingTalk: docs/markdown.md. What a card
gets can be turned back into what Dify sent, exactly (``tests/plain.py`` does it): whatever is added
has a form that the same rule never leaves in the text itself.
"""

import re
from collections.abc import Callable, Iterator

from dod.bridge.blocks import ITEM, Line, cells

# How one line, or the ``piece`` of it that stands on this page, is written. ``ended``: the piece
# reaches the line's newline. What is returned has its own newlines.
Dialect = Callable[[Line, str, bool], str]

BREAK = "<br>"  # a newline alone is nothing on a card
SPACER = " \t"  # the blank line that a table needs before it
_VERBATIM = frozenset({"blank", "fence", "code", "indented", "delimiter", "rule"})
_BREAK_END = re.compile(r"<br( *)/?>\Z", re.IGNORECASE)
_SPACER = re.compile(r" \t+\Z")
_TAG = re.compile(
    r"(<|&lt;|&#0*60;)"
    r"(?!/?(?:br|font)\b)(?=/?[a-z][\w-]*(?:[\s/>]|\Z)|!--)",
    re.IGNORECASE | re.ASCII,
)
_ANY_BREAK = re.compile(r"[ \t]{0,9}<br\s{0,9}/?>[ \t]{0,9}", re.IGNORECASE)
_TICKS = re.compile("`+")


def card(line: Line, piece: str, ended: bool) -> str:
    """A line for a card's Markdown variable."""
    newline = "\n" if ended else ""
    if line.kind == "blank":
        return piece + ("\t" if _SPACER.match(piece) else "") + newline
    if line.kind in _VERBATIM:
        return piece + newline
    written = escape(piece)
    if line.kind == "header" and line.before not in {None, "blank"}:
        written = SPACER + "\n" + written
    if ended and line.kind in {"paragraph", "quote"} and _may_break(piece):
        if _BREAK_END.search(written):
            written = _BREAK_END.sub(lambda tag: tag[0][:3] + " " + tag[0][3:], written)
        elif line.after == line.kind:
            written += BREAK
    return written + newline


def message(line: Line, piece: str, ended: bool) -> str:
    """A line for a message by webhook or robot: no tables, no nested lists, no HTML."""
    newline = "\n" if ended else ""
    whole = len(piece) == len(line.text)
    match line.kind:
        case "code":
            return piece + ("  " if ended else "") + newline
        case "header":
            return ""
        case "delimiter":
            head = _unbroken(" · ".join(f"**{cell}**" for cell in cells(line.table[0]) if cell))  # type: ignore[index]
            return newline if line.after == "row" else head + newline
        case "row" if whole and line.table:
            return _row(line) + newline
        case "rule" if line.before != "paragraph":
            return "———" + newline
        case "blank" | "fence" | "indented" | "rule":
            return piece + newline
        case "item" if whole:
            return _unbroken(escape(_flat(piece)), "  ") + newline
    same = ended and line.after == line.kind and line.kind in {"paragraph", "quote"}
    if same and (tag := _BREAK_END.search(piece)):
        piece = piece[: tag.start()]  # the newline breaks the line already
    prefix = "> " if line.kind == "quote" else ""
    return _unbroken(escape(piece), prefix) + ("  " if same else "") + newline


def escape(text: str) -> str:
    """``text`` with its HTML tags made visible: on phones they leave the whole text blank.

    ``<br>`` and ``<font>`` stay, and what is in backticks. What already was an entity becomes
    another spelling of it, so that both can be told apart again.
    """
    if "<" not in text and "&" not in text:
        return text
    return "".join(
        part if code else _TAG.sub(lambda found: _entity(found[1]), part)
        for code, part in spans(text)
    )


def _entity(found: str) -> str:
    match found:
        case "<":
            return "&lt;"
        case "&lt;":
            return "&#60;"
    return "&#0" + found[2:]


def spans(text: str) -> Iterator[tuple[bool, str]]:
    """``text`` in parts: inside backticks or not. Linear."""
    runs = [(run.start(), run.end()) for run in _TICKS.finditer(text)]
    partner: dict[int, int] = {}  # run → the next one of its length
    latest: dict[int, int] = {}
    for number in range(len(runs) - 1, -1, -1):
        length = runs[number][1] - runs[number][0]
        if length in latest:
            partner[number] = latest[length]
        latest[length] = number
    number = done = 0
    while number < len(runs):
        other = partner.get(number)
        if other is None:
            number += 1
            continue
        yield False, text[done : runs[number][0]]
        done = runs[other][1]
        yield True, text[runs[number][0] : done]
        number = other + 1
    yield False, text[done:]


def _may_break(piece: str) -> bool:
    """Not behind a backslash, which would show the tag, nor in code that goes on below."""
    if piece.endswith("\\"):
        return False
    return "`" not in piece or not any("`" in part for code, part in spans(piece) if not code)


def _unbroken(text: str, prefix: str = "") -> str:
    """``<br>`` as a line of its own, which goes on with ``prefix``."""
    if "<" not in text:
        return text
    parts = (part if code else _ANY_BREAK.sub("  \n" + prefix, part) for code, part in spans(text))
    return "".join(parts)


def _row(line: Line) -> str:
    """A row as an item of a list; each cell with the name of its column."""
    names = cells(line.table[0]) if line.table else []
    told = []
    for number, cell in enumerate(cells(line.text)):
        name = names[number] if number < len(names) else ""
        if cell:
            told.append(f"{name}: {cell}" if name else cell)
    return "- " + _unbroken(escape(" · ".join(told)), "  ")


def _flat(piece: str) -> str:
    """An item of an inner list as one of the outer: inner ones are not documented."""
    found = ITEM.match(piece)
    if found is None or len(found[1].expandtabs(4)) < 2:
        return piece
    number = found[2] + " " if found[2][0].isdigit() else ""
    return f"- ◦ {number}{piece[found.end() :]}"
