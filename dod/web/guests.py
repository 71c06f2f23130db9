"""So many connections to the status page and no more: sockets and memory are the bots', too.

aiohttp keeps a connection that says nothing for an hour, and each takes a descriptor of the whole
process. Thread: the web's loop.
"""

import asyncio
import logging
from collections.abc import Callable

from aiohttp.http_exceptions import HttpProcessingError

MOST = 64  # connections: a browser has two for each tab
BACKLOG = 32  # accepted at one go, before the first of them is counted


class Guests:
    """Makes the protocol of each connection, by ``make``. When there are too many, the oldest goes.

    So somebody who holds on to all of them shuts nobody out: who has just come is served.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], *, most: int = MOST) -> None:
        self._make = make
        self._most = most
        self._here: dict[asyncio.Transport, None] = {}  # the oldest first

    def __call__(self) -> asyncio.Protocol:
        return _Guest(self, self._make())

    def enter(self, transport: asyncio.Transport) -> None:
        self._here[transport] = None
        if len(self._here) > self._most:
            oldest = next(iter(self._here))
            self.leave(oldest)
            oldest.abort()  # also one that does not read its answer

    def leave(self, transport: asyncio.Transport) -> None:
        self._here.pop(transport, None)


class _Guest(asyncio.Protocol):
    """One connection: passes everything on, and is counted from its beginning to its end."""

    def __init__(self, guests: Guests, inner: asyncio.Protocol) -> None:
        self._guests = guests
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._guests.enter(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._guests.leave(self._transport)
        self._inner.connection_lost(exc)


def ours(record: logging.LogRecord) -> bool:
    """Whether a line of aiohttp is about us: what a client did wrong is no trouble of an admin.

    It comes with a traceback and the client's own words, and as often as a client likes.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
