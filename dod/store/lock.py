"""One process per data folder: two would each receive half of the messages (pitfall 58).

``flock`` is given back by the kernel however the process ends, ``kill -9`` included.
"""

import errno
import fcntl
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

# What is opened is emptied and written: in a folder that others can write a link leads anywhere.
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class DataLock:
    """The lock on a data folder. Lifecycle: ``hold`` until it is True → ``release``.

    ``holder`` says who else has it, as that process wrote it (``pid 7 on nas``), else it is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._descriptor: int | None = None
        self._warned = False
        self.holder = ""

    def hold(self) -> bool:
        """False only while another process holds it. Never waits, never raises; may be repeated.

        Where no lock can be had (a file system without, a folder that cannot be written) this
        warns and is True: one process is the normal case.
        """
        if self._descriptor is not None:
            return True
        self.holder = ""
        try:
            descriptor = _open(self._path)
        except OSError as error:
            self._warn(error)
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            held = error.errno in {errno.EWOULDBLOCK, errno.EAGAIN}
            if held:
                self.holder = _read(descriptor) or "another process"
            else:
                self._warn(error)
            os.close(descriptor)
            return not held
        with suppress(OSError):  # the name is a courtesy: a full or read-only disk may refuse it
            if os.fstat(descriptor).st_nlink <= 1:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Idempotent. The file stays: removing it would let two processes lock two files."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def held(self) -> bool:
        """This process really has it; False also where no lock can be had."""
        return self._descriptor is not None

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            log.warning("lock: cannot lock %s (%s); running without", self._path, error.strerror)
        self._warned = True


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o644)
    except PermissionError as denied:
        try:
            # Another user's file, or a read-only folder: flock needs no right to write.
            return os.open(path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            raise denied from None  # that it is not there is not what is wrong


def _read(descriptor: int) -> str:
    try:
        return os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    except OSError:
        return ""
