"""The script of ``dod demo``: canned answers that are pleasant to watch, chosen by keywords."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dod.sim.dify.drawing import bars
from dod.sim.dify.files import SimFile
from dod.sim.dify.scripts import Answer, Step, cut
from dod.sim.dify.topics import TEXTS, long_text, looked

Words = tuple[str, str]  # Chinese, English

_PACE = 0.045  # seconds between tokens


@dataclass(frozen=True)
class _Topic:
    """``words`` of a question that call for it; what its answer has besides text."""

    words: tuple[str, ...]
    step: Step | None = None
    step_en: Step | None = None
    sources: tuple[Words, ...] = ()
    next: tuple[Words, ...] = ()
    drawn: bool = False


def _searching(zh: str, en: str, name: str) -> tuple[Step, Step]:
    return Step(name, zh, en, zh), Step(name, zh, en, en)


_LEAVE = ("年假怎么算？", "How much leave do I have?")
_CODE = ("写一段代码", "Write some code")
_EXPENSES = ("怎么报销？", "How do I claim expenses?")
_CHART = ("画一张图", "Draw a chart")
_LONG = ("写一篇长文", "Write something long")
_HANDBOOK = _searching("查知识库", "Search the handbook", "knowledge_search")
_DRAWING = _searching("画图", "Draw a chart", "draw_chart")

_TOPICS = {
    "hello": _Topic(
        ("你好", "您好", "hello", "hi there", "hey"),
        next=(_LEAVE, _CHART, _LONG),
    ),
    "leave": _Topic(
        ("年假", "假期", "请假", "leave", "holiday", "vacation"),
        *_HANDBOOK,
        sources=(
            ("员工手册 2026.pdf", "Employee handbook 2026.pdf"),
            ("考勤制度 v3.docx", "Attendance rules v3.docx"),
        ),
        next=(_EXPENSES, _CHART),
    ),
    "code": _Topic(("代码", "程序", "脚本", "code", "python", "script"), next=(_CHART,)),
    "expenses": _Topic(
        ("报销", "发票", "费用", "expense", "claim", "invoice"),
        *_HANDBOOK,
        sources=(("财务制度.pdf", "Finance rules.pdf"),),
        next=(_LEAVE,),
    ),
    "chart": _Topic(
        ("画", "图表", "统计图", "chart", "draw", "plot"),
        *_DRAWING,
        next=(_CODE, _LONG),
        drawn=True,
    ),
    "long": _Topic(("长文", "长一点", "something long", "essay")),
    "else": _Topic((), next=(_LEAVE, _CODE)),
}


def demo(query: str, turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
    """Answer in the language of the question, at a speed that can be read."""
    chinese = _is_chinese(query)
    asked = query.rpartition("\n\n")[2].lower()  # what is quoted stands before it
    name = next((it for it, one in _TOPICS.items() if any(w in asked for w in one.words)), "else")
    topic, tongue = _TOPICS[name], 0 if chinese else 1
    step = topic.step if chinese else topic.step_en
    if name == "long":
        text = long_text(chinese=chinese)
        return Answer(text, interval=_PACE, first_delay=0.5, tokens=cut(text, 30))
    text = TEXTS[name][tongue].strip()
    text = text.replace("{query}", _short(query)).replace("{turn}", str(max(turn, 1)))
    return Answer(
        text,
        interval=_PACE,
        first_delay=0.5,
        tokens=cut(text, 2 if chinese else 5),
        files=(("chart.png", chart()),) if topic.drawn else (),
        steps=(step,) if step else (),
        step_seconds=0.8,
        sources=tuple(it[tongue] for it in topic.sources),
        next=tuple(it[tongue] for it in topic.next),
    )


def look(query: str, files: Sequence[SimFile]) -> Answer:
    """Say what was sent, as far as it can be told without eyes."""
    chinese = _is_chinese(query)
    text = looked(query.rpartition("\n\n")[2], files, chinese=chinese)
    tokens = cut(text, 2 if chinese else 5)
    return Answer(text, interval=_PACE, first_delay=0.5, tokens=tokens)


@functools.cache
def chart() -> bytes:
    """The picture of an answer: the numbers of its table."""
    return bars((180, 240, 290, 310, 420, 480))


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= char <= "\u9fff" for char in text)


def _short(query: str) -> str:
    """A long or quoting question would make headlines of it."""
    one = " ".join(query.rpartition("\n\n")[2].split())
    return one if len(one) <= 60 else one[:60] + "…"
