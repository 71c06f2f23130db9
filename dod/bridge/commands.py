"""What a person may say to the bot itself instead of to Dify."""

from typing import Literal

from dod.messages import Message
from dod.texts import Tongue, say

Command = Literal["new", "stop", "stop_nothing", "good", "bad", "help", "id"]

WORDS: dict[str, Command] = {
    "/new": "new",
    "新对话": "new",
    "/stop": "stop",
    "停止": "stop",
    "/good": "good",
    "点赞": "good",
    "/bad": "bad",
    "点踩": "bad",
    "/help": "help",
    "帮助": "help",
    "/id": "id",
}


# These need no place behind what was asked before.
AT_ONCE: frozenset[Command] = frozenset({"stop", "stop_nothing", "help", "id"})


def command_in(text: str) -> Command | None:
    """The command that ``text`` is, if it is nothing but one; a rating may say why."""
    words = text.strip().lower()
    if comment_in(text):
        words = words.split(None, 1)[0]
    return WORDS.get(words)


def comment_in(text: str) -> str:
    """The reason behind ``/good`` or ``/bad``; "" if there is none."""
    first, *rest = text.strip().split(None, 1)[:2] or [""]
    return rest[0] if rest and first.lower() in {"/good", "/bad"} else ""


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
