"""Answers without a card: Markdown messages by webhook or robot API."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal

from dod.bridge.markdown import cut
from dod.errors import DingTalkError
from dod.messages import Message
from dod.ports import Channel

log = logging.getLogger(__name__)

RETRIES = (1.0, 3.0, 10.0)  # seconds between tries, while nothing can have been sent

# sent: it arrived, or part of it, or may have. later: nothing did, and waiting can help.
# never: nothing did, and waiting cannot help.
Delivery = Literal["sent", "later", "never"]


async def reply(
    channel: Channel, bot: str, message: Message, text: str, *, once: bool = False
) -> Delivery:
    """Send ``text`` as Markdown messages; what is not delivered is logged. ``once``: no retries."""
    retries = () if once else RETRIES
    sent = False
    for part in cut(text):
        delivery = await _send(channel, bot, message, part, retries)
        if delivery != "sent":
            return "sent" if sent else delivery
        sent, retries = True, RETRIES
    return "sent"


async def _send(
    channel: Channel, bot: str, message: Message, part: str, retries: Sequence[float]
) -> Delivery:
    for delay in (*retries, None):
        try:
            await channel.reply(message, part)
        except DingTalkError as error:
            if delay is None or not (error.retry and error.not_done):
                log.error("bot=%s reply not delivered: %s", bot, error)  # noqa: TRY400  # DingTalk's answer says it
                if not error.not_done:
                    return "sent"
                return "later" if error.retry else "never"
            await asyncio.sleep(delay)
        else:
            break
    return "sent"
