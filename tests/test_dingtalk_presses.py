"""A pressed button: read, answered on its own socket within two seconds, shown on the card."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from dod.dingtalk import presses
from dod.dingtalk.frames import Frame
from dod.messages import Press, PressReply
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.world import SimCard, SimPress
from tests.test_dingtalk_channel import ID, OWN, PUBLIC, QUICK, Scene, scene


def frame(**data: Any) -> Frame:
    return Frame("CALLBACK", "/v1.0/card/instances/callback", "m", 0.0, data)


def private(**fields: Any) -> str:
    return json.dumps({"cardPrivateData": fields})


# -- reading


@pytest.mark.parametrize(
    ("data", "action"),
    [
        ({"content": private(actionIds=["stop"], params={})}, "stop"),
        ({"content": private(actionIds=["x17"], params={"action": "like"})}, "like"),
        ({"content": private(actionIds=["like"], params={"action": "dislike"})}, "dislike"),
        ({"content": private(actionIds=["btn_stop"])}, "stop"),
        ({"content": {"cardPrivateData": {"actionIds": [" Stop "]}}}, "stop"),
        ({"value": private(actionIds=["dislike"])}, "dislike"),
        ({"content": private(actionIds=["approve"], params={"action": "accept"})}, ""),
        ({"content": private(actionIds="stop", params=["stop"])}, ""),
        ({"content": private(actionIds=[1, None])}, ""),
        ({"content": "no json"}, ""),
        ({"content": "[" * 100_000}, ""),
        ({"content": '{"cardPrivateData": 7}'}, ""),
        ({}, ""),
    ],
)
def test_which_button(data: dict[str, Any], action: str) -> None:
    got = presses.press(frame(outTrackId="card", userId="staff-ann", corpId="c", **data))
    assert got == Press("card", "staff-ann", action, "c")  # type: ignore[arg-type]


def test_a_press_of_no_card_is_none() -> None:
    assert presses.press(frame(userId="staff-ann")) is None
    assert presses.press(frame(outTrackId=["card"])) is None
    assert presses.press(frame(outTrackId="card")) == Press("card", "", "")


# -- answering


def test_nothing_to_change_is_an_empty_response() -> None:
    assert presses.response(PressReply()) == {}


async def pressed(
    it: Scene, reply: PressReply | Exception | None, action: str = "stop"
) -> tuple[SimCard, SimPress]:
    """Ann presses on her card; the bridge answers ``reply``, or never."""
    heard: list[Press] = []

    async def on_press(press: Press) -> PressReply:
        heard.append(press)
        if isinstance(reply, Exception):
            raise reply
        if reply is None:
            await asyncio.Event().wait()
        return reply or PressReply()

    async def on_message(message: Any) -> None:
        it.messages.append(message)

    it.running = asyncio.create_task(it.channel.run(on_message, it.states.append, on_press))
    await it.until(lambda: it.state == "connected")
    card = it.channel.card(await it.hear(), OWN)
    await card.open()
    await card.update(lambda: "typing")
    shown = it.sim.cards[card.id]
    press = await it.sim.press(shown, it.ann, action)
    await it.until(lambda: press.answered_at)
    assert [(one.card_id, one.staff_id, one.action) for one in heard] == [
        (card.id, "staff-ann", action if action == "stop" else "")
    ]
    return shown, press


@pytest.mark.parametrize("value", [True, False])
def test_what_the_bridge_says_is_what_the_card_shows(*, value: bool) -> None:
    async def act() -> None:
        async with scene(switches=Switches(callback_value=value)) as it:
            said = PressReply(notice="Thank you", stopped=True, rating="like")
            card, _ = await pressed(it, said)
            assert card.params == {"content": "typing", "stopped": "true"}
            assert card.private == {it.ann.sender_id: {"notice": "Thank you", "rating": "like"}}
            assert card.text == "typing"
            assert it.sim.complaints == []
            assert it.pushed == {"dingcorp1": 2}, "a press is a push, too"

    asyncio.run(act())


def test_an_unknown_button_is_acknowledged_with_nothing() -> None:
    async def act() -> None:
        async with scene() as it:
            card, press = await pressed(it, PressReply(), "approve")
            assert press.answer == {}
            assert card.params == {"content": "typing"}
            assert card.private == {}

    asyncio.run(act())


def test_a_broken_answer_is_acknowledged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        async with scene() as it:
            _, press = await pressed(it, RuntimeError("broken"))
            assert press.answer == {}

    with caplog.at_level(logging.ERROR, "dod"):
        asyncio.run(act())
    assert "could not be answered" in caplog.text


def test_a_slow_answer_is_given_up_before_dingtalk_does(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, press=0.02)) as it:
            _, press = await pressed(it, None)
            assert press.answer == {}
            assert it.sim.complaints == []

    with caplog.at_level(logging.WARNING, "dod"):
        asyncio.run(act())
    assert "not answered in time" in caplog.text


# -- the simulator is strict


def test_the_simulator_refuses_presses_that_cannot_happen() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            message = await it.hear()
            bob = it.sim.person("小博", "staff-bob")
            for n, style in enumerate((PUBLIC, OWN)):
                await it.channel.card(message, style, n).open()
            public, own = it.sim.cards.values()
            with pytest.raises(ValueError, match="no button"):
                await it.sim.press(public, it.ann, "stop")
            with pytest.raises(ValueError, match="does not see"):
                await it.sim.press(own, bob, "stop")
            own.calls_back = False
            with pytest.raises(ValueError, match="no button"):
                await it.sim.press(own, it.ann, "stop")

    asyncio.run(act())


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"cardData": {}}, "no cardParamMap"),
        ({"cardData": {"cardParamMap": {"stopped": True}}}, "something else than text"),
        ({"userPrivateData": {"staff-ann": {}}}, "no cardParamMap"),
        ({"notice": "hello"}, "unknown fields"),
        ({"cardUpdateOptions": {"updateCardDataByKey": "true"}}, "cardUpdateOptions"),
    ],
)
def test_the_simulator_complains_of_a_wrong_answer(
    data: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presses, "response", lambda _reply: data)

    async def act() -> None:
        async with scene() as it:
            card, _ = await pressed(it, PressReply(stopped=True))
            assert [one for one in it.sim.complaints if complaint in one]
            assert card.params == {"content": "typing"}

    asyncio.run(act())


def test_the_simulator_takes_no_answer_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.sim.dingtalk.presses.DEADLINE", -1.0)

    async def act() -> None:
        async with scene() as it:
            card, press = await pressed(it, PressReply(stopped=True))
            assert press.answer
            assert "stopped" not in card.params
            assert "answered after" in it.sim.complaints[0]

    asyncio.run(act())


def test_without_by_key_the_variables_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    only = {"cardData": {"cardParamMap": {"stopped": "true"}}}
    monkeypatch.setattr(presses, "response", lambda _reply: only)

    async def act() -> None:
        async with scene() as it:
            card, _ = await pressed(it, PressReply(stopped=True))
            assert card.params == {"stopped": "true"}

    asyncio.run(act())


def test_a_press_while_nobody_listens_is_answered_by_the_connection() -> None:
    """A channel that was given nothing to call acknowledges all the same."""

    async def act() -> None:
        async with scene() as it:
            await it.connect()
            card = it.channel.card(await it.hear(), OWN)
            await card.open()
            press = await it.sim.press(it.sim.cards[card.id], it.ann, "like")
            await it.until(lambda: press.answered_at)
            assert press.answer == {}
            assert it.sim.live_connections(ID) == 1

    asyncio.run(act())
