"""The rules of docs/markdown.md backwards: from what stands on the cards to what Dify sent.

Written from the rules, not from the code that applies them: it shares with that only the question
what kind of line a line is.
"""

import copy
import re
from collections.abc import Sequence

from dod.bridge.blocks import Kind, Scanner

TRANSLATED = {"heading", "item", "quote", "paragraph", "header", "row"}
TAG = re.compile(
    r"(&lt;|&#0*60;)(?!/?(?:br|font)\b)(?=/?[a-z][\w-]*(?:[\s/>]|\Z)|!--)",
    re.IGNORECASE | re.ASCII,
)


def in_code(text: str, at: int) -> bool:
    """Whether the character at ``at`` stands between backticks."""
    position = 0
    while opening := re.compile("`+").search(text, position):
        if opening.start() > at:
            return False
        closing = re.compile(rf"(?<!`){opening[0]}(?!`)").search(text, opening.end())
        if closing is None:
            position = opening.end()
        elif at < closing.end():
            return True
        else:
            position = closing.end()
    return False


def open_tick(text: str) -> bool:
    return any(char == "`" and not in_code(text, at) for at, char in enumerate(text))


def unescape(piece: str) -> str:
    def back(found: re.Match[str]) -> str:
        if in_code(piece, found.start()):
            return found[0]
        if found[1] == "&lt;":
            return "<"
        return "&lt;" if found[1] == "&#60;" else "&#" + found[1][3:]

    return TAG.sub(back, piece)


def unbreak(piece: str) -> str:
    if piece.endswith("\\") or open_tick(piece):
        return piece
    if piece.endswith("<br>"):
        return piece[:-4]
    return re.sub(r"(?i)<br ( *)(/?)>\Z", lambda tag: f"{tag[0][:3]}{tag[1]}{tag[2]}>", piece)


class Plain:
    """Takes the pages one after the other; ``text`` is what Dify sent."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.text = ""
        self.scanner = Scanner(longest)
        self.pieces: list[str] = []  # of a line that earlier pages began

    def take(self, page: str, *, last: bool) -> None:
        if re.fullmatch(r"…+\s*", page):
            page = page[1:]
        page = page.removeprefix(self.prefix(page))
        lines = page.split("\n")
        for number, line in enumerate(lines[:-1]):
            if not self.scanner.fence and not self.pieces and line == " \t":
                continue  # the spacer above a table
            if self.added(lines, number):
                return
            self.end_line(line, lines[number + 1])
        self.tail(lines[-1], last=last)

    def prefix(self, page: str) -> str:
        if self.scanner.fence:
            return self.scanner.fence.marker + self.scanner.fence.info + "\n"
        if self.scanner.table and not self.pieces and self.text.endswith("\n"):
            header, delimiter = self.scanner.table
            head = f"{escape_again(header)}\n{delimiter}\n"
            return head if page.startswith(head) else ""
        return ""

    def added(self, lines: list[str], number: int) -> bool:
        """The newline after this piece, and the fence below, were added."""
        if number != len(lines) - 2:
            return False
        behind = copy.copy(self.scanner)
        behind.take("".join([*self.pieces, lines[number]]), None)
        fence = behind.fence
        if fence and lines[-1] == fence.marker + "  ":
            self.pieces.append(lines[number])
            if not self.is_more:
                self.end_text()
            return True
        return False

    is_more = True  # further pages come

    def end_line(self, line: str, following: str) -> None:
        pieces, self.pieces = [*self.pieces, line], []
        kind = self.kind("".join(pieces), following)
        whole = "".join(self.undone(piece, kind) for piece in pieces[:-1])
        self.text += whole + self.undone(pieces[-1], kind, ended=True) + "\n"

    def tail(self, line: str, *, last: bool) -> None:
        fence = self.scanner.fence
        if fence and line == fence.marker + " ":
            return
        if fence and last and fence.closed_by(line) and line.endswith((" ", "\t")):
            line = line[:-2]
        if line:
            self.pieces.append(line)
        if last:
            self.end_text()

    def end_text(self) -> None:
        if self.pieces:
            pieces, self.pieces = self.pieces, []
            kind = self.kind("".join(pieces), None)
            self.text += "".join(self.undone(piece, kind) for piece in pieces)

    def kind(self, line: str, following: str | None) -> Kind:
        if self.scanner.fence is None:
            line = unescape(unbreak(line))
            if re.fullmatch(r" \t\t+", line):
                line = line[:-1]
            following = None if following is None else unescape(following)
        return self.scanner.take(line, following)

    @staticmethod
    def undone(piece: str, kind: Kind, *, ended: bool = False) -> str:
        if kind == "blank" and re.fullmatch(r" \t\t+", piece):
            return piece[:-1]
        if kind not in TRANSLATED:
            return piece
        if ended and kind in {"paragraph", "quote"}:
            piece = unbreak(piece)
        return unescape(piece)


def escape_again(header: str) -> str:
    from dod.bridge.dialects import escape

    return escape(header)


def plain(pages: Sequence[str], longest: int) -> str:
    """What Dify sent, from all pages in their order."""
    back = Plain(longest)
    for number, page in enumerate(pages):
        back.is_more = number < len(pages) - 1
        back.take(page, last=not back.is_more)
    return back.text
