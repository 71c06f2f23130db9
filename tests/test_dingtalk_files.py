"""Files to DingTalk: uploaded, then sent as a file or a picture."""

import asyncio
from dataclasses import replace

import pytest

from dod import errors
from dod.dingtalk.files import LARGEST
from dod.ports import MediaKind
from dod.sim.dingtalk.faults import Switches
from tests.test_dingtalk_channel import ID, scene
from tests.test_dingtalk_replies import heard, sent


@pytest.mark.parametrize("group", [False, True], ids=["single", "group"])
def test_a_file_and_a_picture_arrive(*, group: bool) -> None:
    async def act() -> None:
        async with scene() as it:
            message = await heard(it, group=group)
            media_id = await it.channel.upload(b"%PDF", "报告.pdf", "file", corp_id="dingcorp1")
            await it.channel.send_file(message, media_id, "报告.pdf")
            picture = await it.channel.upload(b"PNG", "a.png", "image", corp_id="dingcorp1")
            await it.channel.send_picture(message, picture)
            assert it.sim.media == {media_id: b"%PDF", picture: b"PNG"}
            assert sent(it) == [
                ("robot", "sampleFile", "报告.pdf"),
                ("robot", "sampleImageMsg", ""),
            ]
            assert it.sim.replies[0].chat is (it.group if group else it.single)
            assert it.spent == it.sim.gate.month_calls == {"dingcorp1": 4}

    asyncio.run(act())


@pytest.mark.parametrize(
    ("content", "name", "kind", "calls"),
    [
        (b"", "a.png", "image", 0),
        (b"x" * (LARGEST["voice"] + 1), "a.mp3", "voice", 0),
        (b"MZ", "a.exe", "file", 1),
        (b"<svg/>", "a.svg", "image", 1),
    ],
)
def test_what_dingtalk_does_not_take_is_refused_in_words(
    content: bytes, name: str, kind: MediaKind, calls: int
) -> None:
    async def act() -> None:
        async with scene() as it:
            with pytest.raises(errors.FileRefused) as refusal:
                await it.channel.upload(content, name, kind)
            assert not refusal.value.retry
            assert it.sim.refused[ID, "upload", "40004"] == calls

    asyncio.run(act())


def test_a_stale_token_is_renewed_for_an_upload() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.upload(b"PNG", "a.png", "image")
            it.sim.expire_tokens(ID)
            assert await it.channel.upload(b"PNG", "a.png", "image") in it.sim.media

    asyncio.run(act())


def test_a_type_that_cannot_be_sent_is_refused_when_it_is_sent() -> None:
    async def act() -> None:
        async with scene(switches=Switches(any_file=True)) as it:
            message = await heard(it)
            media_id = await it.channel.upload(b"# Hi", "a.md", "file")
            it.sim.switches.any_file = False
            with pytest.raises(errors.FileRefused):
                await it.channel.send_file(message, media_id, "a.md")
            with pytest.raises(errors.FileRefused):
                await it.channel.send_file(message, "@unknown", "a.pdf")
            assert not it.sim.replies

    asyncio.run(act())


def test_nobody_outside_the_organisation_gets_a_file() -> None:
    async def act() -> None:
        async with scene() as it:
            message = await heard(it)
            stranger = replace(message, sender=replace(message.sender, staff_id=""))
            with pytest.raises(errors.Undeliverable):
                await it.channel.send_picture(stranger, "@x")

    asyncio.run(act())


def test_a_name_with_a_path_is_only_a_name() -> None:
    async def act() -> None:
        async with scene() as it:
            message = await heard(it)
            media_id = await it.channel.upload(b"PK", "../../etc/a\r\n.zip", "file")
            await it.channel.send_file(message, media_id, "C:\\x\\" + "长" * 300 + ".zip")
            assert sent(it)[0][2] == "长" * 96 + ".zip"

    asyncio.run(act())
