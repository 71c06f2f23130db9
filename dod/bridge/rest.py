"""The rest of a very long answer, as a file below its last card."""

import io
import logging
import zipfile
from collections.abc import Awaitable, Callable

from dod.bridge.claim import Claim
from dod.bridge.pages import continued
from dod.bridge.room import Room
from dod.errors import DingTalkError, FileRefused
from dod.ports import Channel
from dod.texts import Tongue, say, tongue

log = logging.getLogger(__name__)


def rest_as_file(
    claim: Claim, channel: Channel, room: Room, language: Tongue | None = None
) -> Callable[[str, int], Awaitable[str]]:
    """What a typewriter hands the rest over to: sends it once, gives the sentence that says so.

    The promise is on disk before the file is sent, so that a crash sends it at most once; what
    went wrong for sure leaves the rest to further cards.
    """

    async def hand_over(text: str, start: int) -> str:
        spoken = language or tongue("auto", claim.message.text)
        sentence = say("rest_in_file", spoken)
        if claim.filed:
            return sentence
        await claim.filing(start)
        try:
            await _send(claim, channel, room, continued(text, start), say("rest_name", spoken))
        except DingTalkError as error:
            log.warning("msg=%s the rest goes on further cards: %s", claim.message.id, error)
            await claim.filing(0)
            return ""
        return sentence

    return hand_over


async def _send(claim: Claim, channel: Channel, room: Room, text: str, name: str) -> None:
    """As .md, which is not in DingTalk's list of what it takes; if refused, as .zip, which is."""
    if not room.zip_only:
        try:
            await _send_one(claim, channel, text.encode(), f"{name}.md")
        except FileRefused as error:
            log.info("msg=%s no .md file, a .zip instead: %s", claim.message.id, error)
            room.zip_only = True
        else:
            return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.md", text)
    await _send_one(claim, channel, packed.getvalue(), f"{name}.zip")


async def _send_one(claim: Claim, channel: Channel, content: bytes, name: str) -> None:
    media_id = await channel.upload(content, name, "file", corp_id=claim.message.corp_id)
    await channel.send_file(claim.message, media_id, name)
