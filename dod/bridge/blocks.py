"""The lines of a Markdown text, and what each of them is: enough of it to cut and to translate.

No full parser: a line's kind follows from itself, the lines before it, and, for the head of a
table, the one after it. Linear in the text, because it is asked at each card update.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal[
    "blank",
    "fence",  # opens or closes a code block
    "code",  # inside of one
    "indented",  # code by four spaces
    "header",  # of a table
    "delimiter",  # below it
    "row",
    "rule",  # a line of dashes: a break, or the underline of a heading
    "heading",
    "item",  # of a list, with the lines that go on with it
    "quote",
    "paragraph",
]
# These are never cut in two, and longer ones are taken for plain text.
WHOLE: frozenset[Kind] = frozenset({"blank", "fence", "header", "delimiter", "rule"})
LONGEST = 400  # characters of a WHOLE line
_INFO_LONGEST = 20  # characters of a language's name

_FENCE = re.compile(r" {0,3}(?:(`{3,20})([^`]*)|(~{3,20})(.*))\Z")
_DELIMITER = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*\Z")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*)+|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|=+[ \t]*)\Z")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|\Z)")
ITEM = re.compile(r"(\s*)([-*+]|[0-9]{1,9}[.)])(?:\s+|\Z)")
_QUOTE = re.compile(r" {0,3}>")
_PIPE = re.compile(r"(?<!\\)\|")


class Fence(NamedTuple):
    """What opened a code block: its backticks or tildes, and the language's name."""

    marker: str
    info: str

    def closed_by(self, line: str) -> bool:
        mark = line.strip()
        return (
            len(mark) >= len(self.marker)
            and mark == self.marker[0] * len(mark)
            and not line.startswith("    ")
        )


@dataclass(frozen=True, slots=True)
class Line:
    """``start``: its offset in the text. ``fence``, ``table``: what is open *before* it.

    ``table`` is a row's head: the header's and the delimiter's text. ``ended``: by a newline.
    """

    start: int
    text: str
    kind: Kind
    ended: bool
    fence: Fence | None = None
    table: tuple[str, str] | None = None
    before: Kind | None = None  # kind of the line before
    after: Kind | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.text) + self.ended


class Scanner:
    """Tells lines apart, one after the other. ``longest``: see ``LONGEST``."""

    def __init__(self, longest: int = LONGEST) -> None:
        self.fence: Fence | None = None
        self.table: tuple[str, str] | None = None
        self._longest = longest
        self._before: Kind | None = None
        self._in_list = False

    def take(self, line: str, following: str | None) -> Kind:
        """The kind of the next line; ``following`` is the one after it, if there is one."""
        kind = self._kind(line, following)
        if kind not in {"row", "delimiter"}:
            self.table = (line, following or "") if kind == "header" else None
        if kind == "item":
            self._in_list = True
        elif kind != "blank" and self.fence is None:
            self._in_list = False
        self._before = kind
        return kind

    def _kind(self, line: str, following: str | None) -> Kind:
        short = len(line) <= self._longest
        if self.fence is not None:
            if short and self.fence.closed_by(line):
                self.fence = None
                return "fence"
            return "code"
        if self._before == "header":
            return "delimiter"
        if short and not line.strip():
            return "blank"
        if short and (opening := _FENCE.match(line)):
            info = (opening[2] or opening[4] or "").strip().split(" ")[0]
            plain = info.isascii() and info.isprintable() and len(info) <= _INFO_LONGEST
            self.fence = Fence(opening[1] or opening[3], info if plain else "")
            return "fence"
        if self.table and "|" in line:
            return "row"
        if "|" in line and following is not None and self._is_head(line, following):
            return "header"
        return self._prose(line, short=short)

    def _prose(self, line: str, *, short: bool) -> Kind:
        """Heading, rule, list, quote, indented code, or just text."""
        indented = line.startswith(("    ", "\t"))
        if not self._in_list and indented and self._before in {None, "blank", "indented"}:
            return "indented"
        if short and _RULE.match(line):
            return "rule"
        if ITEM.match(line):
            return "item"
        if _HEADING.match(line):
            return "heading"
        if _QUOTE.match(line):
            return "quote"
        goes_on = self._before == "item" or line.startswith(("  ", "\t"))
        return "item" if self._in_list and goes_on else "paragraph"

    def _is_head(self, line: str, following: str) -> bool:
        if len(line) + len(following) > self._longest or "|" not in following:
            return False
        if not _DELIMITER.match(following):
            return False
        return len(cells(line)) == len(cells(following))


def cells(row: str) -> list[str]:
    """The cells of a table's row."""
    inner = row.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.strip() for cell in _PIPE.split(inner)]


def scan(text: str, longest: int = LONGEST) -> list[Line]:
    """All lines of ``text``; the last one has no newline and may be empty."""
    scanner = Scanner(longest)
    texts = text.split("\n")
    found = []
    start = 0
    before: Kind | None = None
    for number, line in enumerate(texts):
        last = number == len(texts) - 1
        fence = scanner.fence
        kind = scanner.take(line, None if last else texts[number + 1])
        found.append((start, line, kind, not last, fence, scanner.table, before))
        before = kind
        start += len(line) + 1
    kinds: list[Kind | None] = [*(one[2] for one in found[1:]), None]
    return [Line(*one, after=after) for one, after in zip(found, kinds, strict=True)]


def open_fence(text: str) -> Fence | None:
    """The code block that is open at the end of ``text``."""
    if "```" not in text and "~~~" not in text:
        return None
    scanner = Scanner()
    texts = text.split("\n")
    for number, line in enumerate(texts):
        scanner.take(line, texts[number + 1] if number + 1 < len(texts) else None)
    return scanner.fence
