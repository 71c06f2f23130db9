"""What an organisation has spent of its month at DingTalk.

DingTalk counts API calls and pushes per organisation (corp id) and calendar month (standard edition
5,000 and 3,000, dingtalk-protocol §8). So does this: per bot on disk, per organisation in memory.
The counts are dod's own; other apps of the organisation are not seen, hence ``exhausted``.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from dod.pace import Pace, elapsed, month, pace
from dod.ports import Json, Store

log = logging.getLogger(__name__)

PREFIX = "budget/"
KEPT = 62 * 86400.0  # seconds a month's record outlives its last change

EXHAUSTED_FOR = 3600.0  # seconds for which DingTalk's own "used up" is believed


class Count(NamedTuple):
    calls: int = 0
    pushes: int = 0

    def plus(self, other: "Count") -> "Count":
        return Count(self.calls + other.calls, self.pushes + other.pushes)


class Cell(NamedTuple):
    """Whose count: one bot's in one organisation in one month."""

    month: str
    corp_id: str
    bot: str

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.month}/{self.corp_id}/{self.bot}"


class Ledger:
    """All bots' counts, also those of bots that have left the file. One per process.

    Thread: any. Readers take no lock: they look up totals that writers replace as a whole.
    ``now``: epoch seconds; ``ticks``: a clock that never jumps.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.now = now
        self.ahead = 0.0  # seconds DingTalk's clock, as last seen, is ahead of the local one
        self._ticks = ticks
        self._lock = threading.Lock()
        self._cells: dict[Cell, Count] = {}
        self._corps: dict[tuple[str, str], Count] = {}  # (month, corp id)
        self._bots: dict[tuple[str, str], Count] = {}  # (month, bot)
        self._known: set[str] = set()  # keys whose value on disk is part of the counts
        self._exhausted: dict[str, float] = {}  # corp id: until, in ticks

    def meter(
        self,
        bot: str,
        limit: Callable[[], int],
        *,
        pushes: Callable[[], int] = lambda: 0,
        write_after: float = 1.0,
    ) -> "Meter":
        """The counter of the bot with client id ``bot``; ``limit``: calls a month, 0 for none.

        ``pushes``: messages a month, likewise.
        """
        return Meter(self, bot, limit, pushes=pushes, write_after=write_after)

    def spent(self, corp_id: str, now: float | None = None) -> int:
        """Calls of the organisation in the month of ``now``, by all bots."""
        return self._of_corp(corp_id, now).calls

    def pushed(self, corp_id: str, now: float | None = None) -> int:
        """Pushes to and webhook messages of the organisation's bots in the month of ``now``."""
        return self._of_corp(corp_id, now).pushes

    def of_bot(self, bot: str, now: float | None = None) -> Count:
        """One bot's counts in the month of ``now``, over all organisations."""
        return self._bots.get((month(self.now() if now is None else now), bot), Count())

    def of_corps(self) -> dict[str, Count]:
        """Each organisation's counts in this month, by DingTalk's clock as last seen."""
        this = month(self.now() + self.ahead)
        with self._lock:
            known = {
                corp_id: count for (when, corp_id), count in self._corps.items() if when == this
            }
        return {**dict.fromkeys(self._exhausted, Count()), **known}

    def exhausted(self, corp_id: str) -> None:
        """DingTalk itself said so: nothing but the webhook for an hour, then one more try."""
        self._exhausted[corp_id] = self._ticks() + EXHAUSTED_FOR

    def is_exhausted(self, corp_id: str) -> bool:
        return self._ticks() < self._exhausted.get(corp_id, float("-inf"))

    def count(self, cell: Cell, more: Count) -> None:
        with self._lock:
            self._count(cell, more)

    def take_in(self, items: list[tuple[str, Json]]) -> None:
        """Add what the store holds, each key once per process. Strange records are left out."""
        with self._lock:
            for key, value in items:
                found = _cell(key, value)
                if found is not None and key not in self._known:
                    self._known.add(key)
                    self._count(*found)

    def record(self, cell: Cell) -> Json:
        """What is to be written for ``cell``; what is on disk for it is ours from here on."""
        with self._lock:
            self._known.add(cell.key)
            return {**cell._asdict(), **self._cells.get(cell, Count())._asdict()}

    def _count(self, cell: Cell, more: Count) -> None:
        corp, bot = (cell.month, cell.corp_id), (cell.month, cell.bot)
        self._cells[cell] = self._cells.get(cell, Count()).plus(more)
        self._corps[corp] = self._corps.get(corp, Count()).plus(more)
        self._bots[bot] = self._bots.get(bot, Count()).plus(more)

    def _of_corp(self, corp_id: str, now: float | None) -> Count:
        return self._corps.get((month(self.now() if now is None else now), corp_id), Count())


class Meter:
    """One bot's counter, and the only writer of that bot's records.

    Lifecycle: ``load`` → ``spend``, ``push`` … → ``flush``. Thread: the bot's loop, except for the
    two properties. ``kill -9`` loses at most ``write_after`` seconds of counts, and a write's time.
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


def _cell(key: str, value: Json) -> tuple[Cell, Count] | None:
    """The record as a count, or None if it is none of ours."""
    match value:
        case {
            "month": str(when),
            "corp_id": str(corp_id),
            "bot": str(bot),
            "calls": int(calls),
            "pushes": int(pushes),
        } if min(calls, pushes) >= 0:
            cell = Cell(when, corp_id, bot)
            return (cell, Count(calls, pushes)) if cell.key == key else None
    return None
