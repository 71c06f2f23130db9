"""Answers without a card: Markdown messages by webhook or robot API."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal, TypedDict

from dod.bridge.dialects import message as in_a_message
from dod.bridge.pages import CARD_MAX_BYTES, page
from dod.errors import ContentTooLong, DingTalkError
from dod.messages import Message
from dod.ports import Channel
from dod.texts import say, tongue

log = logging.getLogger(__name__)

RETRIES = (1.0, 3.0, 10.0)  # seconds between tries, while nothing can have been sent
SHORTEST = 2000  # bytes: a message that is refused as too long and shorter than this is given up
OWN_UP = (1.0, 3.0, 10.0, 30.0)  # seconds before each try to say that something may be missing


# sent: it arrived, or part of it, or may have. later: nothing did, and waiting can help.
# never: nothing did, and waiting cannot help.
Delivery = Literal["sent", "later", "never"]


class How(TypedDict):
    """See ``Channel.reply``."""

    mention: bool
    foreign: bool


async def reply(
    channel: Channel,
    bot: str,
    message: Message,
    text: str,
    *,
    mention: bool = False,
    once: bool = False,
    foreign: bool = False,
) -> Delivery:
    """Send ``text`` as Markdown messages; what is not delivered is logged, and a missing rest said.

    ``mention``: the last of them calls the asker, where DingTalk can do that. ``once``: nothing is
    tried again, until the first of them has arrived. ``foreign``: see ``Channel.reply``.
    """
    retries: Sequence[float] = () if once else RETRIES
    sent = False
    start, room = 0, CARD_MAX_BYTES
    while True:
        made = page(text, start, room, in_a_message)
        try:
            how = How(mention=mention and not made.full, foreign=foreign)
            delivery = await _send(channel, bot, message, made.text, retries, how=how)
        except ContentTooLong as error:
            if room <= SHORTEST:
                log.error("bot=%s reply not delivered: %s", bot, error)  # noqa: TRY400  # DingTalk's answer says it
                delivery = "never"
            else:
                room = room * 2 // 3
                continue
        if delivery != "sent" and sent:  # the rest is missing: nobody shall take it for the whole
            await _own_up(channel, bot, message, made.text, foreign=foreign)
            return "sent"
        if delivery != "sent":
            return delivery
        sent, retries = True, RETRIES
        if not made.full:
            return "sent"
        start = made.end


async def _send(
    channel: Channel,
    bot: str,
    message: Message,
    part: str,
    retries: Sequence[float],
    *,
    how: How,
) -> Delivery:
    for delay in (*retries, None):
        try:
            await channel.reply(message, part, **how)
        except ContentTooLong:
            raise
        except DingTalkError as error:
            if delay is None or not (error.retry and error.not_done):
                log.error("bot=%s reply not delivered: %s", bot, error)  # noqa: TRY400  # DingTalk's answer says it
                if not error.not_done:
                    await _own_up(channel, bot, message, part, foreign=how["foreign"])
                    return "sent"
                return "later" if error.retry else "never"
            await asyncio.sleep(delay)
        else:
            break
    return "sent"


async def _own_up(
    channel: Channel, bot: str, message: Message, part: str, *, foreign: bool
) -> None:
    """``part`` is missing, or may be: it is never sent twice, but that is said.

    The sentence may come twice: that is better than silence.
    """
    sentence = say("unconfirmed", tongue("auto", part))
    for delay in OWN_UP:
        await asyncio.sleep(delay)
        try:
            await channel.reply(message, sentence, foreign=foreign)
        except DingTalkError as error:
            log.info("bot=%s nor that it may be missing: %s", bot, error)
        else:
            return
    log.error("bot=%s a person may be left without any answer", bot)
