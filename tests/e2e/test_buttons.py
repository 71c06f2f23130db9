"""``dod run`` between the simulators: buttons, ratings, and what /help says."""

import signal
import time
from pathlib import Path

import pytest

from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.world import SimCard, SimChat, SimPerson, SimPress
from dod.texts import say
from tests.e2e.rig import Rig, bot

KEY = "app-it-key-0123456789"


def press(rig: Rig, card: SimCard, person: SimPerson, action: str) -> SimPress:
    """Press, and wait for the answer."""
    pressed: SimPress = rig.run(rig.dingtalk.press(card, person, "b1", {"action": action}))
    rig.until(lambda: pressed.answered_at, "the press is answered", 5)
    return pressed


def typing(rig: Rig, chat: SimChat, number: int) -> SimCard:
    """The card of that number, once there is text on it."""

    def typed() -> SimCard | None:
        cards = rig.cards(chat)
        return cards[number] if len(cards) > number and cards[number].text else None

    card: SimCard = rig.until(typed, "typing")
    return card


@pytest.mark.parametrize("kind", ["chat", "chatflow", "workflow"])
def test_a_button_stops_the_card_and_difys_run(tmp_path: Path, kind: str) -> None:
    entry = bot("it", **({"dify_app_type": "workflow"} if kind == "workflow" else {}))
    with Rig(tmp_path, [entry], kinds={"it": kind}, top={"admins": ["boss"]}) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 600, interval=0.05)
        ann, bob, boss = (rig.person("小安", name) for name in ("staff-1", "staff-2", "boss"))
        group = rig.group(ann, bob, boss)
        for number, stopper in enumerate((ann, boss)):
            rig.say(group, ann, "问题")
            card = typing(rig, group, number)
            press(rig, card, bob, "stop")
            assert card.private[bob.sender_id] == {"notice": say("stop_not_yours", "zh")}
            assert card.state == "typing"
            press(rig, card, stopper, "stop")
            assert card.params["stopped"] == "true"
            ended = rig.answer(group, number + 1, 5)
            assert (ended, ended.state) == (card, "finished")
            assert ended.text.endswith(say("stopped", "zh"))
            rig.until(lambda: rig.dify.running == 0, "Dify has stopped", 5)
            press(rig, card, ann, "stop")
            assert card.private[ann.sender_id]["notice"] == say("nothing_to_stop", "zh")
        assert [stop.hit for stop in rig.dify.stops] == [True, True]
        assert not rig.dingtalk.calls["ding-it", "update"], "buttons cost no call"
        assert rig.dingtalk.complaints == []


def test_ratings_reach_dify_by_button_and_command_also_after_a_restart(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "第一个问题")
        first = rig.answer(chat)
        rig.say(chat, ann, "第二个问题")
        rig.answer(chat, 2)
        press(rig, first, ann, "like")
        assert first.private[ann.sender_id] == {"notice": say("rated", "zh"), "rating": "like"}
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        rig.start()
        press(rig, first, ann, "dislike")
        assert first.private[ann.sender_id]["rating"] == "dislike"
        rig.say(chat, ann, "/good 讲得清楚")
        assert rig.reply(chat).text == say("rated", "zh")
        taken = rig.dify.ratings.taken
        assert [(it.rating, it.user, it.content) for it in taken] == [
            ("like", "staff-1", ""),
            ("dislike", "staff-1", ""),
            ("like", "staff-1", "讲得清楚"),
        ]
        assert taken[0].message_id == taken[1].message_id != taken[2].message_id
        assert rig.dingtalk.complaints == []


def test_without_a_template_the_commands_do_it(tmp_path: Path) -> None:
    entry = bot("it")
    del entry["dingtalk_ai_card_template_id"]
    with Rig(tmp_path, [entry]) as rig:
        ann, bob = rig.person(), rig.person("小博", "staff-2")
        group = rig.group(ann, bob)
        rig.say(group, ann, "问题")
        rig.answer(group)
        rig.say(group, bob, "/bad")
        assert rig.reply(group).text == say("nothing_to_rate", "zh")
        rig.say(group, ann, "点踩")
        assert rig.reply(group, 2).text == say("rated", "zh")
        assert [it.rating for it in rig.dify.ratings.taken] == ["dislike"]
        rig.say(group, ann, "/help")
        told = rig.reply(group, 3).text
        assert "/bad" in told
        assert "单聊" in told


def test_a_card_is_answered_in_time_while_dify_is_away(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "问题")
        card = rig.answer(chat)
        rig.run(rig.dify.close())
        at = time.monotonic()
        press(rig, card, ann, "like")
        assert card.private[ann.sender_id] == {"notice": say("dify_unreachable", "zh")}
        assert time.monotonic() - at < 2, "the simulator would not have taken it"
        assert rig.dingtalk.complaints == []
