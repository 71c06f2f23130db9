"""Who may ask. Refused people are told, but not at every message."""

import time

from dod.config.spec import Allow
from dod.messages import Message

TELL_AGAIN = 3600.0  # seconds


def may_ask(allow: Allow, admins: tuple[str, ...], message: Message) -> bool:
    """``users`` holds staff ids, ``groups`` chat ids; ``*`` is everybody. Admins always may."""
    if message.sender.staff_id and message.sender.staff_id in admins:
        return True
    if not _listed(allow.users, message.sender.staff_id or message.sender.sender_id):
        return False
    return message.chat.kind == "single" or _listed(allow.groups, message.chat.id)


def _listed(allowed: tuple[str, ...], name: str) -> bool:
    return "*" in allowed or name in allowed


class Refusals:
    """Remembers who was told lately. Thread: the bot's loop."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}

    def tell(self, message: Message) -> bool:
        """True if this person has not been told in this chat within TELL_AGAIN."""
        now = time.monotonic()
        self._told = {who: at for who, at in self._told.items() if now - at < TELL_AGAIN}
        who = (message.chat.id, message.sender.key)
        return who not in self._told and self._told.setdefault(who, now) == now
