"""TCP and TLS for httpcore on asyncio's own transports.

Its usual one asks anyio, which starts and stops reading at the selector for each read, and polls
the socket of each idle connection at each request: a third of all CPU while 200 people are
answered (docs/benchmarks.md). Here a connection is read as bytes come, and knows by itself that its
peer has gone.
"""

import asyncio
import importlib.util
import ipaddress
import select
import socket
import ssl
import sys
from asyncio import selector_events, sslproto
from collections.abc import Callable, Iterable
from typing import Any

from aiohappyeyeballs import AddrInfoType, addr_to_addr_infos, start_connection
from httpcore import (
    SOCKET_OPTION,
    AsyncConnectionPool,
    AsyncNetworkBackend,
    AsyncNetworkStream,
    ConnectError,
    ConnectTimeout,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)

_FULL = 256 * 1024  # bytes; more are left to the kernel until these are read
OTHER_ADDRESS = 0.25  # seconds until the next address is tried beside it (RFC 8305)

# httpcore looks for this optional module at each lock and event that it makes. Python remembers
# only the modules that it has found: each look was a walk through all of sys.path.
if importlib.util.find_spec("sniffio") is None:
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # the documented way


# Each TLS connection of asyncio, the websockets among them, holds a zeroed buffer of this size for
# what comes in: 256 KB, of which an idle bot used to have one and its HTTP client the other.
# Without TLS as much is asked for at each reading and then cut down to what came: that left holes
# of 256 KB in the heap, one for each thread that ever read while others did.
_READ = 32 * 1024
sslproto.SSLProtocol.max_size = _READ
selector_events._SelectorTransport.max_size = _READ  # type: ignore[attr-defined]  # noqa: SLF001


class Flow(asyncio.Protocol):
    """What has come from the peer and was not read yet. Thread: its loop."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.gone = False  # nothing more will come
        self.failure: Exception | None = None
        self._held = bytearray()
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._full = False
        self._writer: asyncio.Future[None] | None = None

    @property
    def readable(self) -> bool:
        """Bytes are there, or the end."""
        return bool(self._held) or self.gone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        _wake(self._reader)
        if len(self._held) > _FULL and self.transport is not None and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        self.gone = True
        _wake(self._reader)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.failure = exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        _wake(self._writer)

    async def take(self, most: int, seconds: float | None) -> bytes:
        """At least one byte; none at the end. Raises TimeoutError, OSError."""
        if not self.readable:
            self._reader = asyncio.get_running_loop().create_future()
            await _bounded(self._reader, seconds)
        if not self._held:
            if self.failure is not None:
                raise self.failure
            return b""
        if len(self._held) <= most:
            taken, self._held = bytes(self._held), bytearray()
        else:
            taken = bytes(self._held[:most])
            del self._held[:most]
        if self._paused and not self._held and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return taken

    async def drained(self, seconds: float | None) -> None:
        """Returns when the kernel has taken enough. Raises TimeoutError, ConnectionError."""
        while self._full and not self.gone:
            self._writer = asyncio.get_running_loop().create_future()
            await _bounded(self._writer, seconds)


class Connection(AsyncNetworkStream):
    """One connection. Lifecycle: made by ``Network`` → ``aclose``."""

    def __init__(self, transport: asyncio.Transport, flow: Flow) -> None:
        self._transport = transport
        self._flow = flow
        # The loop may be behind what the kernel knows.
        self._kernel = select.poll()
        self._kernel.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    @property
    def _useless(self) -> bool:
        """Whether something has come, or the end: no idle connection gets a word unasked."""
        return self._flow.readable or bool(self._kernel.poll(0))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            return await self._flow.take(max_bytes, timeout)
        except TimeoutError as exc:
            raise ReadTimeout from exc
        except OSError as exc:
            raise ReadError(str(exc)) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:
            return
        if self._transport.is_closing():
            raise WriteError("the connection is closed")
        self._transport.write(buffer)
        try:
            await self._flow.drained(timeout)
        except TimeoutError as exc:
            raise WriteTimeout from exc
        if self._flow.failure is not None:
            raise WriteError(str(self._flow.failure))

    async def aclose(self) -> None:
        self._transport.abort()  # nothing is left to say: a request that matters was answered
        await asyncio.sleep(0)  # for the transport to close its socket

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                transport = await loop.start_tls(
                    self._transport, self._flow, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as exc:
            await self.aclose()
            raise ConnectTimeout from exc
        except OSError as exc:  # SSLError among them
            await self.aclose()
            raise ConnectError(str(exc)) from exc
        except BaseException:
            self._transport.abort()
            raise
        if transport is None:
            raise ConnectError("the connection was closed during the TLS handshake")
        self._flow.transport = transport
        return Connection(transport, self._flow)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._useless
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport.get_extra_info(names.get(info, info))


async def dial(host: str, port: int) -> socket.socket:
    """A socket to the first address that takes it: one that is dead holds up no other.

    Where IPv6 leads nowhere a host's first address is often such a one. Raises OSError, and
    UnicodeError or OverflowError for what cannot be looked up at all.
    """
    addresses = _numeric(host, port) or await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    # Not asyncio's own: that one forgets a socket when it is cancelled too late.
    return await start_connection(addresses, happy_eyeballs_delay=OTHER_ADDRESS)


class Network(AsyncNetworkBackend):
    """Opens connections by TCP, on the loop that asks."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        if local_address is not None or socket_options is not None:
            raise NotImplementedError("nobody here asks for these")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                connected = await dial(host, port)
                transport, flow = await loop.create_connection(Flow, sock=connected)
        except TimeoutError as exc:
            raise ConnectTimeout from exc
        except (
            OSError,
            UnicodeError,
            OverflowError,
        ) as exc:  # also what cannot be looked up at all
            raise ConnectError(str(exc)) from exc
        return Connection(transport, flow)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def pool(tls: ssl.SSLContext, *, keepalive: float) -> AsyncConnectionPool:
    """Any number of connections; an idle one is closed after ``keepalive`` seconds."""
    return AsyncConnectionPool(
        ssl_context=tls,
        max_connections=None,
        max_keepalive_connections=None,
        keepalive_expiry=keepalive,
        network_backend=Network(),
    )


def _numeric(host: str, port: int) -> list[AddrInfoType] | None:
    """The address of a host that is one: there is nothing to ask another thread for."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return addr_to_addr_infos((host, port)) if "%" not in host else None


async def _bounded(waiter: asyncio.Future[None], seconds: float | None) -> None:
    """Wait for it, at most so long. Cheaper than ``asyncio.timeout``; each piece needs one."""
    if seconds is None:
        await waiter
        return
    timer = asyncio.get_running_loop().call_later(seconds, _expire, waiter)
    try:
        await waiter
    finally:
        timer.cancel()


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


_: Callable[[], AsyncNetworkBackend] = Network
