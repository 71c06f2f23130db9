"""What a person may say to the bot itself instead of to Dify."""

from typing import Literal

from dod.messages import Message
from dod.texts import Tongue, say

Command = Literal["new", "stop", "stop_nothing", "help", "id"]

WORDS: dict[str, Command] = {
    "/new": "new",
    "新对话": "new",
    "/stop": "stop",
    "停止": "stop",
    "/help": "help",
    "帮助": "help",
    "/id": "id",
}


def command_in(text: str) -> Command | None:
    """The command that ``text`` is, if it is nothing but a command."""
    return WORDS.get(text.strip().lower())


def id_card(message: Message, tongue: Tongue) -> str:
    """The answer to ``/id``: what an admin needs for ``admins`` and ``allow``."""
    return say(
        "id",
        tongue,
        staff_id=message.sender.staff_id or say("id_none", tongue),
        chat_id=message.chat.id,
        chat_type=message.chat.kind,
        corp_id=message.corp_id,
    )
