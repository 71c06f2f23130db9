"""How much a card takes, as far as DingTalk has told; undocumented (dingtalk-protocol §5.4)."""

from dod.bridge.pages import CARD_MAX_BYTES, FEWEST_BYTES

MOST_CARDS = 4  # then the rest of an answer comes as a file


class Room:
    """One for all cards of a bot. ``max_bytes`` only shrinks. Thread: the bot's loop."""

    def __init__(self, max_bytes: int = CARD_MAX_BYTES, most_cards: int = MOST_CARDS) -> None:
        """``most_cards``: of one answer; 0 = as many as it takes."""
        self.max_bytes = max_bytes
        self.most_cards = most_cards
        self.shrunk = False
        self.zip_only = False  # a file of Markdown was refused
        self._taken = 0  # bytes of the longest text that was taken

    def took(self, text: str) -> None:
        if len(text) * 4 > self._taken:
            self._taken = max(self._taken, len(text.encode()))

    def refused(self, text: str) -> bool:
        """Learn from a refusal. False if no card could be cut shorter than that."""
        size = len(text.encode())
        if size <= FEWEST_BYTES:
            return False
        known = self._taken if self._taken < size else 0
        self.shrunk = True
        self.max_bytes = min(self.max_bytes, max(FEWEST_BYTES, size * 2 // 3, known))
        return True
