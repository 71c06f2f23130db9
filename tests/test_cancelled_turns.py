"""Everything ends at once, in mid-answer: nothing is said any more, and nothing goes on."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from dod.messages import AnswerEvent, Question, Started, TextDelta
from tests.scene import Scene, message


def test_a_turn_that_ends_while_dify_is_hung_up_on_says_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dod.bridge.turn.STOP_GRACE", 0.0)

    async def run() -> Scene:
        scene = Scene((Started("t", "c"), TextDelta("Half"), asyncio.Event()))
        asking, hanging_up, gate = scene.app.ask, asyncio.Event(), asyncio.Event()

        async def ask(question: Question) -> AsyncGenerator[AnswerEvent, None]:
            try:
                async for event in asking(question):
                    yield event
            finally:
                hanging_up.set()
                await gate.wait()

        scene.app.ask = ask  # type: ignore[method-assign]
        running = asyncio.create_task(scene.bot.run())
        await scene.say(message(1))
        await scene.until(lambda: scene.card(1).shown == "Half")
        await scene.say(message(2, "/stop"))
        await hanging_up.wait()
        await scene.bot.aclose()
        running.cancel()
        gate.set()
        await asyncio.wait({running})
        return scene

    scene = asyncio.run(run())
    assert scene.card(1).shown == "Half"
    assert asyncio.run(scene.state(1)) == "asked", "the next start ends it"


def test_nobody_waits_on_to_stop_an_answer_that_has_not_begun() -> None:
    """Dify is stopped by the name that its first event brings: that may never come."""

    async def run() -> None:
        scene = Scene((asyncio.Event(),))
        running = asyncio.create_task(scene.bot.run())
        await scene.say(message(1))
        await scene.until(lambda: bool(scene.app.questions))
        await scene.say(message(2, "/stop"))
        await scene.until(lambda: "stop msg-1" in names())
        await scene.bot.aclose()
        running.cancel()
        await asyncio.wait({running})
        await asyncio.sleep(0)
        assert names() == set()

    def names() -> set[str]:
        return {
            task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()
        }

    asyncio.run(run())
