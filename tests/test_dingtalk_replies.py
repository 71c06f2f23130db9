"""Plain messages: the webhook while it lives, the robot afterwards, never both."""

import asyncio
from dataclasses import replace

import pytest

from dod import errors
from dod.dingtalk.replies import title
from dod.messages import Message
from dod.sim.dingtalk.faults import Mishap, Switches
from dod.sim.dingtalk.world import SimReply
from tests.test_dingtalk_channel import ID, QUICK, Scene, scene

MARKDOWN = "## 你好\n\n- one\n- two"


async def heard(it: Scene, *, group: bool = False) -> Message:
    await it.connect()
    return await it.hear(chat=it.group if group else it.single)


def sent(it: Scene) -> list[tuple[str, str, str]]:
    return [(reply.medium, reply.kind, reply.text) for reply in it.sim.replies]


@pytest.mark.parametrize("group", [False, True], ids=["single", "group"])
def test_the_webhook_is_used_while_it_lives(*, group: bool) -> None:
    async def act() -> SimReply:
        async with scene() as it:
            await it.channel.reply(await heard(it, group=group), MARKDOWN)
            assert sent(it) == [("webhook", "markdown", MARKDOWN)]
            assert it.sim.replies[0].chat is (it.group if group else it.single)
            assert it.pushed == {"dingcorp1": 2}  # the message, and the reply
            assert not it.spent
            return it.sim.replies[0]

    assert asyncio.run(act()).body["markdown"]["title"] == "你好"


def test_the_asker_is_called_by_name_in_a_group() -> None:
    async def act() -> None:
        async with scene() as it:
            message = await heard(it, group=True)
            await it.channel.reply(message, MARKDOWN, mention=True)
            assert it.sim.replies[0].mentioned == (message.sender.staff_id,)
            assert it.sim.replies[0].text.startswith(MARKDOWN)
            await it.channel.reply(replace(message, webhook=""), MARKDOWN, mention=True)
            assert it.sim.replies[1].text == MARKDOWN

    asyncio.run(act())


def test_nobody_is_called_by_name_in_a_chat_of_two() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.reply(await heard(it), MARKDOWN, mention=True)
            assert sent(it) == [("webhook", "markdown", MARKDOWN)]

    asyncio.run(act())


@pytest.mark.parametrize("group", [False, True], ids=["single", "group"])
def test_after_its_time_the_robot_sends(*, group: bool) -> None:
    async def act() -> None:
        async with scene() as it:
            message = replace(await heard(it, group=group), webhook_expires_at=1.0)
            await it.channel.reply(message, MARKDOWN)
            assert sent(it) == [("robot", "sampleMarkdown", MARKDOWN)]
            assert it.sim.calls[ID, "webhook"] == 0
            assert it.spent == it.sim.gate.month_calls == {"dingcorp1": 1}
            assert it.pushed == {"dingcorp1": 1}

    asyncio.run(act())


@pytest.mark.parametrize("webhook", ["", "unknown"])
def test_an_unknown_session_or_none_at_all_is_answered_by_the_robot(webhook: str) -> None:
    async def act() -> None:
        async with scene() as it:
            message = await heard(it)
            url = f"{it.sim.url}/robot/sendBySession?session={webhook}" if webhook else ""
            await it.channel.reply(replace(message, webhook=url, webhook_expires_at=0.0), "hi")
            assert sent(it) == [("robot", "sampleMarkdown", "hi")]

    asyncio.run(act())


def test_a_webhook_for_groups_only_does_not_silence_single_chats() -> None:
    async def act() -> None:
        async with scene(switches=Switches(webhook_group_only=True)) as it:
            await it.channel.reply(await heard(it), "hi")
            assert sent(it) == [("robot", "sampleMarkdown", "hi")]

    asyncio.run(act())


def test_a_webhook_host_that_cannot_be_reached_is_no_reason_for_silence() -> None:
    async def act() -> None:
        async with scene() as it:
            message = replace(await heard(it), webhook="http://127.0.0.1:9/?session=x")
            await it.channel.reply(message, "hi")
            assert sent(it) == [("robot", "sampleMarkdown", "hi")]

    asyncio.run(act())


@pytest.mark.parametrize("mishap", ["lost", "reset", "hang"])
def test_after_an_unknown_outcome_nothing_more_is_sent(mishap: Mishap) -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, answer=0.05)) as it:
            message = await heard(it)
            it.sim.faults.next("webhook", mishap)
            with pytest.raises(errors.DingTalkBusy):
                await it.channel.reply(message, "hi")
            it.sim.faults.next("send_single", mishap)
            with pytest.raises(errors.DingTalkBusy):
                await it.channel.reply(replace(message, webhook=""), "hi")
            assert len(it.sim.replies) == (2 if mishap == "lost" else 0)

    asyncio.run(act())


def test_an_outsider_whose_webhook_is_gone_cannot_be_reached() -> None:
    async def act() -> None:
        async with scene(staff_id=None) as it:
            message = await heard(it)
            await it.channel.reply(message, "by webhook")
            with pytest.raises(errors.Undeliverable):
                await it.channel.reply(replace(message, webhook=""), "hi")
            dead = message.webhook + "x"
            with pytest.raises(errors.DingTalkError, match="300001"):
                await it.channel.reply(replace(message, webhook=dead), "hi")
            assert not it.spent

    asyncio.run(act())


def test_what_the_robot_may_not_do_is_worth_another_try_by_a_busy_webhook() -> None:
    async def act() -> None:
        async with scene() as it:
            message = await heard(it)
            it.sim.faults.next("webhook", "html")
            it.sim.faults.quota_used_up = True
            with pytest.raises(errors.DingTalkBusy) as raised:
                await it.channel.reply(message, MARKDOWN)
            assert raised.value.not_done
            assert raised.value.retry
            await it.channel.reply(message, MARKDOWN)
            assert sent(it) == [("webhook", "markdown", MARKDOWN)]

    asyncio.run(act())


def test_a_200_that_reached_nobody_is_an_error() -> None:
    async def act() -> None:
        async with scene() as it:
            message = replace(await heard(it), webhook="")
            it.sim.faults.flow_controlled = True
            with pytest.raises(errors.Throttled):
                await it.channel.reply(message, "hi")
            it.sim.faults.flow_controlled = False
            stranger = replace(message, sender=replace(message.sender, staff_id="nobody"))
            with pytest.raises(errors.Undeliverable):
                await it.channel.reply(stranger, "hi")

    asyncio.run(act())


def test_what_is_too_long_for_the_robot_is_said_before_a_call_is_spent() -> None:
    async def act() -> None:
        async with scene() as it:
            message = replace(await heard(it), webhook="")
            await it.channel.reply(message, "好" * 4900)
            with pytest.raises(errors.ContentTooLong):
                await it.channel.reply(message, "好" * 5000)
            assert it.spent == {"dingcorp1": 1}

    asyncio.run(act())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "hello"),
        ("\n\n## **Answer** one\nmore", "Answer one"),
        ("1. first\n2. second", "first"),
        ("> - quoted", "quoted"),
        ("很长的一句话" * 10, ("很长的一句话" * 10)[:24]),
        ("---\n", "---"),
        ("   ", "…"),
    ],
)
def test_the_title_is_the_first_words_and_never_empty(text: str, words: str) -> None:
    assert title(text) == words


@pytest.mark.parametrize("group", [False, True], ids=["single", "group"])
def test_what_another_app_got_is_answered_by_its_webhook_or_not_at_all(*, group: bool) -> None:
    """This app's robot speaks in a chat of its own, or in a group that it may not be in."""

    async def act() -> None:
        async with scene() as it:
            message = await heard(it, group=group)
            await it.channel.reply(message, MARKDOWN, foreign=True)
            it.sim.faults.next("webhook", "html")
            with pytest.raises(errors.DingTalkBusy) as caught:
                await it.channel.reply(message, "again", foreign=True)
            assert caught.value.not_done
            with pytest.raises(errors.Undeliverable):
                await it.channel.reply(replace(message, webhook=""), "again", foreign=True)
            late = replace(message, webhook_expires_at=1.0)
            with pytest.raises(errors.Undeliverable):
                await it.channel.reply(late, "again", foreign=True)
            assert sent(it) == [("webhook", "markdown", MARKDOWN)]

    asyncio.run(act())
