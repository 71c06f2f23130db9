"""Many lines, one cause: a bot that is not indented is one problem, not one for each key."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from dod.config.source import Place, Remark


@dataclass(slots=True)
class _Run:
    """What is told once: at the ``number``-th place, and of the lines that follow."""

    number: int
    place: Place
    remark: Remark
    more: list[int] = field(default_factory=list)


def fold(told: Sequence[tuple[Place, Remark, Hashable]]) -> list[tuple[int, Remark]]:
    """Which of ``told`` (in the order of the file) to tell, and with which words.

    What has the same cause and the same third part, on neighbouring lines, is one.
    """
    runs: list[_Run] = []
    last: dict[Hashable, _Run] = {}
    for number, (place, remark, kind) in enumerate(told):
        key = (place.source.file, remark.cause, kind)
        run = last.get(key) if remark.cause else None
        if run and _next_to(place, (run.more or [run.place.line])[-1]):
            run.more.append(place.line)
        else:
            last[key] = _Run(number, place, remark)
            runs.append(last[key])
    return [(run.number, _with_lines(run.remark, run.more)) for run in runs]


def _next_to(place: Place, line: int) -> bool:
    """Whether there is nothing but blank lines and comments between ``line`` and ``place``."""
    between = (it.strip() for it in place.source.lines[line : place.line - 1])
    return place.line > line and all(not it or it.startswith("#") for it in between)


def _with_lines(remark: Remark, more: list[int]) -> Remark:
    if not more:
        return remark
    lines = _ranges(more)
    plural = "lines" if len(more) > 1 else "line"
    return replace(
        remark,
        zh=f"{remark.zh}第 {lines} 行也一样。",
        en=f"{remark.en} The same goes for {plural} {lines}.",
    )


def _ranges(lines: list[int]) -> str:
    """``9-11, 13``."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return ", ".join(f"{it[0]}-{it[-1]}" if len(it) > 1 else str(it[0]) for it in runs)
