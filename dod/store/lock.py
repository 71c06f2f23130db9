"""One process per data folder: two would each receive half of the messages (pitfall 58).

``flock`` is given back by the kernel however the process ends, ``kill -9`` included.
"""

import errno
import fcntl
import logging
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who else holds the lock: ``text`` as that process wrote it, e.g. ``pid 7 on nas``."""

    text: str


class Lock:
    """Held until ``release`` or the end of the process. ``real``: False when none could be had."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def real(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        """Idempotent. The file stays: removing it would let two processes lock two files."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def hold(path: Path) -> Lock | Holder:
    """Lock the file ``path``, or say who holds it. Never waits, never raises.

    Only EWOULDBLOCK means held. A file system without locks, or a folder that cannot be written,
    is warned of and gives a ``Lock`` that is not ``real``: one process is the normal case.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        log.warning("lock: cannot open %s (%s); running without a lock", path, error.strerror)
        return Lock(None)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held = error.errno in {errno.EWOULDBLOCK, errno.EAGAIN}
        text = _read(descriptor) if held else ""
        os.close(descriptor)
        if held:
            return Holder(text or "another process")
        log.warning("lock: cannot lock %s (%s); running without a lock", path, error.strerror)
        return Lock(None)
    with suppress(OSError):  # the name is a courtesy: a full or read-only disk may refuse it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return Lock(descriptor)


def _open(path: Path) -> int:
    with suppress(PermissionError):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    # Another user's file, or a read-only folder: flock needs no right to write.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _read(descriptor: int) -> str:
    try:
        return os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    except OSError:
        return ""
