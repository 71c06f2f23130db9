"""Which loads the admins hear of in DingTalk, and what: a save that went wrong, or right again.

Each message costs a call of the organisation's month, so one is due only when something changed
that an admin would act on. Pure; sending is ``Channel.tell``. Thread: main.
"""

import re

from dod.config.credentials import conceal
from dod.config.load import Loaded
from dod.config.problems import Problem

MOST = 3  # problems told; the rest is in bots.status.txt
_NAMES = 10  # names of bots told
_LONGEST = 300  # characters of one sentence

# What is wrong, without line numbers: a comment added above it is no news.
Trouble = tuple[str, tuple[str, ...], frozenset[tuple[str, ...]]]


class Alerts:
    """Remembers what was told last. Lifecycle: as long as the program."""

    def __init__(self) -> None:
        self._told: Trouble | None = None

    def after(self, loaded: Loaded, *, first: bool) -> str | None:
        """The Markdown to send to the admins after ``loaded``, or None.

        ``first``: the load of the start, told only if something is wrong. A file that is missing
        or empty is being saved: that is told at the start only, and its end is no news.
        """
        if loaded.verdict == "waiting" and not first:
            return None
        trouble = _trouble(loaded)
        if trouble == self._told:
            return None
        before, self._told = self._told, trouble
        if trouble is None:
            return _mended(loaded) if before and before[0] != "waiting" else None
        return _complaint(loaded)


def _trouble(loaded: Loaded) -> Trouble | None:
    errors = _errors(loaded)
    if not errors and loaded.verdict == "accepted":
        return None
    return (
        loaded.verdict,
        loaded.rejected,
        frozenset((it.file, it.bot, it.zh, it.fix, it.source_line) for it in errors),
    )


def _errors(loaded: Loaded) -> list[Problem]:
    return [problem for problem in loaded.problems if problem.severity == "error"]


def _complaint(loaded: Loaded) -> str:
    file = loaded.file or "bots.yaml"
    errors = _errors(loaded)
    zh, en = _headlines(loaded, file)
    paragraphs = [f"### ⚠️ {zh}", en, *map(_paragraph, errors[:MOST])]
    if (more := len(errors) - MOST) > 0:
        paragraphs.append(
            f"还有 {more} 处，见 bots.status.txt。\n\n{more} more, see bots.status.txt."
        )
    return "\n\n".join(paragraphs)


def _headlines(loaded: Loaded, file: str) -> tuple[str, str]:
    zh_names, en_names = _names(loaded.rejected)
    if loaded.verdict == "waiting":
        return f"还没有可用的 {file}", f"There is no usable {file}."
    if loaded.rejected:
        rest = "，其余已生效" if loaded.verdict == "partly" else ""
        rest_en = " Everything else is applied." if loaded.verdict == "partly" else ""
        return (
            f"{file} 有错误，没有采用：{zh_names}（有旧版本的继续运行）{rest}",
            f"{file} has errors. Not applied: {en_names} (an older version goes on).{rest_en}",
        )
    if loaded.verdict == "rejected":
        return (
            f"{file} 有错误，没有采用，继续用上一份好的配置",
            f"{file} has errors and is not applied; the last good configuration stays.",
        )
    return (
        f"{file} 已采用，但有错误",
        f"{file} is applied, but for what is wrong:",
    )


def _names(labels: tuple[str, ...]) -> tuple[str, str]:
    zh, en = [], []
    for label in labels[:_NAMES]:
        number = re.fullmatch("#([0-9]+)", label)
        zh.append(f"第 {number[1]} 个" if number else conceal(label))
        en.append(f"no. {number[1]}" if number else conceal(label))
    if len(labels) > _NAMES:
        zh.append("…")
        en.append("…")
    return "、".join(zh), ", ".join(en)


def _paragraph(problem: Problem) -> str:
    lines = [f"**{problem.file}:{problem.line}:{problem.column}**", problem.zh, problem.en]
    if problem.fix:
        lines.append(f"改成 fix: {problem.fix}")
    return "\n\n".join(it if len(it) <= _LONGEST else it[: _LONGEST - 1] + "…" for it in lines)


def _mended(loaded: Loaded) -> str:
    file = loaded.file or "bots.yaml"
    bots = len(loaded.accepted)
    return (
        f"### ✅ {file} 已改好，全部采用\n\n共 {bots} 个机器人。\n\n"
        f"{file} is fine again; all of it is applied ({bots} bots)."
    )
