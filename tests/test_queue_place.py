"""What a person in the queue is told stays true: it is told once, for each time costs a call."""

import asyncio
from dataclasses import replace

import pytest

from dod.bridge import turn as turn_module
from dod.errors import DingTalkBusy
from dod.messages import Finished, Started, TextDelta, Waiting
from dod.texts import say
from tests.scene import HELLO, SPEC, Scene, message, play


def test_the_place_is_that_of_the_moment_of_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "TELL_PLACE_AFTER", 0.05)

    async def run() -> None:
        gate = asyncio.Event()
        held = (Started("t", "c"), gate, TextDelta("done"), Finished())
        scene = Scene(held, held, held, spec=replace(SPEC, max_workers=1))
        async with scene.running():
            await scene.say(message(1), message(2), message(3))
            await scene.until(lambda: len(scene.bot._reception.underway.turns) == 3)
            await asyncio.sleep(0)  # each has begun to wait
            for turn in scene.bot._reception.underway.turns:
                if turn.message.id == "msg-2":
                    turn.give_up("stopped")  # before anybody is told
            await scene.until(lambda: "2" in scene.card(3).shown)
            assert scene.card(3).shown == say("waiting", "en", place=2)
            calls = len(scene.card(3).frames)
            gate.set()
        assert [kind for kind, _ in scene.card(3).frames[:calls]] == ["open", "update"]

    asyncio.run(run())


@pytest.mark.parametrize("tongue", ["zh", "en"])
def test_the_sentence_tells_of_then_not_of_now(tongue: str) -> None:
    said = say("waiting", tongue, place=2)  # type: ignore[arg-type]
    assert {"zh": "提问时", "en": "when you asked"}[tongue] in said


def test_a_notice_of_which_nobody_knows_whether_it_arrived_delays_no_answer() -> None:
    """It is no answer: to say that it may be missing would only make one doubt the answer."""
    scene = Scene((Waiting(2.0), *HELLO), spec=replace(SPEC, handler="DifyMarkdownBotHandler"))
    scene.channel.faults.on("reply", 1, DingTalkBusy("no answer in time"))
    assert play(scene, message(1)).channel.replies == [("msg-1", "Hello")]
