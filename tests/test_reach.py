"""Where a way ends: name, port, silence, certificate, proxy are told apart."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohappyeyeballs import start_connection

from dod import authorities, reach
from dod.sim.dify.simulator import SimDify
from tests.network import Authority, ConnectProxy

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(
    answer: bytes | None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """A port where everybody gets ``answer``; None: silence. Empty: the end."""
    over = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await over.wait()
            writer.write(answer or b"")
            await writer.drain()
        writer.transport.abort()

    listening = await asyncio.start_server(talk, host, 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        over.set()
        listening.close()
        await listening.wait_closed()


def dated(ahead: float, status: str = "404 Not Found") -> bytes:
    date = formatdate(time.time() + ahead, usegmt=True)
    return f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()


async def met(url: str, within: float = 5.0) -> reach.Unreached:
    with pytest.raises(reach.Unreached) as met:
        await reach.knock(url, within=within)
    return met.value


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_any_answer_is_a_good_one_and_tells_the_time() -> None:
    async def act() -> None:
        async with server(dated(300)) as port:
            answered = await reach.knock(f"http://127.0.0.1:{port}/v1", within=5.0)
        assert answered.ahead is not None
        assert 290 < answered.ahead < 310
        async with server(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") as port:
            assert (await reach.knock(f"http://127.0.0.1:{port}", within=5.0)).ahead is None

    asyncio.run(act())


def test_each_end_of_a_way_has_its_name() -> None:
    async def act() -> None:
        assert (await met("http://nowhere.invalid/v1")).obstacle == "dns"
        assert (await met(f"http://127.0.0.1:{closed_port()}/v1")).obstacle == "refused"
        async with server(None) as port:
            silent = await met(f"http://127.0.0.1:{port}/v1", within=0.1)
            assert (silent.obstacle, silent.host) == ("mute", "127.0.0.1")
        async with server(b"") as port:
            assert (await met(f"http://127.0.0.1:{port}/v1")).obstacle == "broken"

    asyncio.run(act())


def test_who_never_takes_the_connection_is_told_from_who_falls_silent_then() -> None:
    async def act() -> None:
        with contextlib.ExitStack() as stack:
            full = stack.enter_context(socket.socket())
            full.bind(("127.0.0.1", 0))
            full.listen(0)  # the kernel drops what comes after the first two
            for _ in range(4):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            assert (await met(url, within=0.2)).obstacle == "silent"

    asyncio.run(act())


def test_what_is_wrong_with_a_certificate_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)

    async def act(begin: str, end: str) -> str:
        async with server(dated(0), authority.serving(begin, end)) as port:
            return (await met(f"https://127.0.0.1:{port}")).obstacle

    monkeypatch.setattr(authorities, "ours", authorities.Authorities())
    assert asyncio.run(act("20200101000000Z", "20490101000000Z")) == "certificate"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setattr(authorities, "ours", authorities.Authorities())
    assert asyncio.run(act("20200101000000Z", "20210101000000Z")) == "date"


def test_a_certificate_of_another_name_is_no_matter_of_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setattr(authorities, "ours", authorities.Authorities())

    async def act() -> None:
        tls = authority.serving()
        async with server(dated(0), tls) as port:
            assert (await met(f"https://127.1:{port}")).obstacle == "name"
        async with server(dated(0), tls, "127.0.0.2") as port:
            assert (await met(f"https://127.0.0.2:{port}")).obstacle == "name"

    asyncio.run(act())


def test_of_several_addresses_the_one_that_answered_tells_most() -> None:
    """``localhost`` of a container without IPv6 is such a name."""
    nobody, closed = ("fe80::1", 1, 0, 0), ("127.0.0.1", closed_port())

    async def act() -> None:
        with pytest.raises(OSError, match="Multiple") as failed:
            await start_connection(
                [
                    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", nobody),
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", closed),
                ]
            )
        assert reach.obstacle_of(failed.value) == "refused"

    asyncio.run(act())


def test_a_port_without_tls_is_told() -> None:
    async def act() -> None:
        dify = SimDify()
        await dify.start()
        try:
            assert (await met(f"https://127.0.0.1:{dify.port}")).obstacle == "tls"
        finally:
            await dify.close()

    asyncio.run(act())


def test_a_proxy_that_refuses_or_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        proxy = await ConnectProxy().start()
        try:
            proxy.refuse = 407
            monkeypatch.setenv("HTTPS_PROXY", f"http://ann:open-sesame@127.0.0.1:{proxy.port}")
            refused = await met("https://dify.example.com/v1")
            assert (refused.obstacle, refused.host) == ("proxy", "127.0.0.1")
            assert "open-sesame" not in str(refused)
        finally:
            await proxy.close()
        gone = await met("https://dify.example.com/v1")
        assert (gone.obstacle, gone.host) == ("refused", "127.0.0.1")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
        assert (await met("https://dify.example.com/v1")).host == "proxy.invalid"

    asyncio.run(act())


def test_nothing_but_host_and_port_of_an_address_is_shown() -> None:
    assert reach.shown("http://ann:open-sesame@proxy.office:3128/x?ticket=1") == "proxy.office:3128"
    assert reach.shown("https://[::1]:8/v1") == "[::1]:8"
    assert reach.shown("https://api.dify.ai/v1") == "api.dify.ai"
