"""One way of a bot to its people: a channel, and what is known of it. Thread: the bot's loop."""

import asyncio
from dataclasses import dataclass, field

from dod.bridge.serving import Serving
from dod.config.spec import BotSpec
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
