"""How long the bridge waits for the store: a stall is waited out once, not at every call.

A disk that hangs for good (a dead server, a frozen volume) would else cost each turn its full wait
at each of its six calls; one that stalls for seconds must not cost a conversation its memory.
Thread: the bot's loop.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

ENOUGH = 6.0  # seconds since the oldest call that hangs; SQLite itself waits five for a lock
STORE_WAIT = 5.0  # seconds for one call, while none hangs; then the turn goes on without it
HARDLY = 0.1  # seconds for each call after that
STOOD_STILL = 1.0  # seconds by which a timer is late only if this process did not run


class Patience:
    """Shared by all who wait for one store on one loop."""

    def __init__(self) -> None:
        self._hanging: dict[asyncio.Task[Any], float] = {}  # since when, by the loop's time

    async def wait(self, call: "asyncio.Task[Any]", seconds: float) -> bool:
        """Whether ``call`` has ended, after at most ``seconds``; it goes on in any case."""
        now = asyncio.get_running_loop().time
        stood_still = True
        while stood_still:
            began = now()
            if self._hanging:
                left = min(self._hanging.values()) + ENOUGH - began
                seconds = min(seconds, max(left, HARDLY))
            done, _ = await asyncio.wait({call}, timeout=seconds)
            if done:
                return True
            # A sleeping host or a paused container: the store had no more time than we had.
            stood_still = now() - began > seconds + STOOD_STILL
        if not self._hanging:
            log.warning("store is slow: going on without it")
        self._hanging[call] = began
        call.add_done_callback(self._ended)
        return False

    async def soon(
        self, call: Coroutine[Any, Any, T], what: str, seconds: float = STORE_WAIT
    ) -> T | None:
        """The result of a store call, or None if the disk does not answer: the turn goes on."""
        task = asyncio.create_task(call, name=f"store {what}")
        if await self.wait(task, seconds):
            return task.result()
        log.info("not yet: %s", what)
        return None

    def _ended(self, call: "asyncio.Task[Any]") -> None:
        self._hanging.pop(call, None)
        if not self._hanging:
            log.warning("store answers again")
