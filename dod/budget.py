"""What an organisation has spent of its month at DingTalk.

DingTalk counts API calls and pushes per organisation (corp id) and calendar month (standard edition
5,000 and 3,000, dingtalk-protocol §8). So does this: per bot on disk, per organisation in memory.
The counts are dod's own; other apps of the organisation are not seen, hence ``exhausted``.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from dod.pace import month
from dod.ports import Json, Store

PREFIX = "budget/"
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
