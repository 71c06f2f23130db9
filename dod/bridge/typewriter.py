"""Many texts in, few card updates out.

One update in flight per card, the newest text wins, the last one always lands.
A text too long for one card goes on in the next (design §5.4, §5.7), and at last in a file.
The cards themselves are moved by its carriage.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from dod.bridge.carriage import Carriage
from dod.bridge.haste import Haste
from dod.bridge.pacing import Pace, gaps
from dod.bridge.room import Room
from dod.bridge.unfinished import finished
from dod.errors import CardGone, ContentTooLong, DingTalkError
from dod.messages import digest
from dod.ports import Card

log = logging.getLogger(__name__)

# Seconds between tries of the last frame, while trying can help.
FINISH_RETRIES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

# landed: the whole text is on its cards. none: there is no card that could show (the rest of) it.
# open: a card is there, or may be, and does not take its last frame.
Ending = Literal["landed", "none", "open"]


async def _no_file(_text: str, _end: int) -> str:
    return ""


class Typewriter:
    """Types one answer. Lifecycle: ``begin`` → ``touch*`` → ``close``. Thread: the bot's loop.

    ``make_card(n)`` gives the n-th card; ``source()`` the whole text to show now, asked only when
    an update goes out; ``settled()``: nothing will be put into that text, only behind it, so that a
    full card may end in it; ``existing``: cards that an earlier process may have opened;
    ``on_opening(count, text, ends)`` is awaited before a card is created, with what has been shown
    by then, and where in it each full card ends; ``on_shown(text)`` is told what people see.
    ``hand_over(text, end)`` sends what comes behind ``end`` as a file, and gives the sentence that
    says so; "" where it cannot.
    """

    def __init__(
        self,
        make_card: Callable[[int], Card],
        pace: Pace,
        *,
        source: Callable[[], str] = str,
        settled: Callable[[], bool] = lambda: True,
        existing: int = 0,
        on_opening: Callable[[int, str, Sequence[int]], Awaitable[None]],
        on_shown: Callable[[str], None],
        hand_over: Callable[[str, int], Awaitable[str]] = _no_file,
        retries: Sequence[float] | None = None,
        haste: Haste | None = None,
        room: Room | None = None,
    ) -> None:
        self._room = room or Room()
        self._carriage = Carriage(
            make_card,
            self._room,
            existing=existing,
            on_opening=on_opening,
            hand_over=hand_over,
            retries=FINISH_RETRIES if retries is None else retries,
            haste=haste or Haste(),
        )
        self._stack = self._carriage.stack
        self._gaps = gaps(pace)
        self._source = source
        self._settled = settled
        self._on_shown = on_shown
        self._narrates = pace in {"smooth", "balanced"}
        self._progress = ""
        self._notice = ""
        self._sent = ""  # the whole text at the last update
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._typing: asyncio.Task[None] | None = None
        self._queued = False  # an update waits for the rate limit: nothing is on the wire
        self.updates = 0
        self.first_shown: float | None = None  # loop time of the first text on the card

    @property
    def begun(self) -> bool:
        return self._typing is not None

    def begin(self) -> None:
        """Open the card and type what is shown, in the background. Idempotent."""
        if self._typing is None:
            self._typing = asyncio.create_task(self._type(), name=f"type {self._stack.card.id}")

    def resume(self, number: int, ends: Sequence[int] = ()) -> None:
        """Go on with the ``number``-th card, which an earlier process opened (after a crash).

        Without the ``ends`` of the cards before it that card begins with the whole text again.
        """
        self._carriage.resume(number, ends)

    def notice(self, sentence: str) -> None:
        """Show a sentence until the first text comes; it costs no place in the pace."""
        self._notice = sentence
        self._changed.set()

    def progress(self, line: str) -> None:
        """Show a line below the text, until the end.

        It goes along with updates; only where no text has been shown yet, and the pace is generous,
        it asks for one of its own.
        """
        self._progress = line
        if self._narrates and self.first_shown is None:
            self._changed.set()

    def touch(self) -> None:
        """There is more text to show. Never waits."""
        self._changed.set()

    def replaced(self, sentence: str) -> None:
        """The text is another one now: the card under way begins with it.

        Full cards show ``sentence`` instead of what they have.
        """
        self._stack.replaced()
        self._carriage.withdrawal = sentence
        self._changed.set()

    async def stop(self) -> None:
        """No further update; returns when none is on the wire. Idempotent."""
        self._closing.set()
        self._changed.set()
        if self._typing is None:
            return
        if self._queued:
            self._typing.cancel()
        await asyncio.wait({self._typing})
        if not self._typing.cancelled() and self._typing.exception() is not None:
            log.error(
                "card=%s typing broke", self._stack.card.id, exc_info=self._typing.exception()
            )

    async def close(self, text: str, guid: str, *, failed: bool) -> Ending:
        """Put ``text`` on the cards. ``rest`` tells what could not be put there."""
        await self.stop()
        try:
            await self._carriage.persist(self._carriage.withdraw)
        except DingTalkError as error:
            log.warning("card=%s an earlier one is not withdrawn: %s", self._stack.card.id, error)
        try:
            while not self._carriage.absent:
                if await self._carriage.close_card(text, guid, failed=failed):
                    return "landed"
        except CardGone:
            return "none"
        except DingTalkError as error:
            log.warning("card=%s cannot be finished: %s", self._stack.card.id, error)
            return "none" if self._carriage.absent else "open"
        return "none"

    async def end(self, sentence: str, guid: str, *, failed: bool) -> Ending:
        """End the current card with just ``sentence``, whatever is on it.

        Also where an earlier end has landed although its answer was lost: then this one came late.
        """
        await self.stop()
        card = self._stack.card
        try:
            await self._carriage.land(sentence, guid, failed=failed)
            await self._carriage.persist(lambda: card.withdraw(sentence))
        except CardGone:
            return "none"
        except DingTalkError as error:
            log.info("card=%s cannot be ended yet: %s", card.id, error)
            return "open"
        return "landed"

    def rest(self, text: str) -> str:
        """The part of ``text`` that stands on no card."""
        return self._stack.rest(text)

    def abandon(self) -> None:
        """Leave the card as it is: the next start goes on with it."""
        if self._typing is not None:
            self._typing.cancel()

    # -- typing

    async def _type(self) -> None:
        if not await self._carriage.open_first():
            return
        loop = asyncio.get_running_loop()
        sent_at = 0.0
        gap: float | None = None
        while await self._wait_for_change():
            if finished(self._source()).strip() or (self._progress and self._narrates):
                if gap is None:
                    sent_at, gap = loop.time(), next(self._gaps)
                if not await self._pause(sent_at + gap - loop.time()):
                    return
                gap = next(self._gaps)
            elif not self._notice:
                self._changed.clear()
                continue
            sent_at = loop.time()
            self._changed.clear()
            if not await self._update():
                return

    async def _update(self) -> bool:
        """False when the card takes no more updates; the last frame is tried all the same."""
        text = self._source()
        first = bool(text.strip()) and self.first_shown is None
        try:
            await self._carriage.withdraw()
            while (made := self._stack.page(text, complete=False)).full and self._may_turn():
                await self._carriage.turn_over(made, text, digest(self._stack.card.id, "full"))
                text = self._source()
            if self.updates and self._view(text) == self._carriage.written:
                return True
            self._queued = True
            await self._stack.card.update(self._latest, first=first)
        except CardGone:
            self._carriage.absent = True
            return False
        except ContentTooLong as error:
            log.warning("card=%s takes no more text: %s", self._stack.card.id, error)
            return self._learn()
        except DingTalkError as error:
            log.info("card=%s update dropped: %s", self._stack.card.id, error)
            return not self._carriage.absent
        finally:
            self._queued = False
        self._room.took(self._carriage.written)
        self.updates += 1
        if first:
            self.first_shown = asyncio.get_running_loop().time()
        self._on_shown(self._sent)
        return True

    def _may_turn(self) -> bool:
        return not self._stack.last and self._settled()

    def _latest(self) -> str:
        """What this card is to show, asked when the update goes out."""
        self._queued = False
        text = self._source()
        self._sent = text if text.strip() else self._notice
        self._carriage.written = self._view(text)
        return self._carriage.written

    def _view(self, text: str) -> str:
        return self._stack.view(text, notice=self._notice, below=self._progress)

    def _learn(self) -> bool:
        """DingTalk refused an update as too long. True if a shorter one is worth a try."""
        if not self._carriage.learn(self._carriage.written):
            return False
        self._changed.set()
        return True

    async def _wait_for_change(self) -> bool:
        """True when there is something new to show, False when the answer is complete."""
        await self._changed.wait()
        return not self._closing.is_set()

    async def _pause(self, seconds: float) -> bool:
        """Wait for the pace; False when the answer became complete meanwhile."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if seconds == float("inf") else seconds):
                    await self._closing.wait()
        return not self._closing.is_set()
