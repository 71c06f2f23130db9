"""A long text on several cards: where each ends, and how it is written there.

A page is a part of the text that Dify sent, from ``start`` to ``end``, written in a dialect. Cut
between blocks, else lines, else sentences; a code block that spans a cut is closed and opened
again, a table gets its head again. Sizes are UTF-8 bytes of what is written.
"""

import bisect
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dod.bridge.blocks import LONGEST, WHOLE, Fence, Line, open_fence, scan
from dod.bridge.dialects import Dialect, card, escape

CARD_MAX_BYTES = 9000  # undocumented; blank cards were seen above some 3,000 Chinese characters
FEWEST_BYTES = 1000  # a card that takes less than this is no card

ELLIPSIS = "…"  # written before a page that would be blank: DingTalk refuses those
_AHEAD = 4  # lines: what comes after so many changes neither what a line is nor where it is cut
_SETTLED = 400  # characters: what comes after so much no longer changes what a line is
_ENDS = ("。", "！", "？", ". ", "! ", "? ", "；", "; ", "，", ", ", " ")


@dataclass(frozen=True, slots=True)
class Page:
    """``end``: offset in the text at which the next page begins. ``full``: it does begin there.

    While the text still grows a page may be longer than it can show and yet not ``full``: the lines
    at its end are not known for what they are.
    """

    text: str
    end: int
    full: bool


class _Cut(NamedTuple):
    """A place where a page may end: before line ``line``, with ``size`` bytes so far."""

    line: int
    size: int
    rank: int


def pages(text: str, max_bytes: int = CARD_MAX_BYTES, dialect: Dialect = card) -> list[str]:
    """A complete ``text`` in pages of at most ``max_bytes``."""
    found = []
    start = 0
    while True:
        made = page(text, start, max_bytes, dialect)
        found.append(made.text)
        if not made.full:
            return found
        start = made.end


def page(
    text: str,
    start: int = 0,
    max_bytes: int = CARD_MAX_BYTES,
    dialect: Dialect = card,
    *,
    complete: bool = True,
) -> Page:
    """The page of ``text`` that begins at ``start``. ``complete``: no more text will come."""
    reach = start + max_bytes
    while True:
        reach = _lines_on(text, reach)
        maker = _Maker(text, start, max_bytes, dialect, reach)
        made = maker.make(complete=complete)
        if reach == len(text) or maker.settled:
            return made
        reach = 2 * reach


def _lines_on(text: str, at: int) -> int:
    """Where the lines end that follow the one at ``at``, as many as a page looks ahead."""
    for _ in range(_AHEAD + 1):
        at = text.find("\n", at) + 1
        if not at:
            return len(text)
    return at


def continued(text: str, start: int) -> str:
    """The rest of ``text``, as Dify sent it; a code block that is cut there is opened again."""
    fence = open_fence(text[:start])
    return (f"{fence.marker}{fence.info}\n" if fence else "") + text[start:]


class _Maker:
    """One page in the making, looking at ``text`` up to ``reach``.

    ``settled``: what comes behind that would make no difference.
    """

    def __init__(self, text: str, start: int, max_bytes: int, dialect: Dialect, reach: int) -> None:
        self.settled = False
        self._text, self._start, self._dialect = text, start, dialect
        self._max = max_bytes - len(ELLIPSIS.encode())
        self._lines = scan(text[:reach], longest(max_bytes))
        starts = [line.start for line in self._lines]
        self._first = max(0, bisect.bisect_right(starts, start) - 1)
        self._prefix = self._opening()

    def make(self, *, complete: bool) -> Page:
        written = [self._prefix]
        size = len(self._prefix.encode())
        cuts: list[_Cut] = []
        for number in range(self._first, len(self._lines)):
            line = self._lines[number]
            if line.start > self._start and (rank := _rank(self._lines, number)):
                cuts.append(_Cut(number, size, rank))
            piece = self._dialect(line, line.text[max(0, self._start - line.start) :], line.ended)
            more = len(piece.encode())
            if size + more + self._closing_room(number) > self._max:
                self.settled = number < len(self._lines) - _AHEAD
                return self._cut(written, cuts, number, size, complete=complete)
            written.append(piece)
            size += more
        return self._page(written, len(self._text), self._open_at_end(), full=False)

    def _cut(
        self, written: list[str], cuts: Sequence[_Cut], over: int, size: int, *, complete: bool
    ) -> Page:
        """End the page, at the latest within line ``over``, which does not fit any more."""
        good = [cut for cut in cuts if cut.size > self._max // 2]
        line = self._lines[over]
        if good:
            chosen = max(good, key=lambda cut: (cut.rank, cut.line))
        elif line.kind not in WHOLE:
            return self._split(written, line, size, complete=complete)
        elif cuts:
            chosen = cuts[-1]
        else:  # one line that must not be cut, on a page smaller than that
            chosen = _Cut(over + 1, size, 0)
            written = [*written, self._dialect(line, line.text, line.ended)]
            if over + 1 == len(self._lines):
                return self._page(written, len(self._text), None, full=False)
        end = self._lines[chosen.line]
        kept = written[: 1 + chosen.line - self._first]
        settled = complete or over < len(self._lines) - 2
        return self._page(kept, end.start, end.fence, full=settled or self._far_from(end.start))

    def _split(self, written: list[str], line: Line, size: int, *, complete: bool) -> Page:
        """End the page inside of ``line``: behind a sentence, if there is one."""
        begin = max(self._start, line.start)
        rest = line.text[begin - line.start :]
        room = self._max - size - (_closing(line.fence) if line.fence else 0)
        length = len(rest.encode()[: max(room, 4)].decode(errors="ignore")) or 1
        while length > 1 and len(self._dialect(line, rest[:length], False).encode()) > room:
            length = max(1, length * 7 // 8)
        if line.kind not in {"code", "indented"}:
            length = _sentence(rest, length)
        length = _whole_letters(rest, length)
        piece = self._dialect(line, rest[:length], False)
        end = begin + length
        full = complete or self._far_from(end)
        return self._page([*written, piece], end, line.fence, full=full)

    def _page(self, written: list[str], end: int, fence: Fence | None, *, full: bool) -> Page:
        body = "".join(written)
        if fence is not None:
            # Two spaces: the newline is ours, too. Nothing that Dify sends looks like this.
            body += fence.marker + " " if body.endswith("\n") else "\n" + fence.marker + "  "
        elif not full and self._ends_in_fence():
            body += _guard(body)
        if not body.strip(ELLIPSIS + " \t\r\n\f\v"):
            body = ELLIPSIS + body if body else body
        return Page(body, end, full)

    def _opening(self) -> str:
        """What a page needs before it because of the pages before."""
        line = self._lines[self._first]
        inside = self._start > line.start
        if line.fence is not None:
            return line.fence.marker + line.fence.info + "\n"
        if line.kind == "row" and line.table and not inside and self._dialect is card:
            header, delimiter = line.table
            return f"{escape(header)}\n{delimiter}\n"
        return ""

    def _closing_room(self, number: int) -> int:
        """Bytes to close the code block that is open behind this line."""
        if number + 1 < len(self._lines):
            fence = self._lines[number + 1].fence
        else:
            fence = self._open_at_end()
        return _closing(fence) if fence else 0

    def _open_at_end(self) -> Fence | None:
        last = self._lines[-1]
        if last.kind == "fence":
            return None if last.fence else _opened(last, longest(self._max + 3))
        return last.fence

    def _ends_in_fence(self) -> bool:
        last = self._lines[-1]
        return last.kind == "fence" and last.fence is not None

    def _far_from(self, end: int) -> bool:
        return len(self._text) - end > _SETTLED


def longest(max_bytes: int) -> int:
    """How long a line may be, in characters, that is never cut in two on such pages."""
    return min(LONGEST, max_bytes // 20)


def _opened(line: Line, limit: int) -> Fence | None:
    return scan(line.text + "\n", limit)[-1].fence


def _closing(fence: Fence) -> int:
    return len(fence.marker) + 3


def _guard(body: str) -> str:
    """Spaces that keep a text's own last fence apart from one that was added (see ``_page``)."""
    return "  " if body.endswith((" ", "\t")) else ""


def _rank(lines: Sequence[Line], number: int) -> int:
    """How good it is to cut before this line: 0 not at all, 4 between blocks."""
    line, before = lines[number], lines[number - 1]
    if line.kind == "delimiter" or (line.kind == "fence" and line.fence):
        return 0  # belongs to the line before
    if before.kind == "fence" and not before.fence:
        return 0  # nothing of the code would be on this page
    if before.kind == "delimiter" and line.kind == "row":
        return 0
    if line.kind in {"code", "row"}:
        return 1
    if line.kind in {"blank", "rule"} or _under_heading(lines, number):
        return 1
    if line.kind == "heading" or before.kind in {"blank", "fence", "row", "rule"}:
        return 4
    return 3 if line.kind == "item" else 2


def _under_heading(lines: Sequence[Line], number: int) -> bool:
    before = lines[number - 1]
    return "heading" in {before.kind, before.before if before.kind == "blank" else None}


def _sentence(text: str, length: int) -> int:
    """At most ``length``, behind a sentence if one ends in its second half."""
    head = text[:length]
    for end in _ENDS:
        at = head.rfind(end)
        if at > length // 2:
            return at + len(end)
    return length


def _whole_letters(text: str, length: int) -> int:
    """At most ``length``, not inside of what is seen as one letter (an emoji of several)."""
    for back in range(min(16, length - 1)):
        at = length - back
        if at >= len(text) or not (_joins(text[at]) or text[at - 1] == "\u200d"):
            return at
    return length


def _joins(char: str) -> bool:
    return (
        unicodedata.combining(char) > 0
        or char in "\u200d\ufe0f\u20e3"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
    )
