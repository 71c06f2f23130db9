"""An answer too long for one message, by reply."""

import asyncio
from dataclasses import replace

import pytest

from dod.bridge.pages import CARD_MAX_BYTES
from dod.errors import ContentTooLong, DingTalkBusy, DingTalkError
from dod.messages import Finished, Started, TextDelta
from dod.texts import say
from tests.scene import SPEC, Scene, message, play

LONG = "\n\n".join(f"Paragraph {number}: {'words ' * 40}" for number in range(80))
BUSY = DingTalkBusy("a proxy's page")
BUSY.not_done = True


@pytest.mark.parametrize(("error", "calls"), [(BUSY, 3), (ContentTooLong(), 5)])
def test_an_answer_whose_rest_cannot_be_sent_does_not_end_in_silence(
    error: DingTalkError, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dod.bridge.replies.RETRIES", (0.001, 0.001))
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", (0.001, 0.001))
    assert len(LONG) > CARD_MAX_BYTES
    scene = Scene(
        (Started("t", "c"), TextDelta(LONG), Finished()),
        spec=replace(SPEC, handler="DifyMarkdownBotHandler"),
    )
    for nth in range(2, 2 + calls):
        scene.channel.faults.on("reply", nth, error)
    play(scene, message(1))
    first, *others = [text for _, text in scene.channel.replies]
    assert LONG.startswith(first.rstrip()[:200])
    assert others == [say("unconfirmed", "en")]
    assert asyncio.run(scene.state(1)) == "done"
