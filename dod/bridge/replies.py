"""Answers without a card: Markdown messages by webhook or robot API."""

import logging

from dod.bridge.markdown import cut
from dod.errors import DingTalkError
from dod.messages import Message
from dod.ports import Channel

log = logging.getLogger(__name__)


async def reply(channel: Channel, bot: str, message: Message, text: str) -> None:
    """Send ``text`` as Markdown messages; what cannot be sent is in the log."""
    try:
        for part in cut(text):
            await channel.reply(message, part)
    except DingTalkError as error:
        log.error("bot=%s reply not delivered: %s", bot, error)  # noqa: TRY400  # no traceback: it is DingTalk's answer that matters
