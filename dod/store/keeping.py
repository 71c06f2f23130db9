"""What is kept: rows on disk, and in memory while the disk is in trouble.

A full, locked, read-only or vanished disk costs nobody an answer: values wait in memory, where
reads look first, and are written back when the disk is well again (design §7).
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dod.ports import Json
from dod.store.damage import DISK_ERRORS, cause, damaged, salvage, set_aside
from dod.store.records import Records
from dod.store.rows import Entry, parse

log = logging.getLogger(__name__)


class Keeping:
    """Lifecycle: ``recover`` → used, ``tick`` beside it → ``finish``.

    Thread: the store's, except for ``trouble``.
    """

    def __init__(self, path: Path, *, retry_every: float, timeout: float) -> None:
        self._path = path
        self._retry_every = retry_every
        self._timeout = timeout
        self._records: Records | None = None
        self._kept: dict[str, Entry] = {}  # not on disk yet; empty while the disk is well
        self._seen: dict[str, Entry] = {}  # read from a disk that cannot be opened for writing
        self._retry_at: float | None = None  # monotonic; None: the disk is well
        self._broken = ""
        self._notice = ""

    @property
    def trouble(self) -> str:
        """One English sentence; "" when all is fine. Thread: any."""
        return self._broken or self._notice

    def finish(self) -> None:
        """Write back what can be, and close."""
        if self._retry_at is not None:
            self.recover()
        if self._kept:
            log.error("store: %d values are lost, the disk never took them", len(self._kept))
        if self._records is not None:
            self._records.close()
            self._records = None

    def tick(self) -> float | None:
        """Retry, or tidy, if it is time to; seconds until the next attempt."""
        if self._retry_at is None:
            return self._records.tidy() if self._records is not None else None
        if time.monotonic() >= self._retry_at:
            self.recover()
        return None if self._retry_at is None else max(0.0, self._retry_at - time.monotonic())

    def read(self, key: str) -> str | None:
        entry = self._kept.get(key)
        if entry is not None:
            return entry.alive_text
        if self._records is not None:
            try:
                return self._records.get(key)
            except DISK_ERRORS as error:
                trouble = error
            self._stumble(trouble, reading=True)
        entry = self._seen.get(key)
        return entry.alive_text if entry else None

    def scan(self, prefix: str) -> Iterator[tuple[str, Json]]:
        found: dict[str, Entry] = {}
        trouble: BaseException | None = None
        if self._records is not None:
            try:
                found = dict(self._records.scan(prefix))
            except DISK_ERRORS as error:
                trouble = error
        if trouble is not None:
            self._stumble(trouble, reading=True)
        for memory in (self._seen, self._kept):
            found.update(item for item in memory.items() if item[0].startswith(prefix))
        for key, entry in found.items():
            value = parse(key, entry.alive_text)
            if value is not None:
                yield key, value

    def write(self, key: str, entry: Entry) -> None:
        records = self._writable()
        if records is None:
            self._kept[key] = entry
            return
        try:
            records.put(key, entry)
        except DISK_ERRORS as error:
            trouble = error
        else:
            return
        self._kept[key] = entry
        self._stumble(trouble)

    def add(self, key: str, entry: Entry) -> bool:
        """True if there was nothing under ``key``."""
        records = self._writable()
        if records is not None:
            try:
                return records.add(key, entry)
            except DISK_ERRORS as error:
                trouble = error
            self._stumble(trouble)
        if self.read(key) is not None:
            return False
        self.write(key, entry)
        return True

    def _writable(self) -> Records | None:
        """The rows on disk if they can be written now."""
        if self._retry_at is not None or self._records is None:
            return None
        if self._records.gone:
            self._rescue(self._records)
        return self._records if self._retry_at is None else None

    def _rescue(self, records: Records) -> None:
        """The file was deleted under our feet: its rows can still be read through the open one."""
        try:
            self._kept = dict(records.scan("")) | self._kept
        except DISK_ERRORS as error:
            log.warning("store: nothing left of the deleted store (%s)", cause(error))
        log.error(
            "store: deleted while running, writing it anew path=%s values=%d",
            self._path,
            len(self._kept),
        )
        # Before a new file appears: SQLite removes "its" -wal by name when it closes.
        records.close()
        self._records = None
        self.recover()

    def _stumble(self, error: BaseException, *, reading: bool = False) -> None:
        """``error`` came from an open store: begin a new one, or go on in memory."""
        if self._records is not None and damaged(error):
            self._records.close()
            self._records = None
            try:
                self._quarantine(error)
            except OSError as stuck:
                error = stuck
            else:
                self.recover()
                return
        if reading and self._records is not None:
            # Each further read might wait as long: answer from memory until the next attempt.
            self._records.close()
            self._records = None
        self._suspend(error)

    def recover(self) -> None:
        """Open the disk if it is not open, write back what memory holds; else try again later."""
        try:
            if self._records is None:
                self._records = self._open_or_begin()
            self._write_back(self._records)
        except DISK_ERRORS as error:
            self._suspend(error)
            return
        if self._broken:
            log.warning("store: the disk works again path=%s", self._path)
        self._retry_at, self._broken = None, ""
        self._seen = {}

    def _open_or_begin(self) -> Records:
        try:
            return Records.open(self._path, self._timeout)
        except DISK_ERRORS as error:
            if not damaged(error):
                raise
            damage = error
        self._quarantine(damage)
        return Records.open(self._path, self._timeout)

    def _quarantine(self, error: BaseException) -> None:
        aside = set_aside(self._path)
        self._notice = (
            f"The store was unusable ({cause(error)}): it was set aside as {aside.name} and a new, "
            "empty one was begun, so earlier conversations are forgotten."
        )
        log.error("store: %s", self._notice)

    def _write_back(self, records: Records) -> None:
        """All of memory in one transaction; disk wins only for a record that is ``done`` there."""
        if not self._kept:
            return
        with records.transaction():
            for key, entry in self._kept.items():
                on_disk = None if entry.text is None else parse(key, records.get(key))
                if on_disk is None or on_disk.get("state") != "done":
                    records.put(key, entry)
        self._kept = {}

    def _suspend(self, error: BaseException) -> None:
        """Go on in memory; say so once."""
        self._retry_at = time.monotonic() + self._retry_every
        first, why = not self._broken, _reason(error, self._path)
        self._broken = (
            f"The store in {self._path} cannot be written ({why}): new values are kept in memory, "
            "would be lost by a restart, and are written as soon as it works again."
        )
        if first:
            log.error("store: %s", self._broken)
        if self._records is not None:
            self._records.rollback()
            if damaged(error):
                self._records.close()
                self._records = None
        if self._records is None and not self._seen:
            self._seen = salvage(self._path)


def _reason(error: BaseException, path: Path) -> str:
    """Why, in words; SQLite says "unable to open database file" for much of it."""
    with suppress(OSError):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "read-only file system"
    error = cause(error)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
