"""Files that people send, fetched from a simulated DingTalk."""

import asyncio

import pytest

from dod.errors import DingTalkBusy, FileGone
from dod.messages import Attachment, Message
from dod.sim.dingtalk.faults import Refusal
from dod.sim.dingtalk.world import SimCard
from tests.test_dingtalk_channel import ID, OWN, Scene, scene

CONTENT = bytes(range(256)) * 2000


async def picture(it: Scene, content: bytes) -> Attachment:
    await it.connect()
    code = it.sim.add_file(ID, "picture.png", content)
    raw = {"content": {"downloadCode": code}}
    await it.sim.say(ID, it.single, it.ann, "", kind="picture", raw=raw)
    await it.until(lambda: it.messages)
    (found,) = it.messages[-1].attachments
    return found


async def fetched(it: Scene, attachment: Attachment) -> tuple[int, bytes]:
    async with it.channel.download(attachment, corp_id="dingcorp1") as file:
        return file.size, b"".join([chunk async for chunk in file.chunks])


def test_a_picture_arrives_whole_for_one_call() -> None:
    async def act() -> None:
        async with scene() as it:
            attachment = await picture(it, CONTENT)
            assert attachment.kind == "picture"
            assert await fetched(it, attachment) == (len(CONTENT), CONTENT)
            assert it.spent == {"dingcorp1": 1}

    asyncio.run(act())


@pytest.mark.parametrize("code", ["unknown", ""])
def test_a_code_that_is_not_valid_any_more(code: str) -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            with pytest.raises(FileGone):
                await fetched(it, Attachment("picture", code))

    asyncio.run(act())


def test_a_file_of_another_robot_is_gone_for_this_one() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            it.sim.add_app("dingother", "secret")
            code = it.sim.add_file("dingother", "a.png", CONTENT)
            with pytest.raises(FileGone):
                await fetched(it, Attachment("picture", code))

    asyncio.run(act())


def test_a_link_that_has_run_out_and_a_server_that_is_down() -> None:
    async def act() -> None:
        async with scene() as it:
            attachment = await picture(it, CONTENT)
            it.sim.faults.next("file", Refusal(403, "AccessDenied"))
            with pytest.raises(FileGone):
                await fetched(it, attachment)
            for mishap in ("busy", "reset", "lost", "hang"):
                it.sim.faults.next("file", mishap)
                with pytest.raises(DingTalkBusy):
                    await fetched(it, attachment)
            assert (await fetched(it, attachment))[1] == CONTENT

    asyncio.run(act())


def test_who_quotes_a_card_brings_its_words() -> None:
    async def act() -> Message:
        async with scene() as it:
            first = await _answered(it)
            shown = it.single.shown[-1]
            assert isinstance(shown, SimCard)
            replied = {"msgType": "interactiveCard", "content": {}}
            body = {"content": "why?", "isReplyMsg": True, "repliedMsg": replied}
            raw = {"text": body, "originalProcessQueryKey": shown.carriers[it.single.id]}
            await it.sim.say(ID, it.single, it.ann, "why?", raw=raw)
            await it.until(lambda: it.messages[-1].id != first.id)
            return it.messages[-1]

    assert asyncio.run(act()).quote == "the whole answer"


async def _answered(it: Scene) -> Message:
    await it.connect()
    message = await it.hear()
    card = it.channel.card(message, OWN)
    await card.open()
    await card.finish("the whole answer", "guid")
    return message
