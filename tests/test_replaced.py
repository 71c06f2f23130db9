"""An answer whose text Dify replaces, when it stood on several cards already."""

import asyncio
from dataclasses import replace

import pytest

from dod.errors import DingTalkBusy
from dod.messages import Finished, Started, TextDelta, TextReplaced
from tests.scene import SPEC, Scene, message

LONG = "\n\n".join(f"Paragraph {number}: {'words ' * 20}" for number in range(20))
SPEC_SMALL = replace(SPEC, card_max_bytes=1500)


def test_the_new_text_is_whole_though_its_end_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the cards before ended in the old text means nothing in the new one."""
    monkeypatch.setattr("dod.bridge.typewriter.FINISH_RETRIES", ())
    monkeypatch.setattr("dod.bridge.endings.INSIST", (0.02, 0.02, 0.02))
    gate = asyncio.Event()
    other = "I must not answer this."
    script = (Started("t", "c"), TextDelta(LONG[:2500]), gate, TextReplaced(other), Finished())
    busy = DingTalkBusy("down")
    busy.not_done = True

    async def run() -> Scene:
        scene = Scene(script, spec=SPEC_SMALL)
        async with scene.running():
            await scene.say(message(1))
            await scene.until(lambda: scene.card(1, 1).shown != "")
            ended = scene.channel.faults.counts["finish"]
            scene.channel.faults.on("finish", ended + 1, busy)
            scene.channel.faults.on("reply", 1, busy)
            gate.set()
            await scene.until(lambda: scene.card(1, 1).ended)
        return scene

    scene = asyncio.run(run())
    assert scene.card(1, 1).shown == other
    assert scene.channel.replies == []
