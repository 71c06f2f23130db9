"""One event loop on one daemon thread, so that plain code can use the simulators."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")


class Sim(Protocol):
    async def start(self) -> object: ...

    async def close(self) -> None: ...


S = TypeVar("S", bound=Sim)


class Background:
    """Lifecycle: ``with Background() as bg`` → ``start``/``run`` → ``stop`` (by the ``with``).

    Thread: made and used by any threads; everything given to it runs on its loop.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name="sims", daemon=True)
        self._sims: list[Sim] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 10.0) -> T:
        """Run ``work`` on the loop and return what it returns; it is cancelled at the time-out."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        finally:
            future.cancel()

    def start(self, sim: S) -> S:
        """Start a simulator, and close it when this stops."""
        self.run(sim.start())
        self._sims.append(sim)
        return sim

    def stop(self) -> None:
        """Close what was started, end every task, end the thread. Idempotent."""
        if self.loop.is_closed():
            return
        if self._thread.is_alive():
            try:
                while self._sims:
                    self.run(self._sims.pop().close())
            finally:
                self.loop.call_soon_threadsafe(self.loop.stop)
                self._thread.join()
        self.loop.close()

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
