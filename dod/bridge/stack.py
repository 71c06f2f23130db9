"""The cards of one answer, and what part of its text stands on which."""

from collections.abc import Callable, Sequence

from dod.bridge.pages import ELLIPSIS, Page, continued, page
from dod.bridge.room import Room
from dod.bridge.unfinished import finished
from dod.ports import Card


class Stack:
    """One card after the other; ``card`` is the one under way. Thread: the bot's loop.

    ``ends``: where in the text each full card ends. Nothing moves them: not more text, not a lower
    limit, not a crash. ``full``: those cards, without those of an earlier process. ``texts``: how
    many texts there were, see ``replaced``.
    """

    def __init__(self, make_card: Callable[[int], Card], room: Room) -> None:
        self.room = room
        self.number = 0  # of the card under way
        self.ends: list[int] = []
        self.full: list[Card] = []
        self.texts = 1
        self._make_card = make_card
        self.card = make_card(0)
        self._most = room.most_cards

    def resume(self, number: int, ends: Sequence[int]) -> None:
        """Go on with the ``number``-th card; without all ``ends`` it begins with the whole text."""
        self.number = number
        self.ends = list(ends) if len(ends) == number else [0] * number
        self.card = self._make_card(number)

    def replaced(self) -> None:
        """The text is another one now: the card under way begins with it."""
        self.ends = [0] * len(self.ends)
        self.texts += 1

    def ended(self, end: int) -> Card:
        """The card under way is full up to ``end``; the one that goes on, see ``turn``."""
        self.ends.append(end)
        self.full.append(self.card)
        return self._make_card(self.number + 1)

    def turn(self, card: Card) -> None:
        self.number, self.card = self.number + 1, card

    @property
    def last(self) -> bool:
        """No further card is made if the rest can go as a file."""
        return 0 < self._most <= self.number + 1

    def go_on(self) -> None:
        """It cannot: as many cards as it takes."""
        self._most = 0

    @property
    def start(self) -> int:
        """Where in the text the card under way begins."""
        return self.ends[-1] if self.ends else 0

    def page(self, text: str, *, complete: bool = True, spare: int = 0) -> Page:
        """What the card under way shows of ``text``, with ``spare`` bytes left below."""
        return page(text, self.start, self.room.max_bytes - spare, complete=complete)

    def view(self, text: str, *, notice: str, below: str) -> str:
        """What this card shows while more is to come; never blank.

        ``notice`` where there is no text yet; ``below``: a line under it.
        """
        made = self.page(text, complete=False)
        if not made.full:
            made = self.page(finished(text), complete=False)
        shown = made.text if made.text.strip() else "" if below else notice
        if below and not made.full:
            whole = f"{shown}\n\n{below}" if shown else below
            if len(whole.encode()) <= self.room.max_bytes:
                return whole
        return shown or ELLIPSIS

    def rest(self, text: str) -> str:
        """The part of ``text`` that stands on no full card."""
        return continued(text, self.start)
