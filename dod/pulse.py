"""What a supervisor is told: once that dod is ready, and every few seconds that it lives.

``DOD_READY_FD`` is s6's notification-fd, ``DOD_RUNDIR`` a folder in RAM with ``app/heartbeat`` for
the health check. Where they are unset nobody asks, and nothing is done.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path


class Pulse:
    """Lifecycle: ``beat`` at every tick. Thread: main.

    ``patience``: seconds after which dod is called ready in any case: what it then still waits for
    (a first file, DingTalk) is no fault that a restart would mend. ``every``: seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        patience: float = 30.0,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        descriptor, folder = environ.get("DOD_READY_FD", ""), environ.get("DOD_RUNDIR", "")
        self._descriptor = int(descriptor) if descriptor.isascii() and descriptor.isdigit() else -1
        self._heartbeat = Path(folder) / "app" / "heartbeat" if folder else None
        self._clock = clock
        self._every = every
        self._next = 0.0
        self._latest = clock() + patience

    def beat(self, *, alive: bool, ready: bool) -> None:
        """Never raises: a supervisor that does not listen is no reason to stop."""
        now = self._clock()
        if not alive:
            return
        if self._descriptor >= 0 and (ready or now >= self._latest):
            with contextlib.suppress(OSError):
                os.write(self._descriptor, b"\n")
                os.close(self._descriptor)
            self._descriptor = -1
        if self._heartbeat is not None and now >= self._next:
            self._next = now + self._every
            with contextlib.suppress(OSError):
                self._heartbeat.touch()
