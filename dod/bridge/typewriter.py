"""Many texts in, few card updates out.

One update in flight per card, the newest text wins, the last one always lands.
A text too long for one card goes on in the next (design §5.4, §5.7).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from dod.bridge.markdown import CARD_MAX_BYTES, cut
from dod.bridge.pacing import Pace, gaps
from dod.errors import CardGone, ContentTooLong, DingTalkError
from dod.messages import digest
from dod.ports import Card

log = logging.getLogger(__name__)

# Seconds between tries of the last frame, while trying can help.
FINISH_RETRIES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


class Typewriter:
    """Types one answer. Lifecycle: ``begin`` → ``show*`` → ``close``. Thread: the bot's loop.

    ``make_card(n)`` gives the n-th card; ``on_opening(count)`` is awaited before a card is
    created; ``on_shown(text)`` is told what people see.
    """

    def __init__(
        self,
        make_card: Callable[[int], Card],
        pace: Pace,
        *,
        on_opening: Callable[[int], Awaitable[None]],
        on_shown: Callable[[str], None],
        retries: Sequence[float] = FINISH_RETRIES,
        max_bytes: int = CARD_MAX_BYTES,
    ) -> None:
        self._make_card = make_card
        self._card = make_card(0)
        self._number = 0
        self._gaps = gaps(pace)
        self._on_opening = on_opening
        self._on_shown = on_shown
        self._retries = retries
        self._max_bytes = max_bytes
        self._text = ""
        self._notice = ""
        self._sent = ""  # the whole text at the last update
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._typing: asyncio.Task[None] | None = None
        self._refused = False
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
        self._number = number
        self._card = self._make_card(number)

    def notice(self, sentence: str) -> None:
        """Show a sentence until the first text comes; it costs no place in the pace."""
        if not self._text:
            self._notice = sentence
            self._changed.set()

    def show(self, text: str) -> None:
        """The whole text so far. Never waits."""
        if text.strip():
            self._text = text
            self._changed.set()

    async def stop(self) -> None:
        """No further update; returns when none is on the wire. Idempotent."""
        self._closing.set()
        self._changed.set()
        await self._stop_typing()

    async def close(self, text: str, guid: str, *, failed: bool) -> bool:
        """Put the last frame on the card; False if there is no card that could show it."""
        await self.stop()
        if self._refused:
            return False
        parts = cut(text, self._max_bytes)
        try:
            while self._number < len(parts) - 1:
                await self._next_card(parts, guid)
            last = parts[min(self._number, len(parts) - 1)]
            await self._land(last, digest(guid, str(self._number)), failed=failed)
        except DingTalkError as error:
            log.warning("card=%s cannot be finished, replying instead: %s", self._card.id, error)
            return False
        return True

    async def _stop_typing(self) -> None:
        """Wait for the update on the wire; one that still waits for its turn is dropped."""
        if self._typing is None:
            return
        if self._queued:
            self._typing.cancel()
        await asyncio.wait({self._typing})
        if not self._typing.cancelled():
            self._typing.result()

    def abandon(self) -> None:
        """Leave the card as it is: the next start goes on with it."""
        if self._typing is not None:
            self._typing.cancel()

    async def _type(self) -> None:
        try:
            await self._open()
        except CardGone:
            self._refused = True
            return
        except DingTalkError as error:
            # An unknown outcome leaves the card possibly there: ``close`` will find out.
            self._refused = not error.retry
            log.warning("card=%s not opened: %s", self._card.id, error)
            return
        loop = asyncio.get_running_loop()
        sent_at = 0.0
        gap: float | None = None
        while await self._wait_for_change():
            if self._text:
                if gap is None:
                    sent_at, gap = loop.time(), next(self._gaps)
                if not await self._pause(sent_at + gap - loop.time()):
                    return
                gap = next(self._gaps)
            sent_at = loop.time()
            self._changed.clear()
            if not await self._update():
                return

    async def _open(self) -> None:
        await self._on_opening(self._number + 1)
        await self._card.open()

    async def _update(self) -> bool:
        """False when the card takes no more updates; the last frame is tried all the same."""
        first = bool(self._text) and self.first_shown is None
        try:
            parts = cut(self._text or self._notice, self._max_bytes)
            while self._number < len(parts) - 1:
                await self._next_card(parts, digest(self._card.id, "full"))
            self._queued = True
            await self._card.update(self._latest, first=first)
        except CardGone:
            self._refused = True
            return False
        except ContentTooLong as error:
            log.warning("card=%s takes no more text: %s", self._card.id, error)
            return False
        except DingTalkError as error:
            log.info("card=%s update dropped: %s", self._card.id, error)
            return True
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
        self._sent = self._text or self._notice
        parts = cut(self._sent, self._max_bytes)
        return parts[min(self._number, len(parts) - 1)]

    async def _next_card(self, parts: list[str], guid: str) -> None:
        """Finish a full card and open the one that goes on."""
        await self._land(parts[self._number], digest(guid, str(self._number)), failed=False)
        self._number += 1
        self._card = self._make_card(self._number)
        await self._open()

    async def _land(self, text: str, guid: str, *, failed: bool) -> None:
        """Send a last frame until it lands or trying cannot help."""
        for delay in (*self._retries, None):
            try:
                await (self._card.fail if failed else self._card.finish)(text, guid)
            except DingTalkError as error:
                if delay is None or not error.retry:
                    raise
                log.info(
                    "card=%s last frame is tried again in %.1f s: %s", self._card.id, delay, error
                )
                await asyncio.sleep(delay)
            else:
                return

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
