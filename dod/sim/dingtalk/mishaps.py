"""Calls that the simulated DingTalk spoils: late, with a proxy's page, not at all, cut off."""

import asyncio
import contextlib

from aiohttp import web

from dod.sim.dingtalk.faults import Api, Mishap
from dod.sim.dingtalk.gate import Gate
from dod.sim.dingtalk.robot import Robot
from dod.sim.dingtalk.world import SimApp, SimEvent


class Mishaps:
    """Lifecycle: ``closing.set()`` ends hanging calls. Thread: the simulator's loop."""

    def __init__(self, gate: Gate, robot: Robot) -> None:
        self.closing = asyncio.Event()
        self._gate = gate
        self._robot = robot

    async def due(self, app: SimApp | None, api: Api) -> Mishap | None:
        """Spend the API's latency; then what is planned for this call."""
        self._gate.world.tell(SimEvent("arrival", (app.client_id if app else "", api)))
        if seconds := self._gate.delay(app, api):
            await asyncio.sleep(seconds)
        return self._gate.mishap(app, api)

    async def spoil(
        self,
        request: web.BaseRequest,
        app: SimApp | None,
        api: Api,
        mishap: Mishap,
        *,
        status: int = 502,
    ) -> web.Response:
        self._gate.count(app, api, mishap)
        if api == "webhook":
            self._robot.spoil(request.query.get("session", ""), mishap)
        if mishap == "html":
            page = "<html><head><title>Error</title></head><body>Tengine</body></html>"
            return web.Response(status=status, text=page, content_type="text/html")
        if mishap == "hang":
            await self.closing.wait()
        if mishap == "drip":
            await self._pour(request, b" ", every=0.01)
        if mishap == "endless":
            await self._pour(request, b" " * 65536, every=0.0)
        return await self.drop(request)

    async def _pour(self, request: web.BaseRequest, piece: bytes, *, every: float) -> None:
        """Answer 200 with ``piece`` again and again, until the caller has enough of it."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        with contextlib.suppress(ConnectionError):
            await response.prepare(request)
            while not self.closing.is_set():
                await response.write(piece)
                await asyncio.sleep(every)

    @staticmethod
    async def drop(request: web.BaseRequest) -> web.Response:
        """End the TCP connection; the response goes nowhere."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
