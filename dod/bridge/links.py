"""Links and pictures in Markdown, found in one pass: people and models write any text.

Code is no link. Brackets and parentheses may be balanced inside, as CommonMark has it. Every scan
is bounded, so that no text takes longer than its length.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_ALT = 400  # characters
_ADDRESS = 3000
_DEPTH = 8  # parentheses within parentheses
_CODE = re.compile(
    r"(?:^|\n)(?P<fence>```++|~~~++)[^\n]*\n.*?(?:\n(?P=fence)|\Z)"
    r"|(?<!`)(?P<tick>`+)(?!`)[^`]{1,2000}(?P=tick)(?!`)",
    re.DOTALL,
)
_PIECE = re.compile(r"[^\s()<>]*")
_TITLE = re.compile(r"""\s{1,9}(?:"[^"\n]{0,300}"|'[^'\n]{0,300}')?\s{0,9}\)""")
_WORD_ENDS = frozenset(" \t\n()<>\"'[]，。；（）")


@dataclass(frozen=True, slots=True)
class Link:
    """``text[start:end]`` is ``[alt](address)``, with a ``!`` in front for a picture."""

    start: int
    end: int
    picture: bool
    alt: str
    address: str


def links(text: str) -> Iterator[Link]:
    """All of them, in the order of their ends: a picture comes before the link around it."""
    middle = text.find("](")
    code = (
        _code(text) if middle >= 0 else []
    )  # most texts have no link, and are asked at each update
    while middle >= 0:
        if not _inside(code, middle):
            start = _opening(text, middle)
            target = _target(text, middle + 2) if start >= 0 else None
            if target is not None:
                address, end = target
                picture = start > 0 and text[start - 1] == "!"
                yield Link(start - picture, end, picture, text[start + 1 : middle], address)
        middle = text.find("](", middle + 2)


def replaced(text: str, replacement: Callable[[Link], str | None]) -> str:
    """``text`` with some links replaced; None leaves one as it is. The inner one goes first."""
    done: list[tuple[int, int, str]] = []
    for link in links(text):
        new = replacement(link)
        if new is not None:
            done = [it for it in done if it[0] < link.start]  # what is inside goes with it
            done.append((link.start, link.end, new))
    whole, position = [], 0
    for start, end, new in done:
        whole += [text[position:start], new]
        position = end
    return "".join([*whole, text[position:]])


def unfinished(text: str) -> int:
    """Where a link begins that is still being written; the length of ``text`` if none is."""
    start = text.rfind("[", max(0, len(text) - _ALT - _ADDRESS))
    if start < 0:
        return len(text) - text.endswith("!")
    rest = text[start:]
    middle = rest.find("]")
    half = "\n\n" not in rest and (
        (middle < 0 and len(rest) < _ALT)
        or middle == len(rest) - 1
        or (rest.startswith("](", middle) and _target(text, start + middle + 2) is None)
    )
    if not half or " " in rest[middle + 2 :].strip():
        return len(text) - text.endswith("!")
    return start - (start > 0 and text[start - 1] == "!")


def words_with(text: str, part: str) -> Iterator[tuple[int, int]]:
    """Where the words stand that hold ``part``: bare addresses, in HTML, behind a colon."""
    code = _code(text)
    at = text.find(part)
    while at >= 0:
        if _inside(code, at):
            at = text.find(part, at + len(part))
            continue
        start, end = at, at + len(part)
        while start > 0 and at - start < _ALT and text[start - 1] not in _WORD_ENDS:
            start -= 1
        while end < len(text) and end - at < _ADDRESS and text[end] not in _WORD_ENDS:
            end += 1
        yield start, end
        at = text.find(part, end)


def _code(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in _CODE.finditer(text)] if "`" in text or "~~~" in text else []


def _inside(spans: list[tuple[int, int]], at: int) -> bool:
    while spans and spans[0][1] <= at:  # asked in ascending order
        spans.pop(0)
    return bool(spans) and spans[0][0] <= at


def _opening(text: str, middle: int) -> int:
    """The bracket that belongs to the one at ``middle``; -1 if there is none near."""
    least = max(0, middle - _ALT)
    start = text.rfind("[", least, middle)
    while start >= 0 and text.count("]", start, middle) > text.count("[", start + 1, middle):
        start = text.rfind("[", least, start)
    return start if start >= 0 and "\n\n" not in text[start:middle] else -1


def _target(text: str, at: int) -> tuple[str, int] | None:
    """The address from ``at`` on, and where the link ends."""
    begin = at
    while begin < len(text) and begin - at < 9 and text[begin] in " \t\n":
        begin += 1
    if text.startswith("<", begin):
        close = text.find(">", begin, begin + _ADDRESS)
        if close < 0 or "\n" in text[begin:close]:
            return None
        return _closed(text, text[begin + 1 : close], close + 1)
    position, depth = begin, 0
    while position - begin <= _ADDRESS:
        piece = _PIECE.match(text, position, begin + _ADDRESS + 1)
        position = piece.end() if piece else position
        sign = text[position : position + 1]
        if sign == "(" and depth < _DEPTH:
            depth += 1
        elif sign == ")" and depth:
            depth -= 1
        else:
            address = text[begin:position]
            return _closed(text, address, position) if address and not depth else None
        position += 1
    return None


def _closed(text: str, address: str, at: int) -> tuple[str, int] | None:
    if text.startswith(")", at):
        return address, at + 1
    title = _TITLE.match(text, at)
    return (address, title.end()) if title else None
