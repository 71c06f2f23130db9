"""One way of a bot to its people: a channel, and what is known of it. Thread: the bot's loop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dod.bridge.serving import Serving
from dod.config.spec import BotSpec
from dod.messages import Message, Press, PressReply
from dod.ports import Channel, StateChange


@dataclass(eq=False, slots=True)
class Line:
    """A channel with the spec it was opened for; ``error`` says why it does not connect."""

    spec: BotSpec
    channel: Channel
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None
    leaving: asyncio.Task[None] | None = None
    serving: Serving | None = None  # the last one that used this channel
    change: StateChange = field(default_factory=lambda: StateChange("connecting"))

    @property
    def error(self) -> str:
        return self.change.error

    def open(
        self,
        receive: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        press: Callable[[Press], Awaitable[PressReply]],
    ) -> asyncio.Task[None]:
        """Run the channel until it is closed; the task ends with what broke it."""

        async def run() -> None:
            await self.channel.run(receive, on_state, press)

        self.running = asyncio.create_task(run(), name=f"channel of {self.spec.name}")
        return self.running

    async def aclose(self) -> None:
        """Whether it was opened or not. Idempotent."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait({self.running})
        await self.channel.aclose()
