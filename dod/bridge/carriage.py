"""The way of one answer from card to card (design §5.4, §5.7).

Each is opened, ended when it is full, and the last one ended for good.

Thread: the bot's loop.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from dod.bridge.haste import Haste
from dod.bridge.pages import ELLIPSIS, Page
from dod.bridge.room import Room
from dod.bridge.stack import Stack
from dod.errors import ContentTooLong, DingTalkError
from dod.messages import digest
from dod.ports import Card

log = logging.getLogger(__name__)

SENTENCE_ROOM = 300  # bytes for what is said below a text


class Carriage:
    """Its arguments: see ``Typewriter``. Never two calls at once: who types stops before ending.

    ``absent``: the current card certainly does not exist. ``withdrawal``: what full cards are to
    show now. ``written``: what the last update wrote on the current card.
    """

    def __init__(
        self,
        make_card: Callable[[int], Card],
        room: Room,
        *,
        existing: int,
        on_opening: Callable[[int, str, Sequence[int]], Awaitable[None]],
        hand_over: Callable[[str, int], Awaitable[str]],
        retries: Sequence[float],
        haste: Haste,
    ) -> None:
        self.room = room
        self.stack = Stack(make_card, self.room)
        self.absent = False
        self.withdrawal = ""
        self.written = ""
        self._landed = 0  # how many cards have their last frame
        self._existing = existing
        self._on_opening = on_opening
        self._hand_over = hand_over
        self._retries = retries
        self._haste = haste

    def resume(self, number: int, ends: Sequence[int] = ()) -> None:
        self._landed = number
        self.stack.resume(number, ends)

    async def open_first(self) -> bool:
        """False if the card takes no updates; it may be there all the same."""
        try:
            await self._on_opening(1, "", ())
            await self.stack.card.open()
        except DingTalkError as error:
            # An unknown outcome leaves the card possibly there, so does an earlier process:
            # ``close`` will find out.
            self.absent = not error.retry and self.stack.number >= self._existing
            log.warning("card=%s not opened: %s", self.stack.card.id, error)
            return False
        return True

    def learn(self, text: str) -> bool:
        """DingTalk refused ``text`` as too long. True if a shorter one is worth a try."""
        if not self.room.refused(text):
            return False
        log.warning("card=%s from now on takes %d bytes", self.stack.card.id, self.room.max_bytes)
        return True

    async def close_card(self, text: str, guid: str, *, failed: bool) -> bool:
        """Put what fits on the current card and turn over; True when that was the last one."""
        made = self.stack.page(text)
        try:
            if not made.full:
                await self.land(made.text or ELLIPSIS, guid, failed=failed)
                return True
            if not self.stack.last:
                await self.turn_over(made, text, guid)
                return False
            made = self.stack.page(text, spare=SENTENCE_ROOM)
            sentence = await self._hand_over(text, made.end)
            if not sentence:
                self.stack.go_on()
                return False
            whole = f"{made.text}\n\n{sentence}"
            await self.land(whole, guid, failed=failed)
        except ContentTooLong:
            if not self.learn(made.text):
                raise
            return False
        return True

    async def withdraw(self) -> None:
        """Take the text from full cards, where it was replaced; tried again by the next frame."""
        while self.withdrawal and self.stack.full:
            await self.stack.full[-1].withdraw(self.withdrawal)
            self.stack.full.pop()
        self.withdrawal = ""

    async def turn_over(self, made: Page, text: str, guid: str) -> None:
        """Finish a full card and open the one that goes on."""
        texts = self.stack.texts
        if self._landed <= self.stack.number:
            await self.land(made.text, guid, failed=False)
        if texts != self.stack.texts:  # replaced meanwhile: the next card begins with the other
            made, text = replace(made, end=0), ""
        card = self.stack.ended(made.end)
        await self._on_opening(self.stack.number + 2, text, tuple(self.stack.ends))
        self.stack.turn(card)
        self.written = ""
        try:
            await self.persist(card.open)
        except DingTalkError as error:
            self.absent = not error.retry and self.stack.number >= self._existing
            raise

    async def land(self, text: str, guid: str, *, failed: bool) -> None:
        """Send a last frame until it lands or trying cannot help."""
        end = self.stack.card.fail if failed else self.stack.card.finish
        named = self._guid(guid)
        await self.persist(lambda: end(text, named))
        self._landed = self.stack.number + 1
        self.room.took(text)

    async def persist(self, call: Callable[[], Awaitable[None]]) -> None:
        """Try until it lands or trying cannot help; then raises what DingTalk said."""
        tries = self._haste.tries(self._retries)
        while True:
            try:
                await call()
            except DingTalkError as error:
                if not (error.retry and await tries.another()):
                    raise
                log.info("card=%s is tried again: %s", self.stack.card.id, error)
            else:
                return

    def _guid(self, guid: str) -> str:
        """Another one where the text is cut otherwise: what it names is not the same call."""
        shorter = (str(self.room.max_bytes),) if self.room.shrunk else ()
        return digest(guid, str(self.stack.number), *shorter)
