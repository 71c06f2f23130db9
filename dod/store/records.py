"""The rows on disk: diskcache, opened so that it can neither run planted code nor forget by itself.

diskcache unpickles what it finds (CVE-2025-69872, and ``JSONDisk`` does too), evicts the oldest
rows at 1 GB, and retries a locked database for a minute. None of that may happen here.
Thread: the store's, from ``open`` to ``close``; diskcache keeps one connection per thread.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any, NoReturn

import diskcache  # type: ignore[import-untyped]

from dod.store.damage import DISK_ERRORS, examine
from dod.store.mounts import Journal, file_system, journal
from dod.store.rows import ALIVE, FILE, RAW, ROWS, SCHEMA, VERSION_KEY, Entry, apart

log = logging.getLogger(__name__)

TIDY = 30.0  # seconds after a write


class Refused(OSError):
    """A row that is not plain text: nobody here wrote it. diskcache reads it as 'not there'."""


class TextDisk(diskcache.Disk):  # type: ignore[misc]
    """Text keys and text values in the row itself: no pickle, no side files, either way."""

    def __init__(self, directory: str, **_settings: object) -> None:
        super().__init__(directory, min_file_size=2**30)

    def put(self, key: object) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError("the store's keys are text")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if not raw or type(key) is not str:
            self._refuse("key")
        return key

    def store(self, value: object, read: object, key: object = None) -> tuple[int, int, None, str]:
        del read, key
        if type(value) is not str:
            raise TypeError("the store's values are text")
        return 0, RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: object) -> str:
        if read or mode != RAW or filename is not None or type(value) is not str:
            self._refuse("value")
        return value

    def remove(self, file_path: object) -> None:
        """Never: no row of ours has a file, and a planted row may name any file at all."""

    def _refuse(self, what: str) -> NoReturn:
        log.warning("store: refused a planted %s (not plain text)", what)
        raise Refused(what)


class _Cache(diskcache.Cache):  # type: ignore[misc]
    def __init__(self, *args: Any, **settings: Any) -> None:
        try:
            super().__init__(*args, **settings)
        except BaseException:
            self.close()  # else the half-open connection waits for the garbage collector
            raise


class Records:
    """An open store directory. Every method may raise one of ``DISK_ERRORS``."""

    def __init__(self, cache: _Cache, file: Path, mode: Journal, page: int) -> None:
        self._cache = cache
        self._file = file
        self._mode = mode
        self._identity = _identity(file)
        self._page = page  # bytes
        self._tidy_at: float | None = None  # monotonic
        self._written()  # what a crash has left of the log

    @classmethod
    def open(cls, path: Path, timeout: float) -> "Records":
        """Open or create the store in the directory ``path``; ``timeout``: seconds for a lock."""
        kind = file_system(path)
        mode = journal(kind)
        file = path / FILE
        _make_private(path)
        if file.stat().st_size:
            examine(file, mode, timeout)
        cache = _Cache(
            str(path),
            timeout=timeout,
            disk=TextDisk,
            eviction_policy="none",
            size_limit=2**62,
            disk_min_file_size=2**30,
            statistics=0,
            tag_index=0,
            sqlite_journal_mode=mode,
            # NORMAL is durable against kill -9 everywhere, and safe with WAL when the power fails.
            sqlite_synchronous=1 if mode == "wal" else 2,
            sqlite_mmap_size=0,  # a mapped file that shrinks on a server kills the process
            sqlite_cache_size=-500,  # kB; diskcache would take 32 MB, and it grows with the file
        )
        try:
            # Not every Python's SQLite does it by itself: what is deleted is overwritten. All of
            # it only on pages of its own: see ``apart``.
            cache._con.execute("PRAGMA secure_delete = ON")  # noqa: SLF001 - as below
            (page,) = cache._con.execute("PRAGMA page_size").fetchone()  # noqa: SLF001
            cache.add(VERSION_KEY, json.dumps({"schema": SCHEMA}))
        except BaseException:
            cache.close()
            raise
        log.info("store: open path=%s file_system=%s journal=%s", path, kind or "unknown", mode)
        return cls(cache, file, mode, page)

    def get(self, key: str) -> str | None:
        text: str | None = self._cache.get(key)
        return text

    def put(self, key: str, entry: Entry) -> None:
        """Write ``entry``; a deleted or expired one removes the row."""
        self._written()
        text = entry.alive_text
        if text is None:
            self._cache.delete(key)
        else:
            self._cache.set(key, apart(text, self._page), expire=_remaining(entry))

    def add(self, key: str, entry: Entry) -> bool:
        """Put if absent, atomically, also against other processes."""
        self._written()
        if entry.text is None:
            return True
        if self._cache.add(key, apart(entry.text, self._page), expire=_remaining(entry)):
            return True
        if self.get(key) is not None:
            return False
        self.put(key, entry)  # a row that is refused counts as absent
        return True

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """All entries alive whose key starts with ``prefix``: one walk along the key's index."""
        query = f"{ROWS}{ALIVE} AND key >= ? ORDER BY key"
        with closing(self._connection.execute(query, (time.time(), prefix))) as rows:
            for key, value, expires_at in rows:
                if not isinstance(key, str) or not key.startswith(prefix):
                    return  # the index is in text order: what follows is past the prefix
                if key != VERSION_KEY and isinstance(value, str):
                    yield key, Entry(value, expires_at)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing."""
        transaction: AbstractContextManager[None] = self._cache.transact()
        return transaction

    def rollback(self) -> None:
        """End what a failed COMMIT may have left open, so that the connection can still read."""
        with suppress(*DISK_ERRORS):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def tidy(self) -> float | None:
        """Empty the log if it is time to; seconds until then, None if nothing was written.

        It keeps former versions of pages, and with them what people said and webhooks, until 4 MB
        are full: on a quiet bot for weeks. Whoever reads the file meanwhile is not waited for.
        """
        if self._tidy_at is None:
            return None
        left = self._tidy_at - time.monotonic()
        if left > 0:
            return left
        self._tidy_at = None
        busy = True
        with suppress(*DISK_ERRORS):  # whoever reads or writes next will meet it, too
            waits = self._ask("PRAGMA busy_timeout")
            self._ask("PRAGMA busy_timeout = 0")
            try:
                busy = bool(self._ask("PRAGMA wal_checkpoint(TRUNCATE)"))
            finally:
                self._ask(f"PRAGMA busy_timeout = {waits}")
        if busy:
            self._written()
        return self.tidy()

    def _written(self) -> None:
        if self._tidy_at is None and self._mode == "wal":
            self._tidy_at = time.monotonic() + TIDY

    def _ask(self, question: str) -> int:
        with closing(self._connection.execute(question)) as rows:
            number: int = rows.fetchone()[0]
            return number

    @property
    def gone(self) -> bool:
        """The file was deleted or replaced: SQLite would go on writing into nowhere."""
        found = _identity(self._file)
        # Remote file systems make up new inode numbers as they like; missing is missing.
        return found is None or (self._mode == "wal" and found != self._identity)

    def close(self) -> None:
        with suppress(*DISK_ERRORS):
            self._cache.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._cache._con  # noqa: SLF001 - diskcache has no range query
        return connection


def _make_private(path: Path) -> None:
    """0700 and 0600, whatever the umask; SQLite gives its -wal and -shm the database's mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path / FILE, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for file in (path, *path.glob(f"{FILE}*")):
        if file != path and file.is_symlink():  # where it leads is not ours to close to others
            continue
        with suppress(OSError):  # a share's mode bits are often not ours to set
            file.chmod(0o700 if file == path else 0o600)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remaining(entry: Entry) -> float | None:
    return None if entry.expires_at is None else entry.expires_at - time.time()
