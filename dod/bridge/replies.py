"""Answers without a card: Markdown messages by webhook or robot API."""

import asyncio
import logging

from dod.bridge.markdown import cut
from dod.errors import DingTalkError
from dod.messages import Message
from dod.ports import Channel

log = logging.getLogger(__name__)

RETRIES = (1.0, 3.0, 10.0)  # seconds between tries, while nothing can have been sent


async def reply(
    channel: Channel, bot: str, message: Message, text: str, *, mention: bool = False
) -> bool:
    """Send ``text`` as Markdown messages. False if none of it can have arrived; logged then.

    ``mention``: the last of them calls the asker, where DingTalk can do that.
    """
    parts = list(cut(text))
    for number, part in enumerate(parts, start=1):
        last = mention and number == len(parts)
        if not await _send(channel, bot, message, part, mention=last):
            return number > 1
    return True


async def _send(channel: Channel, bot: str, message: Message, part: str, *, mention: bool) -> bool:
    for delay in (*RETRIES, None):
        try:
            await channel.reply(message, part, mention=mention)
        except DingTalkError as error:
            if delay is None or not (error.retry and error.not_done):
                log.error("bot=%s reply not delivered: %s", bot, error)  # noqa: TRY400  # DingTalk's answer says it
                return not error.not_done
            await asyncio.sleep(delay)
        else:
            return True
    return False
