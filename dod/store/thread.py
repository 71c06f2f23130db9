"""The one thread that touches the disk; calls from every loop queue up and keep their order.

A daemon of our own rather than a ThreadPoolExecutor, whose threads the interpreter joins at exit:
a disk that hangs (a dead NFS server) must not keep the process from ending.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from dod.errors import StoreError

T = TypeVar("T")


class StoreThread:
    """Lifecycle: made → ``start`` → ``stop``.

    ``tick`` is called on the thread before every wait; it does what is due and returns the seconds
    until it wants to be called again (None: after the next call).
    """

    def __init__(self, tick: Callable[[], float | None]) -> None:
        self._tick = tick
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._door = threading.Lock()  # nothing is queued behind the end
        self._open = True
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def run(self, act: Callable[[], T]) -> T:
        """Do ``act`` on the thread and return its result. Thread: any loop.

        The call is queued before the first suspension, and a waiter that is cancelled does not
        take it back. Raises StoreError after ``stop``.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            result: T | None = None
            failure: Exception | None = None
            try:
                result = act()
            except Exception as error:  # noqa: BLE001 - the rim of this thread: the waiter raises it
                failure = error
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, result, failure)

        self._put(call)
        return await answer

    def post(self, act: Callable[[], None]) -> threading.Event:
        """Do ``act`` on the thread; the event is set when it has ended, well or not."""
        done = threading.Event()

        def call() -> None:
            try:
                act()
            finally:
                done.set()

        self._put(call)
        return done

    def stop(self, timeout: float) -> bool:
        """End after what is queued, wait ``timeout`` seconds for it. False: it still hangs."""
        with self._door:
            if self._open:
                self._open = False
                self._calls.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def busy_for(self) -> float:
        """Seconds that what is under way has taken so far; 0 if nothing is. Thread: any."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def stopped(self) -> bool:
        return not self._open

    def _put(self, call: Callable[[], None]) -> None:
        with self._door:
            if not self._open:
                raise StoreError("the store has been closed")
            self._calls.put(call)

    def _work(self) -> None:
        while True:
            self._busy_since = time.monotonic()
            pause = self._tick()
            self._busy_since = None
            try:
                call = self._calls.get(timeout=pause)
            except queue.Empty:
                continue
            if call is None:
                return
            self._busy_since = time.monotonic()
            call()
            self._busy_since = None


def _settle(answer: asyncio.Future[Any], result: object, failure: Exception | None) -> None:
    if answer.done():  # cancelled
        return
    if failure is None:
        answer.set_result(result)
    else:
        answer.set_exception(failure)
