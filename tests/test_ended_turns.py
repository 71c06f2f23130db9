"""What an answer leaves behind in memory: nothing that only the garbage collector would end."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dod.sim.dify.scripts import Answer, Fault
from tests.office import Office
from tests.test_pictures import PNG

ANSWERS = 5
TEXT = Answer("a few words of an answer", interval=0.002)
PICTURE = Answer("look: ![it]({0})", files=(("it.png", PNG),))
CUT = Answer("half of it", fail=Fault("error", after=2))
PLAIN: dict[str, Any] = {"handler": "DifyMarkdownBotHandler"}


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """What the collector finds is kept here; it runs when it is asked to only."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


def _kept(thing: object) -> bool:
    """Not asyncio's own closed connections, nor what a module makes once."""
    module = type(thing).__module__.partition(".")[0]
    return module in {"dod", "httpx", "httpcore"} or isinstance(thing, asyncio.Task)


def _name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


@pytest.mark.parametrize(
    ("answer", "spec"),
    [(TEXT, {}), (PICTURE, {}), (CUT, {}), (TEXT, PLAIN)],
    ids=["typed", "picture", "cut off", "reply"],
)
def test_an_ended_answer_leaves_nothing_for_the_collector(
    answer: Answer, spec: dict[str, Any], garbage: list[object]
) -> None:
    async def told(office: Office, number: int) -> None:
        await office.say(f"question {number}")
        await office.until(lambda: len(office.chat.shown) == number)
        await office.idle()

    async def scenario() -> None:
        async with Office(**spec).open() as office:
            office.app.answer = lambda *_: answer
            await told(office, 1)  # what is made once is made
            gc.collect()
            garbage.clear()
            for number in range(2, ANSWERS + 2):
                await told(office, number)
            await asyncio.sleep(0.05)
            gc.collect()
            assert not Counter(map(_name, filter(_kept, garbage)))

    asyncio.run(scenario())


def test_a_question_that_was_stopped_in_the_queue_leaves_nothing_either(
    garbage: list[object],
) -> None:
    async def scenario() -> None:
        async with Office().open() as office:
            office.app.answer = lambda *_: Answer("words " * 40, interval=0.005)
            await office.say("question 1")
            await office.until(lambda: office.typed)
            await office.say("question 2")
            await office.until(lambda: len(office.cards()) == 2)
            gc.collect()
            garbage.clear()
            await office.say("/stop")
            await office.idle()
            await asyncio.sleep(0.05)
            gc.collect()
            assert "dod.bridge.turn.Turn" not in map(_name, garbage)

    asyncio.run(scenario())
