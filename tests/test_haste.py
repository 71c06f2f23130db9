"""A bot that shuts down while a neighbour is down: whoever sleeps in back-off tries now."""

import asyncio
import time
from dataclasses import replace

import pytest

from dod.bridge.haste import Haste
from dod.errors import DingTalkBusy
from dod.texts import say
from tests.scene import SPEC, Scene, message, play

MARKDOWN = replace(SPEC, handler="DifyMarkdownBotHandler")
LOST = DingTalkBusy("the answer got lost")
REFUSED = DingTalkBusy("connection refused")
REFUSED.not_done = True
NEVER = (3600.0,) * 3  # seconds


def test_who_sleeps_tries_now_and_soon_again() -> None:
    async def run() -> None:
        haste = Haste()
        tries = haste.tries(NEVER)
        trying = asyncio.create_task(tries.another())
        await asyncio.sleep(0)
        assert not trying.done()
        haste.make()
        assert [await trying, *[await tries.another() for _ in range(3)]] == [True] * 3 + [False]
        assert await haste.tries(NEVER).another()

    asyncio.run(run())


def test_tries_end_with_their_delays() -> None:
    async def run() -> None:
        tries = Haste().tries((0.0, 0.001))
        assert [await tries.another() for _ in range(4)] == [True, True, False, False]

    asyncio.run(run())


async def drained(scene: Scene, call: str) -> None:
    """Drain while the retry of ``call`` sleeps."""
    running = asyncio.create_task(scene.bot.run())
    await scene.say(message(1))
    await scene.until(lambda: scene.channel.faults.counts.get(call, 0) >= 1)
    await asyncio.sleep(0.01)  # for it to lie down
    async with asyncio.timeout(5):
        await scene.bot.drain(time.monotonic() + 3600)
    await running
    await scene.bot.aclose()


def next_start(first: Scene) -> Scene:
    """The outage is over: the same disk, the same cards."""
    second = Scene(store=first.store)
    second.channel.cards = first.channel.cards
    second.card(1).faults = second.channel.faults
    return play(second)


@pytest.fixture(autouse=True)
def pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.bridge.haste.PRESSED", 0.001)


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("typewriter.FINISH_RETRIES", "endings.INSIST", "replies.RETRIES"):
        monkeypatch.setattr(f"dod.bridge.{name}", NEVER)
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", NEVER)


@pytest.mark.parametrize("failures", [1, len(NEVER)], ids=["now", "a little later"])
@pytest.mark.usefixtures("long_waits")
def test_a_card_that_takes_its_end_after_all_is_ended(failures: int) -> None:
    scene = Scene()
    for number in range(1, failures + 1):
        scene.channel.faults.on("finish", number, LOST)
    asyncio.run(drained(scene, "finish"))
    assert scene.card(1).frames[-1] == ("finish", "Hello")
    assert asyncio.run(scene.state(1)) == "done"


@pytest.mark.usefixtures("long_waits")
def test_what_does_not_end_in_an_outage_is_ended_by_the_next_start() -> None:
    first = Scene()
    first.channel.faults.on("finish", 0, LOST)
    first.channel.faults.on("reply", 0, REFUSED)
    asyncio.run(drained(first, "finish"))
    assert asyncio.run(first.state(1)) == "finishing"
    second = next_start(first)
    assert second.card(1).frames[-1] == ("finish", "Hello")
    assert (first.channel.replies, second.channel.replies) == ([], [])


@pytest.mark.usefixtures("long_waits")
def test_that_a_reply_may_be_missing_is_said_now() -> None:
    scene = Scene(spec=MARKDOWN)
    scene.channel.faults.on("reply", 1, LOST)
    asyncio.run(drained(scene, "reply"))
    assert scene.channel.replies == [("msg-1", say("unconfirmed", "en"))]
    assert asyncio.run(scene.state(1)) == "done"


@pytest.mark.usefixtures("long_waits")
def test_that_a_reply_may_be_missing_is_said_by_the_next_start() -> None:
    first = Scene(spec=MARKDOWN)
    first.channel.faults.on("reply", 1, LOST)
    first.channel.faults.on("reply", 0, REFUSED)
    asyncio.run(drained(first, "reply"))
    # The answer, the sentence about it, and that again as an answer without an end.
    assert first.channel.faults.counts["reply"] == 1 + len(NEVER) + len(NEVER)
    second = play(Scene(spec=MARKDOWN, store=first.store))
    assert second.channel.replies == [("msg-1", say("unconfirmed", "en"))]
    assert asyncio.run(second.state(1)) == "done"


@pytest.mark.usefixtures("long_waits")
def test_a_card_whose_answer_may_have_gone_by_reply_says_so_after_the_next_start() -> None:
    first = Scene()
    first.channel.faults.on("finish", 0, LOST)
    first.channel.faults.on("reply", 0, LOST)
    asyncio.run(drained(first, "finish"))
    assert asyncio.run(first.state(1)) == "finishing"
    second = next_start(first)
    assert second.card(1).frames[-1] == ("finish", say("unconfirmed", "en"))
    assert second.channel.replies == []


@pytest.mark.usefixtures("long_waits")
def test_a_sentence_that_surely_was_not_sent_is_sent_now() -> None:
    scene = Scene(spec=replace(SPEC, allow=replace(SPEC.allow, users=("nobody",))))
    scene.channel.faults.on("reply", 1, REFUSED)
    asyncio.run(drained(scene, "reply"))
    assert len(scene.channel.replies) == 1
