"""One bot's counter of its calls and pushes, and the only writer of that bot's records.

Thread: the bot's loop, except for the two properties.
"""

import asyncio
import logging
from collections.abc import Callable

from dod.budget import PREFIX, Cell, Count, Ledger
from dod.pace import Pace, elapsed, month, pace

log = logging.getLogger(__name__)

KEPT = 62 * 86400.0  # seconds a month's record outlives its last change


class Meter:
    """Lifecycle: ``load`` → ``spend``, ``push`` … → ``flush``.

    ``bot``: its client id; ``limit``: calls a month, 0 for none; ``pushes``: messages a month,
    likewise. ``kill -9`` loses at most ``write_after`` seconds of counts, and a write's time.
    """

    def __init__(
        self,
        ledger: Ledger,
        bot: str,
        limit: Callable[[], int],
        *,
        pushes: Callable[[], int] = lambda: 0,
        write_after: float = 1.0,
    ) -> None:
        self._ledger = ledger
        self._pushes = pushes
        self._bot = bot
        self._limit = limit
        self._write_after = write_after
        self._ahead = 0.0  # seconds DingTalk's clock, as last seen, is ahead of the local one
        self._changed: set[Cell] = set()
        self._writing: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._loaded = False

    async def load(self) -> None:
        """Read what all bots had spent before this process began.

        Until then nothing is written: it would replace the earlier count.
        """
        self._ledger.take_in(await self._ledger.store.items(PREFIX))
        self._loaded = True
        self._write_soon()

    def spend(self, corp_id: str, calls: int = 1) -> None:
        """Count API calls. Never waits."""
        self._count(corp_id, Count(calls=calls))

    def push(self, corp_id: str) -> None:
        """Count one message pushed to the bot, or sent by its webhook. Never waits."""
        self._count(corp_id, Count(pushes=1))
        most, used = self._pushes(), self._ledger.pushed(corp_id, self._now())
        if most and used in {most * 8 // 10, most}:
            log.warning(
                "budget: %d of the month's %d messages of organisation %s are used; after the last "
                "one DingTalk pushes messages without their text. 本月消息推送额度已用 %d/%d。",
                *(used, most, corp_id or "-", used, most),
            )

    def exhausted(self, corp_id: str) -> None:
        """DingTalk answered that the month's calls are used up: webhook only, for an hour."""
        self._ledger.exhausted(corp_id)

    def pace(self, corp_id: str, now: float) -> Pace:
        """How freely this bot may call for that organisation; ``now`` by DingTalk's clock."""
        self._ahead = self._ledger.ahead = now - self._ledger.now()
        if self._ledger.is_exhausted(corp_id):
            return "webhook"
        return pace(self._ledger.spent(corp_id, now), self._limit(), elapsed(now))

    @property
    def calls_this_month(self) -> int:
        """Thread: any."""
        return self._ledger.of_bot(self._bot, self._now()).calls

    @property
    def pushes_this_month(self) -> int:
        """Thread: any."""
        return self._ledger.of_bot(self._bot, self._now()).pushes

    async def flush(self) -> None:
        """Return when everything counted so far has been given to the store. May be repeated."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await self._write()

    def _now(self) -> float:
        return self._ledger.now() + self._ahead

    def _count(self, corp_id: str, more: Count) -> None:
        cell = Cell(month(self._now()), corp_id, self._bot)
        self._ledger.count(cell, more)
        self._changed.add(cell)
        self._write_soon()

    def _write_soon(self) -> None:
        if self._loaded and self._changed and self._soon is None and self._writing is None:
            loop = asyncio.get_running_loop()
            self._soon = loop.call_later(self._write_after, self._begin_writing)

    def _begin_writing(self) -> None:
        self._soon = None
        self._writing = asyncio.create_task(self._write(), name=f"budget {self._bot}")
        self._writing.add_done_callback(self._end_writing)

    def _end_writing(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.warning("budget: bot=%s counts not written (%s)", self._bot, error)
            return
        self._write_soon()

    async def _write(self) -> None:
        while self._loaded and self._changed:
            cell = self._changed.pop()
            try:
                await self._ledger.store.put(cell.key, self._ledger.record(cell), expire=KEPT)
            except BaseException:
                self._changed.add(cell)
                raise
