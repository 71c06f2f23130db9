"""The one local port of the simulated DingTalk: it accepts, and hands requests on unrouted."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

_BODY_LIMIT = 32 << 20  # bytes; uploads are refused from 20 MB on, by us and not by aiohttp


class Listener:
    """Lifecycle: ``start`` → ``leave`` → ``close``. Thread: the simulator's loop.

    ``accepted``: TCP connections so far, websockets included.
    """

    def __init__(
        self,
        serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.accepted = 0
        self._serve = serve
        self._listen = (host, port)
        self._tls = tls
        self._protocols: web.Server | None = None
        self._server: asyncio.Server | None = None

    @property
    def open(self) -> bool:
        """It was started, and ``close`` has not returned yet."""
        return self._server is not None

    async def start(self) -> str:
        """Listen; returns the URL."""
        self._protocols = web.Server(
            self._serve, request_factory=_request, access_log=None, lingering_time=0.0
        )
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._accept, *self._listen, backlog=1024, ssl=self._tls
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{host}:{port}"

    def leave(self) -> None:
        """Accept nobody any more."""
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        """End every connection."""
        if self._server is None or self._protocols is None:
            return
        self._protocols.pre_shutdown()
        await self._protocols.shutdown(1.0)
        await self._server.wait_closed()
        self._server = None

    def _accept(self) -> asyncio.Protocol:
        if self._protocols is None:
            raise RuntimeError("not started")
        self.accepted += 1
        return self._protocols()


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=_BODY_LIMIT
    )
