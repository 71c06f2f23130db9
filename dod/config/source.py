"""A file as text, and where in it something stands.

Lines and columns are 1-based and counted in characters, as editors show them.
"""

import bisect
import re
from dataclasses import dataclass, field

# What is not even printable for the YAML specification; and NEL, which is there and never meant.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """``file`` is the name a person knows it by. ``secret``: every value in it is a secret."""

    file: str
    text: str = field(repr=False)
    secret: bool = False
    lines: tuple[str, ...] = field(init=False, repr=False)
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lines = tuple(self.text.split("\n"))
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        object.__setattr__(self, "lines", lines)
        object.__setattr__(self, "_starts", tuple(starts))

    def at(self, line: int, column: int) -> "Place":
        """The place ``line:column``, moved into the file if it lies outside."""
        line = min(max(line, 1), len(self.lines))
        return Place(self, line, min(max(column, 1), len(self.lines[line - 1]) + 1))

    def find(self, index: int) -> "Place":
        """The place of the character ``index`` of the text."""
        line = bisect.bisect_right(self._starts, min(max(index, 0), len(self.text)))
        return self.at(line, index - self._starts[line - 1] + 1)


@dataclass(frozen=True, slots=True)
class Place:
    """One character of a source."""

    source: Source
    line: int
    column: int

    @property
    def text(self) -> str:
        """The whole line, unmasked."""
        return self.source.lines[self.line - 1]


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say: a sentence in each language, and what to write instead if known.

    ``prose``: the fix is words of ours, and no line of the file. ``cause``: what is behind it, if
    that may show on many lines and is to be told once.
    """

    zh: str
    en: str
    fix: str = ""
    cause: str = ""
    prose: bool = False


NUL = Remark(
    "文件里有空字节（NUL），可能在断电时损坏，或不是文本文件；请用备份恢复或重新保存。",
    "The file contains NUL bytes: perhaps damaged by a power cut, or no text file. "
    "Restore it from a backup or save it anew.",
)
CONTROL = Remark(
    "这里有一个看不见的控制字符，请删掉。",
    "There is an invisible control character here; please delete it.",
)


def damage(source: Source) -> tuple[Place, Remark] | None:
    """The first character that no text file should contain, if there is one."""
    if (index := source.text.find("\0")) >= 0:
        return source.find(index), NUL
    if match := UNPRINTABLE.search(source.text):
        return source.find(match.start()), CONTROL
    return None
