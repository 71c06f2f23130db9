"""The spec, app and channel that serve new messages; who began with them keeps them."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

from dod.bridge.haste import Haste
from dod.bridge.room import Room
from dod.config.spec import BotSpec
from dod.ports import App, Channel


@dataclass(eq=False, slots=True)
class Serving:
    """What a turn begins with and keeps. In use from ``hold`` to ``release``."""

    spec: BotSpec
    app: App
    channel: Channel
    haste: Haste
    room: Room = field(init=False)
    _users: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.room = Room(self.spec.card_max_bytes, self.spec.answer_file_after_cards)

    def hold(self) -> Self:
        self._users += 1
        self._idle.clear()
        return self

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._idle.set()

    async def unused(self) -> None:
        """Wait until nothing uses it; what is received later gets another one."""
        while self._users:
            await self._idle.wait()
