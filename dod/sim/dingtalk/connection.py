"""One websocket of the simulated DingTalk, and the SYSTEM frames that go over it.

Facts: dingtalk-protocol §2.
"""

import asyncio
import contextlib
import json
import time
import uuid
from dataclasses import dataclass, field

from aiohttp import web

from dod.sim.dingtalk.faults import Json
from dod.sim.dingtalk.world import SimApp


@dataclass(eq=False)
class SimConnection:
    """One websocket. ``leaving``: a ``disconnect`` frame was sent; nothing is pushed any more.

    ``deaf``: it answers pings of the websocket, and nothing else goes either way (§2.2).
    """

    id: str
    app: SimApp
    topics: frozenset[str]
    ws: web.WebSocketResponse = field(repr=False)
    transport: asyncio.Transport = field(repr=False)
    opened_at: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)
    leaving: bool = False
    half_open: bool = False
    deaf: bool = False
    closed: bool = False
    frames: dict[str, str] = field(default_factory=dict)  # messageId → opaque of a ping, or ""
    pongs: int = 0

    async def send(self, text: str) -> None:
        """Send a text frame; a dead, deaf or half-open link swallows it."""
        if self.half_open or self.deaf or self.closed:
            return
        with contextlib.suppress(ConnectionError):
            await self.ws.send_str(text)

    async def system(self, topic: str, body: Json) -> None:
        """A SYSTEM frame; like the real ones without specVersion and time (§2)."""
        headers = {"topic": topic, "contentType": "application/json"}
        if topic != "disconnect":
            headers["messageId"] = uuid.uuid4().hex
            self.frames[headers["messageId"]] = body.get("opaque", "")
        frame = {"type": "SYSTEM", "headers": headers, "data": json.dumps(body)}
        await self.send(json.dumps(frame))

    async def keep_alive(self, every: float) -> None:
        """``every``: seconds between KEEPALIVE frames, until it is closed."""
        while not self.closed:
            await self.system("KEEPALIVE", {})
            await asyncio.sleep(every)

    async def drop_later(self, grace: float) -> None:
        """End TCP once nothing was heard for ``grace`` seconds from now on (§2.1)."""
        asked_at = time.monotonic()
        while not self.closed:
            silent = time.monotonic() - max(asked_at, self.heard_at)
            if silent >= grace:
                self.transport.abort()
                return
            await asyncio.sleep(max(0.005, grace - silent))
