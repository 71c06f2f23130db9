"""Whoever waits until something is true of the simulated DingTalk."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from dod.sim.dingtalk.world import SimEvent, World

T = TypeVar("T")


class Waiting:
    """Lifecycle: as the world's. Thread: the simulator's loop."""

    def __init__(self, world: World, summary: Callable[[], str]) -> None:
        """``summary``: what is there, for those who waited in vain."""
        self._summary = summary
        self._waiters: list[asyncio.Future[None]] = []
        world.listeners.append(self._wake)

    async def until(self, predicate: Callable[[], T | None], timeout: float) -> T:  # noqa: ASYNC109
        """Wait until ``predicate`` is true, looked at after every change; returns its value.

        ``timeout``: seconds. Raises TimeoutError with what is there instead.
        """
        deadline = time.monotonic() + timeout
        while not (value := predicate()):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await asyncio.wait_for(waiter, deadline - time.monotonic())
            except TimeoutError:
                if value := predicate():
                    return value
                raise TimeoutError(self._summary()) from None
        return value

    def _wake(self, _event: SimEvent) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
