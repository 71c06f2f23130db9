"""A gate before one API of one app: never more than so many calls in any one second.

DingTalk counts arrivals, and only knows when a call arrived; we know that it was between sending
and answer. So a place is free again one window after the answer (or after ``in_flight`` seconds,
by when a call has arrived, whichever is earlier): two calls on one place then arrive at least a
window apart, and any window sees each place at most once.
"""

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Callable
from enum import IntEnum


class Rank(IntEnum):
    """Who goes first when calls wait: a card that ends, a new card, its first text, the rest."""

    CLOSE = 0
    CREATE = 1
    FIRST = 2
    UPDATE = 3


class Bucket:
    """At most ``limit()`` calls in any ``window`` seconds; 0 = no limit. Live: asked each time.

    Thread: one loop. A waiter that is cancelled leaves no place behind.
    """

    def __init__(
        self, limit: Callable[[], int], *, window: float = 1.0, in_flight: float = 2.0
    ) -> None:
        self._limit = limit
        self._window = window
        self._in_flight = in_flight
        self._taken = 0
        self._turn = 0
        self._waiting: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._pauses = 0
        self._gate_open = False

    @contextlib.asynccontextmanager
    async def place(self, rank: Rank) -> AsyncIterator[None]:
        """Wait for a place, by ``rank`` and then by arrival; send the call inside."""
        await self._wait(rank)
        loop = asyncio.get_running_loop()
        over = False

        def has_arrived() -> None:
            nonlocal over
            if not over:
                over = True
                loop.call_later(self._window, self._free)

        timer = loop.call_later(self._in_flight, has_arrived)
        try:
            yield
        finally:
            timer.cancel()
            has_arrived()

    def pause(self, seconds: float) -> None:
        """Let nobody through for ``seconds``: DingTalk has just said that it was too much."""
        self._pauses += 1
        asyncio.get_running_loop().call_later(seconds, self._resume)

    def open_gate(self) -> None:
        """Let everybody through from now on: at shutdown a refusal is better than waiting."""
        self._gate_open = True
        self._admit()

    @property
    def gate_open(self) -> bool:
        return self._gate_open

    async def _wait(self, rank: Rank) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._turn += 1
        heapq.heappush(self._waiting, (rank, self._turn, waiter))
        self._admit()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # admitted and cancelled at once
                self._free()
            raise

    def _admit(self) -> None:
        while self._waiting and (self._waiting[0][2].done() or self._has_place()):
            _, _, waiter = heapq.heappop(self._waiting)
            if not waiter.done():
                self._taken += 1
                waiter.set_result(None)

    def _has_place(self) -> bool:
        if self._gate_open:
            return True
        if self._pauses:
            return False
        limit = self._limit()
        return limit <= 0 or self._taken < limit

    def _resume(self) -> None:
        self._pauses -= 1
        self._admit()

    def _free(self) -> None:
        self._taken -= 1
        self._admit()
