"""Between two tries one sleeps; not for long when the bot is about to end.

Thread: the bot's loop.
"""

import asyncio
import contextlib
from collections.abc import Iterable

PRESSED = 1.0  # seconds between two tries then: a neighbour's short trouble must not cost the end


class Haste:
    """One for all retries of a bot. Lifecycle: ``tries*`` → ``make`` when it shuts down."""

    def __init__(self) -> None:
        self._made = asyncio.Event()

    @property
    def made(self) -> bool:
        return self._made.is_set()

    def make(self) -> None:
        """Who sleeps tries now, and from then on each ``PRESSED`` seconds. Idempotent.

        The bot's deadline ends it, or the number of tries; the next start goes on.
        """
        self._made.set()

    def tries(self, delays: Iterable[float]) -> "Tries":
        """``delays``: seconds before each."""
        return Tries(self, delays)

    async def wait(self, seconds: float) -> None:
        """Until it is made, at most ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._made.wait()


class Tries:
    """Of one thing."""

    def __init__(self, haste: Haste, delays: Iterable[float]) -> None:
        self._haste = haste
        self._delays = iter(delays)

    async def another(self) -> bool:
        """Sleep until the next try is due; False where there is none."""
        delay = next(self._delays, None)
        if delay is None:
            return False
        if self._haste.made:
            await asyncio.sleep(min(delay, PRESSED))
        else:
            await self._haste.wait(delay)
        return True
