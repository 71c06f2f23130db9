"""Recorded bytes on a real socket: a server that says what a real Dify once said."""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
EXPECTED: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (HERE / "expected.json").read_text("utf-8")
)


def recorded(version: str, name: str) -> tuple[bytes, bytes]:
    """The bytes of one recording: request, response."""
    about = json.loads((HERE / version / "index.json").read_text("utf-8"))[name]
    raw = (HERE / version / f"{name}.http").read_bytes()
    return raw[: about["request_bytes"]], raw[about["response_offset"] :]


@dataclass
class Play:
    """One answer: ``size`` bytes at a time (0: at once), then ``hold`` or close the connection.

    Without ``data`` the request is read and the connection closed.
    """

    data: bytes = b""
    size: int = 0
    hold: bool = False

    def pieces(self) -> Iterable[bytes]:
        head, _, body = self.data.partition(b"\r\n\r\n")
        yield head + b"\r\n\r\n"
        if not self.size:
            yield body
            return
        for at in range(0, len(body), self.size):
            yield body[at : at + self.size]


@dataclass
class Replay:
    """Answers each request, on whatever connection, with the next of ``plays``."""

    plays: list[Play] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def __aenter__(self) -> Self:
        self._handlers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._handlers.values():
            writer.transport.abort()  # its handler then ends by itself
        await asyncio.gather(*self._handlers)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handlers[task] = writer
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answered(reader, writer):
                    pass
        finally:
            del self._handlers[task]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((head[0], headers, json.loads(body) if body else None))
        play = self.plays.pop(0)
        for piece in play.pieces():
            if writer.is_closing():
                return False
            writer.write(piece)
            await asyncio.sleep(0)
        await writer.drain()
        if play.hold:
            await reader.read(1)  # until the client goes, or speaks again
            return False
        return b"connection: close" not in play.data.lower() and bool(play.data)
