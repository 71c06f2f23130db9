"""Many texts in, few card updates out.

One update in flight per card, the newest text wins, the last one always lands.
A text too long for one card goes on in the next (design §5.4, §5.7).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from dod.bridge.markdown import CARD_MAX_BYTES, cut
from dod.bridge.pacing import Pace, gaps
from dod.errors import CardGone, ContentTooLong, DingTalkError
from dod.messages import digest
from dod.ports import Card

log = logging.getLogger(__name__)

# Seconds between tries of the last frame, while trying can help.
FINISH_RETRIES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

# landed: the whole text is on its cards. none: there is no card that could show (the rest of) it.
# open: a card is there, or may be, and does not take its last frame.
Ending = Literal["landed", "none", "open"]


class Typewriter:
    """Types one answer. Lifecycle: ``begin`` → ``touch*`` → ``close``. Thread: the bot's loop.

    ``make_card(n)`` gives the n-th card; ``source()`` the whole text to show now, asked only when
    an update goes out; ``existing``: cards that an earlier process may have opened;
    ``on_opening(count, text)`` is awaited before a card is created, with what
    has been shown by then; ``on_shown(text)`` is told what people see.
    """

    def __init__(
        self,
        make_card: Callable[[int], Card],
        pace: Pace,
        *,
        source: Callable[[], str] = str,
        existing: int = 0,
        on_opening: Callable[[int, str], Awaitable[None]],
        on_shown: Callable[[str], None],
        retries: Sequence[float] | None = None,
        max_bytes: int = CARD_MAX_BYTES,
    ) -> None:
        self._make_card = make_card
        self._card = make_card(0)
        self._number = 0
        self._landed = 0  # how many cards have their last frame
        self._gaps = gaps(pace)
        self._source = source
        self._existing = existing
        self._on_opening = on_opening
        self._on_shown = on_shown
        self._retries = FINISH_RETRIES if retries is None else retries
        self._max_bytes = max_bytes
        self._notice = ""
        self._sent = ""  # the whole text at the last update
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._typing: asyncio.Task[None] | None = None
        self._absent = False  # the current card certainly does not exist
        self._queued = False  # an update waits for the rate limit: nothing is on the wire
        self.updates = 0
        self.first_shown: float | None = None  # loop time of the first text on the card

    @property
    def begun(self) -> bool:
        return self._typing is not None

    def begin(self) -> None:
        """Open the card and type what is shown, in the background. Idempotent."""
        if self._typing is None:
            self._typing = asyncio.create_task(self._type(), name=f"type {self._card.id}")

    def resume(self, number: int) -> None:
        """Go on with the ``number``-th card, which an earlier process opened (after a crash)."""
        self._number = self._landed = number
        self._card = self._make_card(number)

    def notice(self, sentence: str) -> None:
        """Show a sentence until the first text comes; it costs no place in the pace."""
        self._notice = sentence
        self._changed.set()

    def touch(self) -> None:
        """There is more text to show. Never waits."""
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
            log.error("card=%s typing broke", self._card.id, exc_info=self._typing.exception())

    async def close(self, text: str, guid: str, *, failed: bool) -> Ending:
        """Put ``text`` on the cards. ``rest`` tells what could not be put there."""
        await self.stop()
        parts = cut(text, self._max_bytes)
        try:
            while self._number < len(parts) - 1 and not self._absent:
                await self._next_card(text, parts, guid)
            if self._absent:
                return "none"
            last = parts[min(self._number, len(parts) - 1)]
            await self._land(last, self._guid(guid), failed=failed)
        except CardGone:
            return "none"
        except DingTalkError as error:
            log.warning("card=%s cannot be finished: %s", self._card.id, error)
            return "none" if self._absent else "open"
        return "landed"

    async def end(self, sentence: str, guid: str, *, failed: bool) -> Ending:
        """End the current card with just ``sentence``, whatever is on it."""
        await self.stop()
        try:
            await self._land(sentence, self._guid(guid), failed=failed)
        except CardGone:
            return "none"
        except DingTalkError as error:
            log.info("card=%s cannot be ended yet: %s", self._card.id, error)
            return "open"
        return "landed"

    def rest(self, text: str) -> str:
        """The part of ``text`` that stands on no card."""
        return "".join(cut(text, self._max_bytes)[self._landed :])

    def abandon(self) -> None:
        """Leave the card as it is: the next start goes on with it."""
        if self._typing is not None:
            self._typing.cancel()

    async def _type(self) -> None:
        if not await self._open_first():
            return
        loop = asyncio.get_running_loop()
        sent_at = 0.0
        gap: float | None = None
        while await self._wait_for_change():
            if self._source().strip():
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

    async def _open_first(self) -> bool:
        try:
            await self._on_opening(1, "")
            await self._card.open()
        except DingTalkError as error:
            # An unknown outcome leaves the card possibly there, so does an earlier process:
            # ``close`` will find out.
            self._absent = not error.retry and self._number >= self._existing
            log.warning("card=%s not opened: %s", self._card.id, error)
            return False
        return True

    async def _update(self) -> bool:
        """False when the card takes no more updates; the last frame is tried all the same."""
        text = self._source()
        first = bool(text.strip()) and self.first_shown is None
        try:
            parts = cut(text, self._max_bytes)
            while self._number < len(parts) - 1:
                await self._next_card(text, parts, digest(self._card.id, "full"))
            self._queued = True
            await self._card.update(self._latest, first=first)
        except CardGone:
            self._absent = True
            return False
        except ContentTooLong as error:
            log.warning("card=%s takes no more text: %s", self._card.id, error)
            return False
        except DingTalkError as error:
            log.info("card=%s update dropped: %s", self._card.id, error)
            return not self._absent
        finally:
            self._queued = False
        self.updates += 1
        if first:
            self.first_shown = asyncio.get_running_loop().time()
        self._on_shown(self._sent)
        return True

    def _latest(self) -> str:
        """What this card is to show, asked when the update goes out."""
        self._queued = False
        text = self._source()
        self._sent = text if text.strip() else self._notice
        parts = cut(self._sent, self._max_bytes)
        return parts[min(self._number, len(parts) - 1)]

    async def _next_card(self, text: str, parts: list[str], guid: str) -> None:
        """Finish a full card and open the one that goes on."""
        if self._landed <= self._number:
            await self._land(parts[self._number], self._guid(guid), failed=False)
        card = self._make_card(self._number + 1)
        # The text and not its parts: joined they lack what was trimmed, and would be cut elsewhere.
        await self._on_opening(self._number + 2, text)
        self._number, self._card = self._number + 1, card
        try:
            await self._persist(card.open)
        except DingTalkError as error:
            self._absent = not error.retry and self._number >= self._existing
            raise

    async def _land(self, text: str, guid: str, *, failed: bool) -> None:
        """Send a last frame until it lands or trying cannot help."""
        end = self._card.fail if failed else self._card.finish
        await self._persist(lambda: end(text, guid))
        self._landed = self._number + 1

    async def _persist(self, call: Callable[[], Awaitable[None]]) -> None:
        for delay in (*self._retries, None):
            try:
                await call()
            except DingTalkError as error:
                if delay is None or not error.retry:
                    raise
                log.info("card=%s is tried again in %.1f s: %s", self._card.id, delay, error)
                await asyncio.sleep(delay)
            else:
                return

    def _guid(self, guid: str) -> str:
        return digest(guid, str(self._number))

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
