"""A card's life at a strict DingTalk: its own template and the public one."""

import asyncio
import json
from dataclasses import replace

import pytest

from dod import errors
from dod.messages import CardStyle, Message
from dod.ports import Card
from dod.sim.dingtalk.faults import Refusal, Switches
from tests.test_dingtalk_channel import ID, OWN, PUBLIC, QUICK, Scene, scene

STYLES = pytest.mark.parametrize("style", [OWN, PUBLIC], ids=["own", "public"])
LONG = "很长的回答。" * 1000  # 6,000 characters


async def opened(it: Scene, style: CardStyle, *, group: bool = False) -> tuple[Card, Message]:
    await it.connect()
    message = await it.hear(chat=it.group if group else it.single)
    card = it.channel.card(message, style)
    await card.open()
    return card, message


@STYLES
@pytest.mark.parametrize("group", [False, True], ids=["single", "group"])
def test_a_card_is_made_typed_on_and_finished(style: CardStyle, *, group: bool) -> None:
    async def act() -> None:
        async with scene() as it:
            card, _ = await opened(it, style, group=group)
            shown = it.sim.cards[card.id]
            assert shown.chat is (it.group if group else it.single)
            await card.update(lambda: "Hel", first=True)
            assert (shown.state, shown.text) == ("typing", "Hel")
            await card.update(lambda: "Hello, wor")
            await card.finish("Hello, world.", "guid")
            assert (shown.state, shown.text) == ("finished", "Hello, world.")
            calls = 5 if style.public else 4
            assert it.spent == it.sim.gate.month_calls == {"dingcorp1": calls}
            assert it.sim.calls[ID, "create_and_deliver"] == 1

    asyncio.run(act())


@STYLES
def test_an_ended_card_can_be_withdrawn(style: CardStyle) -> None:
    async def act() -> None:
        async with scene() as it:
            card, _ = await opened(it, style)
            await card.finish("A secret.", "guid")
            await card.withdraw("(withdrawn)")
            shown = it.sim.cards[card.id]
            assert (shown.state, shown.text) == ("finished", "(withdrawn)")

    asyncio.run(act())


def test_a_failed_card_shows_its_sentence() -> None:
    """The public template is finished, not failed: nobody knows whether its failure shows text."""

    async def act(style: CardStyle, state: str) -> None:
        async with scene() as it:
            card, _ = await opened(it, style)
            await card.fail("⚠️ Dify is away.", "guid")
            shown = it.sim.cards[card.id]
            assert (shown.state, shown.text) == (state, "⚠️ Dify is away.")

    asyncio.run(act(OWN, "failed"))
    asyncio.run(act(PUBLIC, "finished"))


def test_the_public_template_gets_what_it_needs_at_creation() -> None:
    async def act() -> None:
        async with scene() as it:
            card, _ = await opened(it, PUBLIC)
            params = it.sim.cards[card.id].params
            assert params == {"flowStatus": "2", "sys_full_json_obj": '{"order":["msgContent"]}'}
            assert json.loads(params["sys_full_json_obj"]) == {"order": ["msgContent"]}
            await card.finish("done", "guid")
            assert it.sim.cards[card.id].params["flowStatus"] == "3"

    asyncio.run(act())


@pytest.mark.parametrize(
    "switches",
    [
        Switches(),
        Switches(put_blank_chars=0, value_max_bytes=1024),
        Switches(public_ended_by_stream=True, after_end="ignored"),
    ],
    ids=["long puts are blank", "values of 1 KB", "ended by streaming"],
)
def test_a_long_answer_on_the_public_template_stays_whole(switches: Switches) -> None:
    async def act(text: str) -> None:
        async with scene(switches=switches) as it:
            card, _ = await opened(it, PUBLIC)
            await card.finish(text, "guid")
            shown = it.sim.cards[card.id]
            assert (shown.state, shown.text) == ("finished", text)

    asyncio.run(act(LONG))
    asyncio.run(act(LONG[:1500]))


# -- creation


def test_opening_twice_is_one_call() -> None:
    async def act() -> None:
        async with scene() as it:
            card, _ = await opened(it, OWN)
            await card.open()
            assert it.sim.calls[ID, "create_and_deliver"] == 1

    asyncio.run(act())


@pytest.mark.parametrize("reused", ["refused", "ignored"])
def test_a_creation_whose_answer_was_lost_makes_one_card(reused: str) -> None:
    async def act() -> None:
        async with scene(switches=Switches(card_reused=reused)) as it:  # type: ignore[arg-type]
            await it.connect()
            message = await it.hear()
            it.sim.faults.next("create_and_deliver", "lost")
            card = it.channel.card(message, OWN)
            await card.open()
            await card.finish("one", "guid")
            assert list(it.sim.cards) == [card.id]
            assert it.single.shown.count(it.sim.cards[card.id]) == 1

    asyncio.run(act())


def test_a_creation_is_repeated_once_and_no_more() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            message = await it.hear()
            it.sim.faults.next("create_and_deliver", "busy", 3)
            card = it.channel.card(message, OWN)
            with pytest.raises(errors.DingTalkBusy):
                await card.open()
            assert it.sim.refused[ID, "create_and_deliver", "system.busy"] == 2
            await card.open()  # one more busy, then it works
            assert list(it.sim.cards) == [card.id]

    asyncio.run(act())


def test_no_card_for_an_outsider_in_a_single_chat_and_no_call() -> None:
    async def act() -> None:
        async with scene(staff_id=None) as it:
            await it.connect()
            message = await it.hear()
            card = it.channel.card(message, OWN)
            for _ in range(2):
                with pytest.raises(errors.Undeliverable):
                    await card.open()
            assert not it.spent
            in_group = it.channel.card(await it.hear(chat=it.group), OWN)
            await in_group.open()

    asyncio.run(act())


def test_a_delivery_that_failed_behind_a_200_is_undeliverable_each_time() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            heard = await it.hear()
            stranger = replace(heard, sender=replace(heard.sender, staff_id="nobody"))
            card = it.channel.card(stranger, OWN)
            for _ in range(2):
                with pytest.raises(errors.Undeliverable, match="spaceId is illegal"):
                    await card.open()
            assert it.spent == {"dingcorp1": 1}

    asyncio.run(act())


def test_a_template_that_does_not_exist_is_an_error_with_its_code() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            card = it.channel.card(await it.hear(), CardStyle("none.schema", "content"))
            with pytest.raises(errors.DingTalkError) as caught:
                await card.open()
            assert caught.value.code == "param.templateNotExist"

    asyncio.run(act())


# -- ending


@STYLES
@pytest.mark.parametrize("after_end", ["refused", "ignored"])
@pytest.mark.parametrize("same_guid", ["accepted", "refused"])
def test_an_ending_whose_answer_was_lost_is_repeated(
    style: CardStyle, after_end: str, same_guid: str
) -> None:
    switches = Switches(after_end=after_end, same_guid=same_guid)  # type: ignore[arg-type]

    async def act() -> None:
        async with scene(switches=switches) as it:
            card, message = await opened(it, style)
            it.sim.faults.next("streaming", "lost")
            await card.finish("whole", "guid")
            shown = it.sim.cards[card.id]
            assert (shown.state, shown.text) == ("finished", "whole")
            await card.finish("whole", "guid")  # the bridge may repeat it
            # ... and so may the next process, which knows the message and the guid only
            await it.channel.card(message, style).finish("whole", "guid")
            assert (shown.state, shown.text) == ("finished", "whole")

    asyncio.run(act())


def test_the_public_templates_last_write_is_repeated_too() -> None:
    async def act() -> None:
        async with scene() as it:
            card, _ = await opened(it, PUBLIC)
            it.sim.faults.next("update", "busy")
            await card.finish("whole", "guid")
            assert it.sim.cards[card.id].state == "finished"
            it.sim.faults.next("update", "busy", 2)
            with pytest.raises(errors.DingTalkBusy):
                await card.finish("whole", "guid")

    asyncio.run(act())


@STYLES
def test_a_card_that_does_not_exist_is_gone(style: CardStyle) -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            card = it.channel.card(await it.hear(), style)
            for ending in (card.update(lambda: "x"), card.finish("x", "g"), card.fail("x", "g")):
                with pytest.raises(errors.CardGone):
                    await ending

    asyncio.run(act())


def test_what_the_card_does_not_take_is_no_success_after_a_restart_either() -> None:
    async def act() -> None:
        async with scene(switches=Switches(content_max_bytes=100)) as it:
            card, message = await opened(it, OWN)
            again = it.channel.card(message, OWN)
            for one in (card, again):
                with pytest.raises(errors.ContentTooLong):
                    await one.finish(LONG, "guid")
            it.sim.faults.unsafe_words.add("secret")
            with pytest.raises(errors.DingTalkError, match="contentUnsafe"):
                await again.finish("a secret", "guid")
            await again.finish("short", "guid")
            assert it.sim.cards[card.id].state == "finished"

    asyncio.run(act())


def test_an_unknown_refusal_of_the_ending_is_raised_by_who_opened_the_card() -> None:
    async def act() -> None:
        async with scene() as it:
            card, _ = await opened(it, OWN)
            it.sim.faults.next("streaming", Refusal(400, "param.invalid", "something"))
            with pytest.raises(errors.DingTalkError, match="something"):
                await card.finish("whole", "guid")

    asyncio.run(act())


def test_an_update_is_tried_once() -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, answer=0.05)) as it:
            card, _ = await opened(it, OWN)
            it.sim.faults.next("streaming", "hang")
            with pytest.raises(errors.DingTalkBusy):
                await card.update(lambda: "one")
            await card.update(lambda: "two")
            assert it.sim.cards[card.id].text == "two"

    asyncio.run(act())


def test_a_refusal_after_a_lost_answer_leaves_it_open_whether_the_card_is_there() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            message = await it.hear(chat=it.single)
            card = it.channel.card(message, OWN)
            it.sim.faults.next("create_and_deliver", "lost")
            denied = Refusal(403, "Forbidden.AccessDenied.ApiCountLimitForOrg")
            it.sim.faults.next("create_and_deliver", denied)
            with pytest.raises(errors.DingTalkBusy):
                await card.open()
            assert it.sim.cards[card.id].state == "processing"
            await card.finish("Hello.", "guid")
            assert it.sim.cards[card.id].state == "finished"

    asyncio.run(act())
