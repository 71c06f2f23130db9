"""The rest of a long answer as a file: sent once, or not at all."""

import asyncio
import io
import zipfile

from dod.bridge.claim import Claim
from dod.bridge.rest import rest_as_file
from dod.bridge.room import Room
from dod.errors import DingTalkBusy, DingTalkError, FileRefused
from dod.texts import say
from tests.fakes import FakeChannel, MemoryStore
from tests.scene import message

TEXT = "on the card\n```py\nin the file\n```"
START = TEXT.index("in the")


def handed_over(channel: FakeChannel, room: Room, claim: Claim | None = None) -> str:
    claim = claim or Claim("ding", message(1), MemoryStore())

    async def work() -> str:
        return await rest_as_file(claim, channel, room, "en")(TEXT, START)

    return asyncio.run(work())


def test_the_rest_is_a_file_of_markdown_by_itself() -> None:
    channel = FakeChannel()
    assert handed_over(channel, Room()) == say("rest_in_file", "en")
    assert channel.files == [("msg-1", "answer (continued).md", b"```py\nin the file\n```")]


def test_a_type_that_is_refused_is_packed_from_then_on() -> None:
    for kind in ("upload", "send_file"):
        channel, room = FakeChannel(), Room()
        channel.faults.on(kind, 1, FileRefused())
        assert handed_over(channel, room)
        assert handed_over(channel, room)
        assert channel.faults.counts["send_file"] == (2 if kind == "upload" else 3)
        for _, name, content in channel.files:
            assert name == "answer (continued).zip"
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                assert archive.read("answer (continued).md") == b"```py\nin the file\n```"


def test_a_file_that_does_not_go_leaves_the_rest_to_cards() -> None:
    for error in (FileRefused(), DingTalkBusy(), DingTalkError()):
        channel = FakeChannel()
        channel.faults.on("upload", 0, error)
        claim = Claim("ding", message(1), MemoryStore())
        assert handed_over(channel, Room(), claim) == ""
        assert not claim.filed


def test_a_crash_behind_the_promise_sends_nothing_twice() -> None:
    async def scenario() -> None:
        store, channel = MemoryStore(), FakeChannel()
        claim = Claim("ding", message(1), store)
        await rest_as_file(claim, channel, Room(), "en")(TEXT, START)
        record = await store.get(claim.key)
        assert record
        again = Claim.from_json("ding", record, store)
        assert await rest_as_file(again, channel, Room(), "en")(TEXT, START)
        assert len(channel.files) == 1

    asyncio.run(scenario())
