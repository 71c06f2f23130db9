"""What is wrong with a configuration, in words a person can act on.

``Report`` collects everything first and masks it last, because a secret may become known only
after the line that shows it has been complained about.
"""

import difflib
import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dod.config.folding import fold
from dod.config.masking import Mask
from dod.config.source import Place, Remark

Severity = Literal["error", "warning"]
# What a problem is called, here and in bots.status.txt and the log: one word per language.
HEADS: dict[Severity, str] = {"error": "错误 ERROR", "warning": "提醒 WARNING"}
MOST = 20  # problems reported at once: beyond that nobody reads


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, safe to show anywhere. ``line`` and ``column`` are 1-based.

    ``source_line`` is masked; ``caret`` is the place's offset in it, in characters. ``advice``: a
    warning of nothing that is wrong; people are told the same word for both.
    """

    severity: Severity
    file: str
    line: int
    column: int
    bot: str
    zh: str
    en: str
    fix: str = ""
    source_line: str = ""
    caret: int = 0
    advice: bool = False

    def to_json(self) -> dict[str, Any]:
        """The shape of ``GET /api/status`` (design §2.4)."""
        return {
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "bot": self.bot,
            "message": {"zh": self.zh, "en": self.en},
            "fix": self.fix,
        }

    @property
    def place(self) -> str:
        """``bots.yaml:7:5``, or the file alone: one that is missing or empty has no such line."""
        return f"{self.file}:{self.line}:{self.column}" if self.source_line else self.file

    @property
    def quote(self) -> list[str]:
        """The source line and its caret, for a font whose characters are equally wide."""
        if not self.source_line:
            return []
        return [
            f"{self.line:5} | {self.source_line}",
            f"      | {_blank(self.source_line[: self.caret])}^",
        ]

    def render(self) -> str:
        """Several lines for a terminal: place, source line, caret, both sentences, the fix."""
        head = HEADS[self.severity]
        whose = f"  [机器人 bot {self.bot}]" if self.bot else ""
        lines = [f"{head} {self.place}{whose}", *self.quote]
        lines += [f"  {self.zh}", f"  {self.en}"]
        if self.fix:
            lines.append(f"  改成 fix: {self.fix}")
        return "\n".join(lines)


def nearest(word: str, words: list[str], cutoff: float = 0.6) -> str:
    """The word that was probably meant, or nothing."""
    found = difflib.get_close_matches(word[:100], words, 1, cutoff)
    return found[0] if found else ""


def very_near(word: str, words: list[str]) -> str:
    """The word of which ``word`` is all but certainly a slip of the pen, or nothing.

    ``bot1`` is no slip of ``bot2``: numbers tell things apart.
    """
    letters = re.sub("[0-9]", "", word)
    others = [it for it in words if re.sub("[0-9]", "", it) != letters]
    near = nearest(word, others, 0.85)
    # Of very short names every two are alike.
    return near or next((it for it in others if len(it) > 3 and _one_edit(word, it)), "")


def _one_edit(one: str, other: str) -> bool:
    """Whether one character too many, too few or wrong is all that differs."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    same = next(
        (i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short)
    )
    return short[same + (len(short) == len(long)) :] == long[same + 1 :]


def shorten(word: str) -> str:
    return word if len(word) <= 40 else word[:39] + "…"


def width(text: str) -> int:
    """Columns of a terminal that ``text`` takes: Chinese characters take two."""
    return sum(
        0
        if unicodedata.category(char) in {"Mn", "Me", "Cf"}
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def _blank(text: str) -> str:
    # A tab stays a tab: only the terminal knows how wide it is.
    return "".join("\t" if char == "\t" else " " * width(char) for char in text)


Draft = tuple[Severity, Place, str, Remark]


@dataclass(slots=True)
class Report:
    """Collects problems of one load; a place is told the same thing once."""

    mask: Mask
    # The files' names in the order in which they were read, and are reported.
    order: list[str] = field(default_factory=list)
    _drafts: dict[tuple[str, int, int, str], Draft] = field(default_factory=dict)
    _advice: list[Draft] = field(default_factory=list)

    def error(self, place: Place, remark: Remark, bot: str = "") -> None:
        self._add("error", place, remark, bot)

    def warn(self, place: Place, remark: Remark, bot: str = "") -> None:
        self._add("warning", place, remark, bot)

    def advise(self, place: Place, remark: Remark) -> None:
        """As ``warn``, but kept back while there are errors: first things first."""
        self._advice.append(("warning", place, "", remark))

    def _add(self, severity: Severity, place: Place, remark: Remark, bot: str) -> None:
        key = (place.source.file, place.line, place.column, remark.zh)
        self._drafts.setdefault(key, (severity, place, bot, remark))

    @property
    def failed(self) -> bool:
        return any(draft[0] == "error" for draft in self._drafts.values())

    def problems(self) -> tuple[Problem, ...]:
        """At most ``MOST``, errors before warnings when there are more; in the files' order."""
        advice = [] if self.failed else self._advice
        drafts = self._folded([*self._drafts.values(), *advice])
        # First things first, should there be too many.
        drafts.sort(key=lambda draft: (draft[0] != "error", any(draft is it for it in advice)))
        drafts = self._sorted(drafts[:MOST])
        return tuple(
            replace(self._finish(*draft), advice=any(draft is it for it in advice))
            for draft in drafts
        )

    def _folded(self, drafts: list[Draft]) -> list[Draft]:
        drafts = self._sorted(drafts)
        kept = fold([(place, remark, (severity, bot)) for severity, place, bot, remark in drafts])
        return [
            drafts[number] if remark is drafts[number][3] else (*drafts[number][:3], remark)
            for number, remark in kept
        ]

    def _sorted(self, drafts: list[Draft]) -> list[Draft]:
        """In the order of the files and their lines."""
        files = dict.fromkeys([*self.order, *(draft[1].source.file for draft in drafts)])
        order = {file: number for number, file in enumerate(files)}
        return sorted(drafts, key=lambda d: (order[d[1].source.file], d[1].line, d[1].column))

    def _finish(self, severity: Severity, place: Place, bot: str, remark: Remark) -> Problem:
        line, caret = self.mask.line(place)
        say = self.mask.text
        fix = remark.fix
        if place.source.secret:  # a value there may be too short for the mask to know
            fix = re.sub(r'([:：]\s*)(?!"…")\S.*', r"\1…", fix)
        fix = say(fix) if remark.prose else self.mask.proposal(place, fix)
        return Problem(
            severity,
            place.source.file,
            place.line,
            place.column,
            say(bot),
            say(remark.zh),
            say(remark.en),
            fix,
            line,
            caret,
        )
