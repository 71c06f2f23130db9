"""What may have been said, or may stand on a card: owned up to, not repeated, not forgotten."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from dod.bridge.claim import Claim, ClaimState
from dod.errors import CardGone, DingTalkBusy
from dod.messages import digest
from dod.texts import say
from tests.fakes import MemoryStore
from tests.scene import SPEC, Scene, message, play
from tests.test_haste import LOST, MARKDOWN, REFUSED

ANSWER = "line <details>one\nline two"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.bridge.typewriter.FINISH_RETRIES", ())
    monkeypatch.setattr("dod.bridge.endings.INSIST", (0.001,) * 11)
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", (0.001,) * 4)


def left(state: ClaimState, text: str, *, client_id: str = "ding-it") -> MemoryStore:
    """A store after a crash, in mid-answer or while its last frame was sent."""

    async def crash() -> MemoryStore:
        store = MemoryStore()
        claim = Claim(client_id, message(1), store, bot="it")
        await claim.add()
        claim.style = SPEC.card_style
        await claim.asked(cards=int(state != "replying"))
        claim.text = text
        if state == "replying":
            await claim.replying()
        if state == "finishing":
            await claim.finishing(text, digest("ding-it", "msg-1", "final"), failed=False)
        return store

    return asyncio.run(crash())


def settled(scene: Scene) -> str:
    """Let the bot run until nothing is insisted on; the claim's state then."""

    async def run() -> str:
        async with scene.running():
            await scene.quiet()
            await scene.until(lambda: not scene.bot._reception.insisting.tasks)
        return await scene.state(1)

    return asyncio.run(run())


def test_an_answer_that_is_tried_on_after_a_crash_is_fit_for_a_card() -> None:
    scene = Scene(store=left("finishing", ANSWER))
    scene.channel.faults.on("finish", 1, LOST)
    assert settled(scene) == "done"
    assert "<br>" in scene.card(1).shown
    assert "<details>" not in scene.card(1).shown
    assert [text for _, text in scene.channel.replies] == [say("unconfirmed", "en")]


def test_a_card_that_comes_about_after_a_reply_that_had_to_wait_ends_too() -> None:
    scene = Scene(store=left("asked", "half"))
    scene.channel.faults.on("fail", 1, CardGone())
    scene.channel.faults.on("reply", 1, REFUSED)
    assert settled(scene) == "done"
    assert scene.card(1).ended


def test_a_sentence_that_is_never_confirmed_is_not_said_for_ever() -> None:
    """A proxy's page instead of each of DingTalk's answers, though it sends what it gets."""
    first = Scene(spec=MARKDOWN)
    send = first.channel.reply

    async def unheard(*what: Any, **how: Any) -> None:
        await send(*what, **how)
        raise LOST

    first.channel.reply = unheard  # type: ignore[method-assign]

    async def run() -> None:
        async with first.running():
            await first.say(message(1))
            await first.quiet()
            await first.until(lambda: not first.bot._reception.insisting.tasks)

    asyncio.run(run())
    assert [text for _, text in first.channel.replies] == ["Hello", *[say("unconfirmed", "en")] * 4]
    assert first.channel.other_ways == [False, False, True, False, True]
    assert asyncio.run(first.state(1)) == "done"


@pytest.mark.parametrize("replies", [[], [LOST] * 9], ids=["a crash", "no word of DingTalk's"])
def test_an_orphan_whose_answer_may_stand_on_its_card_is_never_told_it(
    replies: Sequence[DingTalkBusy],
) -> None:
    store = left("finishing", "All of it, which stands on the card", client_id="ding-old")
    first = Scene(store=store)
    for number, error in enumerate(replies, 1):
        first.channel.faults.on("reply", number, error)
    if replies:
        play(first)
    else:
        asyncio.run(_crash_while_replying(first))
    second = play(Scene(store=store))
    said = {text for _, text in (*first.channel.replies, *second.channel.replies)}
    assert said <= {say("unconfirmed", "en")}
    assert said or replies


async def _crash_while_replying(scene: Scene) -> None:
    sending = asyncio.Event()

    async def hang(*_: object, **_how: object) -> None:
        sending.set()
        await asyncio.Event().wait()

    scene.channel.reply = hang  # type: ignore[method-assign]
    running = asyncio.create_task(scene.bot.run())
    await sending.wait()
    running.cancel()
    await scene.bot.aclose()


def test_a_sentence_after_a_crash_that_is_not_confirmed_goes_the_other_way() -> None:
    """The reply, and after a crash the sentence about it, hung: once a person read neither."""
    store = left("replying", ANSWER)
    scene = Scene(spec=MARKDOWN, store=store)
    scene.channel.faults.on("reply", 1, LOST)
    assert settled(scene) == "done"
    assert scene.channel.replies == [("msg-1", say("unconfirmed", "en"))]
    assert scene.channel.other_ways == [False, True]
