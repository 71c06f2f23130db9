"""Answers without a card: Markdown messages by webhook or robot API."""

import logging
from collections.abc import Sequence
from typing import Literal, TypedDict

from dod.bridge.dialects import message as in_a_message
from dod.bridge.pages import CARD_MAX_BYTES, page
from dod.bridge.serving import Serving
from dod.errors import ContentTooLong, DingTalkError
from dod.messages import Message
from dod.texts import say, tongue

log = logging.getLogger(__name__)

RETRIES = (1.0, 3.0, 10.0)  # seconds between tries, while nothing can have been sent
SHORTEST = 2000  # bytes: a message that is refused as too long and shorter than this is given up
OWN_UP = (1.0, 3.0, 10.0, 30.0)  # seconds before each try to say that something may be missing
TWICE = 2  # a sentence that may have arrived so often is taken as said


# sent: it arrived, or part of it, or may have, and that was said. unsaid: but that was not.
# perhaps: it may have arrived, and that was tried to be said until it may have been.
# later: nothing did, and waiting can help. never: nothing did, and waiting cannot help.
Delivery = Literal["sent", "unsaid", "perhaps", "later", "never"]


class How(TypedDict):
    """See ``Channel.reply``."""

    mention: bool
    foreign: bool


async def reply(
    serving: Serving,
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
            delivery = await _send(serving, message, made.text, retries, how=how)
        except ContentTooLong as error:
            if room <= SHORTEST:
                _log_undelivered(serving, error)
                delivery = "never"
            else:
                room = room * 2 // 3
                continue
        if delivery in {"later", "never"} and sent:  # nobody shall take this for the whole
            return await _own_up(serving, message, made.text, foreign=foreign)
        if delivery != "sent":
            return delivery
        sent, retries = True, RETRIES
        if not made.full:
            return "sent"
        start = made.end


async def _send(
    serving: Serving,
    message: Message,
    part: str,
    retries: Sequence[float],
    *,
    how: How,
) -> Delivery:
    tries = serving.haste.tries(retries)
    while True:
        try:
            await serving.channel.reply(message, part, **how)
        except ContentTooLong:
            raise
        except DingTalkError as error:
            if error.retry and error.not_done and await tries.another():
                continue
            _log_undelivered(serving, error)
            if not error.not_done:
                return await _own_up(serving, message, part, foreign=how["foreign"])
            return "later" if error.retry else "never"
        return "sent"


async def _own_up(
    serving: Serving, message: Message, part: str, *, foreign: bool
) -> Literal["sent", "perhaps", "unsaid"]:
    """``part`` is missing, or may be: it is never sent twice, but that is said.

    The sentence may come again, with each try: that is better than silence. Every other try goes
    the other way: what breaks the webhook's connections seldom breaks the robot's.
    """
    bot, sentence = serving.spec.name, say("unconfirmed", tongue("auto", part))
    tries = serving.haste.tries(OWN_UP)
    perhaps = int(part == sentence)  # after a crash, or tried again later
    while await tries.another():
        other_way = perhaps % 2 == 1
        try:
            await serving.channel.reply(message, sentence, foreign=foreign, other_way=other_way)
        except DingTalkError as error:
            log.info("bot=%s nor that it may be missing: %s", bot, error)
            perhaps += not error.not_done
        else:
            return "sent"
    log.error("bot=%s a person may be left without any answer", bot)
    return "perhaps" if perhaps >= TWICE else "unsaid"


def _log_undelivered(serving: Serving, error: DingTalkError) -> None:
    log.error("bot=%s reply not delivered: %s", serving.spec.name, error)
