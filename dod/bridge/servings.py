"""What has served a bot's messages: the newest, and those that only old turns use.

Thread: the bot's loop.
"""

import asyncio
from collections.abc import Callable

from dod.bridge.haste import Haste
from dod.bridge.line import Line
from dod.bridge.serving import Serving
from dod.config.spec import BotSpec
from dod.ports import App


class Servings:
    """Lifecycle: ``serve*`` → ``hurry`` when the bot shuts down → ``aclose``."""

    def __init__(
        self, spec: BotSpec, line: Line, make_app: Callable[[BotSpec], App], haste: Haste
    ) -> None:
        self._make_app = make_app
        self._haste = haste
        self.newest = Serving(spec, make_app(spec), line.channel, haste)
        line.serving = self.newest
        self._all = [self.newest]  # also those that only old turns use
        self._retiring: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self.generation = 1

    def serve(self, spec: BotSpec, line: Line, *, leaving: Line | None = None) -> None:
        """New messages are served by ``spec``; turns under way keep what they began with."""
        old = self.newest
        same_app = _app_keys(spec) == _app_keys(old.spec)
        app = old.app if same_app else self._make_app(spec)
        line.serving = self.newest = Serving(spec, app, line.channel, self._haste)
        self._all.append(self.newest)
        self.generation += 1
        task = asyncio.create_task(self._retire(old, leaving), name="old settings")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire(self, serving: Serving, leaving: Line | None) -> None:
        """Close what nothing uses any more, and what nothing more can come by."""
        if leaving is not None and leaving.leaving is not None:
            await asyncio.wait({leaving.leaving})
        await serving.unused()
        self._all.remove(serving)
        # From here a task of its own: ``halt`` ends only the waiting.
        closing = asyncio.create_task(self._close(serving), name="close old settings")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close(self, serving: Serving) -> None:
        if not any(serving.app is other.app for other in self._all):
            await serving.app.aclose()
        if not any(serving.channel is other.channel for other in self._all):
            await serving.channel.aclose()

    def hurry(self) -> None:
        """Shutting down: no rate limit any more, also of channels that only old turns use."""
        for serving in self._all:
            serving.channel.hurry()

    def halt(self) -> None:
        """Nothing waits any more for old turns to end."""
        for task in self._retiring:
            task.cancel()

    async def aclose(self) -> None:
        if self._closing:
            await asyncio.wait(self._closing)
        for serving in self._all:
            await serving.channel.aclose()
            await serving.app.aclose()


def _app_keys(spec: BotSpec) -> tuple[object, ...]:
    """What a Dify client is made of."""
    return (
        spec.dify_app_type,
        spec.dify_app_api_key,
        spec.dify_api_url,
        spec.dify_output,
        spec.dify_timeout_seconds,
    )
