"""What comes while a bot shuts down neither keeps it from ending nor is lost."""

import asyncio
import time

import pytest

from dod.messages import Abilities, Attachment, FileRule, Finished, Message, Started, TextDelta
from tests.scene import Scene, message

PICTURE = message(1, "", kind="picture", attachments=(Attachment("picture", "code"),))


async def answering() -> tuple[Scene, asyncio.Event, asyncio.Task[None]]:
    """A running bot in mid-answer to its first message; it goes on when the event is set."""
    gate = asyncio.Event()
    scene = Scene((Started("t", "c"), gate, TextDelta("done"), Finished()))
    running = asyncio.create_task(scene.bot.run())
    await scene.say(message(1))
    await scene.until(lambda: len(scene.app.questions) == 1)
    return scene, gate, running


@pytest.mark.parametrize("said", [message(1), PICTURE])
def test_what_comes_while_the_bot_leaves_is_left_for_the_next_start(said: Message) -> None:
    """A channel hands over until it has hung up; nobody's turn begins any more."""

    async def run() -> Scene:
        scene = Scene()
        scene.app.can = Abilities(files=FileRule(frozenset({"image"}), most=3))
        running = asyncio.create_task(scene.bot.run())
        await scene.until(scene.bot._lines.current.connected.is_set)

        async def leave() -> None:
            await scene.say(said)
            scene.channel.left.set()

        scene.channel.leave = leave  # type: ignore[method-assign]
        draining = asyncio.create_task(scene.bot.drain(time.monotonic() + 3600))
        await asyncio.wait_for(draining, 5)
        await running
        await scene.bot.aclose()
        return scene

    scene = asyncio.run(run())
    assert asyncio.run(scene.state(1)) == "taken"
    assert (scene.app.questions, scene.channel.cards) == ([], {})


def test_who_is_still_let_in_at_a_drain_is_left_for_the_next_start() -> None:
    """Between its place and its turn a message may wait for the disk."""

    async def run() -> Scene:
        disk = asyncio.Event()
        scene, gate, running = await answering()
        refusal = scene.bot._reception._desk._refusal

        async def slow(*args: object, **more: object) -> str | None:
            await disk.wait()
            return await refusal(*args, **more)  # type: ignore[arg-type]

        scene.bot._reception._desk._refusal = slow  # type: ignore[method-assign]
        await scene.say(message(2))
        draining = asyncio.create_task(scene.bot.drain(time.monotonic() + 3600))
        await scene.until(scene.channel.left.is_set)
        gate.set()
        await scene.until(lambda: scene.card(1).ended)
        disk.set()
        await asyncio.wait_for(draining, 5)
        await running
        await scene.bot.aclose()
        return scene

    scene = asyncio.run(run())
    assert asyncio.run(scene.state(2)) == "taken"
    assert len(scene.app.questions) == 1


def test_a_command_that_waits_behind_an_answer_does_not_hold_up_the_end() -> None:
    async def run() -> Scene:
        scene, gate, running = await answering()
        await scene.say(message(2, "/good"))
        draining = asyncio.create_task(scene.bot.drain(time.monotonic() + 3600))
        await scene.until(scene.channel.left.is_set)
        gate.set()
        await asyncio.wait_for(draining, 5)
        await running
        await scene.bot.aclose()
        return scene

    scene = asyncio.run(run())
    assert scene.card(1).shown == "done"
    assert asyncio.run(scene.state(2)) == "taken", "the next start obeys it"
