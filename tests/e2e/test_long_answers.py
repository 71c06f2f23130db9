"""Very long answers between the simulators: nothing is lost, whatever DingTalk takes."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dod.bridge.pages import longest
from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.world import SimReply
from dod.texts import say
from tests.e2e.rig import Rig, bot
from tests.plain import plain

KEY = "app-it-key-0123456789"
PART = (
    "## 第{n}节\n正文第一行。\n第二行有 <b>标签</b>。\n\n```py\nprint({n})\n```\n\n"
    "| a | b |\n|---|---|\n| {n} | x |\n\n"
)
LONG = "".join(PART.replace("{n}", str(n)) for n in range(600)) + "完"  # 50,000 characters
TOKENS = tuple(LONG[at : at + 500] for at in range(0, len(LONG), 500))
SENTENCE = say("rest_in_file", "zh")


def content(rig: Rig, reply: SimReply) -> str:
    """What is in the file that was sent, packed or not."""
    media = rig.dingtalk.media[list(rig.dingtalk.media)[-1]]
    if reply.text.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(media)) as archive:
            return archive.read(archive.namelist()[0]).decode()
    return media.decode()


@pytest.mark.parametrize("any_file", [False, True], ids=["zip", "md"])
def test_fifty_thousand_characters_arrive_whole(tmp_path: Path, *, any_file: bool) -> None:
    assert len(LONG) > 50_000
    with Rig(tmp_path, [bot("it")], switches=Switches(any_file=any_file)) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer(tokens=TOKENS, interval=0.01)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "写一篇长文")
        reply = rig.reply(chat)
        rig.until(lambda: all(card.state == "finished" for card in rig.cards(chat)), "cards end")
        cards = [card.text for card in rig.cards(chat)]
        assert len(cards) == 4
        assert reply.kind == "sampleFile"
        assert reply.text == say("rest_name", "zh") + (".md" if any_file else ".zip")
        assert cards[-1].endswith(SENTENCE)
        shown = plain([*cards[:-1], cards[-1].removesuffix("\n\n" + SENTENCE)], longest(9000))
        assert shown + content(rig, reply) == LONG
        assert all(len(card.encode()) <= 9000 for card in cards)


def answered(rig: Rig, number: int) -> Callable[[], bool]:
    return lambda: bool(rig.status()["bots"][0]["turns"]["answered"] == number)


def test_a_lower_limit_of_dingtalk_is_learned_once(tmp_path: Path) -> None:
    spec = bot("it", answer_file_after_cards=0)
    with Rig(tmp_path, [spec], switches=Switches(content_max_bytes=4000)) as rig:
        text = LONG[:8000]
        rig.dify.app(KEY).answer = lambda *_: Answer(text, interval=0.0)
        ann = rig.person()
        chat = rig.single(ann)
        for number in range(2):
            refused = sum(rig.dingtalk.refused.values())
            before = len(rig.cards(chat))
            rig.say(chat, ann, "写一篇长文")
            rig.until(answered(rig, number + 1), "answered")
            cards = [card.text for card in rig.cards(chat)[before:]]
            assert plain(cards, longest(4000)) == text
            assert rig.replies(chat) == []
        assert refused, "the first answer learned"
        assert sum(rig.dingtalk.refused.values()) == refused, "the second knew"
