"""The ``Store`` port: what any loop asks, done one after the other on the store's own thread."""

import logging
import threading
from pathlib import Path

from dod.ports import Json, Store
from dod.store.keeping import Keeping
from dod.store.rows import Entry, parse, row_of
from dod.store.thread import StoreThread

log = logging.getLogger(__name__)

HANGS = 10.0  # seconds; SQLite itself gives up on a lock after five


class DiskStore:
    """Text keys, JSON objects. ``meta/version`` is the store's own key.

    Lifecycle: ``open`` (main thread) → used from any loop → ``close`` (main thread).
    Thread: the port's methods from any loop; its ``Keeping`` on the store's thread only.
    """

    def __init__(self, path: Path, *, retry_every: float, timeout: float) -> None:
        self._path = path
        self._keeping = Keeping(path, retry_every=retry_every, timeout=timeout)
        self._opened = threading.Event()
        self._thread = StoreThread(self._keeping.tick)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        retry_every: float = 60.0,
        timeout: float = 5.0,
        patience: float | None = None,
    ) -> "DiskStore":
        """Open the store in the directory ``path``. Never raises for a broken disk.

        ``retry_every``: seconds between attempts to write to a disk in trouble. ``timeout``:
        seconds to wait for another process's lock. Returns after at most ``patience`` seconds
        (twice that, or one); a disk that hangs for longer keeps its callers waiting, and
        ``trouble`` says so.
        """
        store = cls(path, retry_every=retry_every, timeout=timeout)
        store._thread.start()
        opened = store._thread.post(store._start)
        if not opened.wait(max(2 * timeout, 1.0) if patience is None else patience):
            log.error("store: the disk does not answer path=%s", path)
        return store

    @property
    def trouble(self) -> str | None:
        """One English sentence for the status page; None when all is fine. Thread: any."""
        if not self._opened.is_set() or self._thread.busy_for > HANGS:
            return f"The store in {self._path} does not answer."
        return self._keeping.trouble or None

    def close(self, timeout: float = 2.0) -> bool:
        """Write back what can be, close, and wait ``timeout`` seconds for it. Idempotent.

        False: the disk hangs; its thread is left behind and ends with the process.
        """
        if not self._thread.stopped:
            self._thread.post(self._keeping.finish)
        return self._thread.stop(timeout)

    async def get(self, key: str) -> Json | None:
        return await self._thread.run(lambda: parse(key, self._keeping.read(key)))

    async def put(self, key: str, value: Json, *, expire: float | None = None) -> None:
        row = row_of(value, expire)
        await self._thread.run(lambda: self._keeping.write(key, row))

    async def add(self, key: str, value: Json, *, expire: float | None = None) -> bool:
        row = row_of(value, expire)
        return await self._thread.run(lambda: self._keeping.add(key, row))

    async def delete(self, key: str) -> None:
        await self._thread.run(lambda: self._keeping.write(key, Entry(None)))

    async def items(self, prefix: str) -> list[tuple[str, Json]]:
        return await self._thread.run(lambda: list(self._keeping.scan(prefix)))

    def _start(self) -> None:
        try:
            self._keeping.recover()
        finally:
            self._opened.set()


_: type[Store] = DiskStore
