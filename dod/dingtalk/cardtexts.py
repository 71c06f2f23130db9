"""What the bot's last cards said, for people who quote them: DingTalk pushes only the card's ids.

A quote of a card carries its carrierId as ``originalProcessQueryKey`` and no text (§3). In memory:
after a restart a quoted card has no words, which is what it was before.
"""

from collections import OrderedDict
from dataclasses import replace

from dod.messages import Message

KEPT = 30  # cards: people quote what stands on the screen; 300 of fifty bots would be 30 MB
LONGEST = 2000  # characters of each


class CardTexts:
    """Lifecycle: that of its channel. Thread: the bot's loop."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()

    def keep(self, carrier: str, text: str) -> None:
        """Remember what the card that was delivered as ``carrier`` ended with."""
        if carrier:
            self._texts[carrier] = text[:LONGEST]
            self._texts.move_to_end(carrier)
            if len(self._texts) > KEPT:
                self._texts.popitem(last=False)

    def fill(self, message: Message) -> Message:
        """``message`` with the words of the card that it quotes, if they are known."""
        for name in message.quoted_card:
            if name in self._texts:
                return replace(message, quote=self._texts[name])
        return message
