"""Which directories change: watchdog's observer, at the edge of ``watch``.

On directories, never on a file: a save may put another file in its place.
"""

import logging
import math
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

Inode = tuple[int, int]

MOST = 8  # directories: each costs a thread of watchdog's; the poll sees the others
RETRY = 60.0  # seconds until inotify is tried again after a failure


class Directories:
    """Lifecycle: ``follow*`` → ``close``. Thread: main; ``on_event`` is called from watchdog's."""

    def __init__(self, on_event: Callable[[], None]) -> None:
        self.watched: dict[str, tuple[Inode, ObservedWatch]] = {}
        self._on_event = on_event
        self._observer: BaseObserver | None = None
        self._tried: dict[str, Inode] = {}
        self._retry_at = -math.inf

    def follow(self, wanted: dict[str, Inode], now: float) -> None:
        """Watch exactly ``wanted``. Raises OSError, RuntimeError; then not again before RETRY."""
        if wanted == {path: inode for path, (inode, _) in self.watched.items()}:
            return
        if wanted == self._tried and now < self._retry_at:
            return
        self._tried, self._retry_at = wanted, now + RETRY
        for path in [
            path for path, (inode, _) in self.watched.items() if wanted.get(path) != inode
        ]:
            watch = self.watched.pop(path)[1]
            if self._observer is not None:
                self._observer.unschedule(watch)
        for path in wanted.keys() - self.watched.keys():
            self.watched[path] = (wanted[path], self._schedule(path))

    def _schedule(self, path: str) -> "ObservedWatch":
        # Imported here: 25 ms and 1.7 MB, for nothing where there is no inotify.
        from watchdog import events
        from watchdog.observers.inotify import InotifyObserver

        on_event = self._on_event

        class Handler(events.FileSystemEventHandler):
            def on_any_event(self, event: events.FileSystemEvent) -> None:
                del event  # a hint; see above
                on_event()

        if self._observer is None:
            logging.getLogger("watchdog").setLevel(logging.WARNING)
            observer = InotifyObserver()
            observer.name = "watch"
            try:
                observer.start()
            except RuntimeError:
                observer.stop()  # it has a thread and three descriptors already
                raise
            self._observer = observer
        # The filter becomes the kernel's: our own opening and closing would wake us for ever.
        kinds: list[type[events.FileSystemEvent]] = [
            *(events.FileCreatedEvent, events.FileModifiedEvent, events.FileClosedEvent),
            *(events.FileMovedEvent, events.FileDeletedEvent, events.DirCreatedEvent),
            *(events.DirMovedEvent, events.DirDeletedEvent),
        ]
        return self._observer.schedule(Handler(), path, event_filter=kinds)

    def close(self) -> None:
        observer, self._observer = self._observer, None
        self.watched.clear()
        if observer is not None:
            observer.stop()
            with suppress(RuntimeError):  # it was never started
                observer.join(2.0)


def inodes(folder: Path, files: tuple[Path, ...]) -> dict[str, Inode]:
    """Which directories to watch: where the files lie and where their links lead; what exists."""
    found: dict[str, Inode] = {}
    parents = dict.fromkeys((folder, *(path.parent for path in files)))
    for place in (*parents, *files):
        # RuntimeError: links in a circle; ValueError: a NUL in the name of an included file.
        with suppress(OSError, RuntimeError, ValueError):
            if place not in parents and not place.is_symlink():
                continue
            # inotify does not follow a link: ..data of Kubernetes, a linked /config.
            real = place.resolve() if place in parents else place.resolve().parent
            about = real.stat()
            if stat.S_ISDIR(about.st_mode) and len(found) < MOST:
                found[str(real)] = (about.st_dev, about.st_ino)
    return found
