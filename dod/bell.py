"""Wakes the main thread, from any thread and from a signal handler.

A pipe, not an Event: a handler that runs while the main thread holds the Event's lock in ``wait``
would wait for itself for ever.
"""

import contextlib
import os
import select


class Bell:
    """``ring`` from anywhere; ``wait`` in the main thread only."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """End the current or the next ``wait``. Takes no lock, never waits."""
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            os.write(self._write, b"!")

    def wait(self, seconds: float) -> None:
        """Return when rung since the last ``wait``, or after ``seconds``."""
        select.select([self._read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)
