"""TCP to a host of several addresses, and no socket that is left behind."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dod import dialling
from dod.dialling import dial
from dod.sockets import Flow

GONE = "127.0.0.2"  # nobody listens there


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """From now on the running loop knows these addresses of every name."""

    async def look_up(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        six, four = socket.AF_INET6, socket.AF_INET
        return [(six if ":" in it else four, 0, 0, "", (it, 0)) for it in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), (GONE, "127.0.0.1"), ("127.0.0.1", GONE)])
def test_cancelled_at_any_moment_it_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    """Unclosed sockets are errors of this test run; the collector finds them here."""

    async def act() -> None:
        async with listening() as port:
            resolving(monkeypatch, *addresses)
            for steps in range(40):
                task = asyncio.create_task(dial(Flow, "office.example", port))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    (await task)[0].abort()
                del task
                await asyncio.sleep(0.001)
                gc.collect()

    asyncio.run(act())
    gc.collect()


@pytest.mark.parametrize("addresses", [(GONE, "127.0.0.1"), ("::1", GONE, "127.0.0.1")])
def test_an_address_that_refuses_is_passed_over_at_once(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    monkeypatch.setattr(dialling, "NEXT", 30.0)

    async def act() -> str:
        async with listening() as port:
            resolving(monkeypatch, *addresses)
            async with asyncio.timeout(20):
                transport, _ = await dial(Flow, "office.example", port)
            peer: str = transport.get_extra_info("peername")[0]
            transport.abort()
            await asyncio.sleep(0)
            return peer

    assert asyncio.run(act()) == "127.0.0.1"


def test_a_slow_address_has_the_next_one_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "NEXT", 0.005)

    async def act() -> str:
        async with listening() as port:
            resolving(monkeypatch, "::1", "127.0.0.1")
            loop = asyncio.get_running_loop()
            real: Callable[..., Any] = loop.create_connection

            async def connect(make: Any, host: str, port: int) -> Any:
                if host == "::1":
                    await asyncio.sleep(30)
                return await real(make, host, port)

            monkeypatch.setattr(loop, "create_connection", connect)
            transport, _ = await dial(Flow, "office.example", port)
            peer: str = transport.get_extra_info("peername")[0]
            transport.abort()
            await asyncio.sleep(0)
            return peer

    assert asyncio.run(act()) == "127.0.0.1"


def test_that_all_refuse_is_told_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        async with listening() as port:
            pass
        resolving(monkeypatch, GONE, "127.0.0.3")
        with pytest.raises(OSError, match=r"127\.0\.0\.2.*127\.0\.0\.3"):
            await dial(Flow, "office.example", port)
        with pytest.raises(ConnectionRefusedError):
            await dial(Flow, "127.0.0.1", port)

    asyncio.run(act())
