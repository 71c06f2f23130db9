"""The way to DingTalk: calls and websocket take the same one, and a dead address is passed by."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.network import Authority, ConnectProxy
from tests.test_dingtalk_channel import scene
from tests.test_dingtalk_office import (
    PATIENT,
    authority,  # noqa: F401  (a fixture)
    fresh_context,  # noqa: F401  (a fixture for all tests here)
)
from tests.test_http import no_proxy  # noqa: F401  (a fixture for all tests here)

NAME = "dingtalk.test"


@contextlib.contextmanager
def dead(port: int) -> Iterator[str]:
    """An address of this host that answers no attempt to connect to ``port``."""
    address = "127.0.0.2"
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(3):  # its queue is full then, and the kernel says nothing any more
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((address, port))
        yield address


def test_a_dead_first_address_holds_up_neither_calls_nor_the_websocket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a host with IPv6 that leads nowhere sees: its first address is never answered."""
    real = socket.getaddrinfo

    async def act() -> None:
        async with scene(times=PATIENT) as it:
            port = int(it.sim.url.rsplit(":", 1)[1])
            with dead(port) as nobody:

                def both(host: Any, *more: Any, **named: Any) -> Any:
                    if host != NAME:
                        return real(host, *more, **named)
                    return [*real(nobody, *more, **named), *real("127.0.0.1", *more, **named)]

                monkeypatch.setattr(socket, "getaddrinfo", both)
                it.sim.stream.url = f"http://{NAME}:{port}"
                it.channel._api._client.base_url = it.sim.stream.url
                await it.connect()
                assert it.words == ["connecting", "connected"]
                await it.hear()

    asyncio.run(act())


@pytest.mark.parametrize(
    "written",
    [
        {"ALL_PROXY": "http://{}"},
        {"HTTPS_PROXY": "{}"},
        {"HTTPS_PROXY": "http://ann@{}"},
        {"HTTPS_PROXY": "http://{}", "ALL_PROXY": "socks5://127.0.0.1:9"},
    ],
    ids=["all", "no scheme", "no password", "socks beside it"],
)
def test_calls_and_websocket_take_the_same_way(
    authority: Authority,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    written: dict[str, str],
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def act() -> None:
        office = await ConnectProxy().start()
        try:
            for name, value in written.items():
                monkeypatch.setenv(name, value.format(f"127.0.0.1:{office.port}"))
            async with scene(times=PATIENT, tls=authority.serving()) as it:
                await it.connect()
                assert office.targets == [it.sim.url.removeprefix("https://")] * 2
                await it.hear()
        finally:
            await office.close()

    asyncio.run(act())


def test_only_socks_is_no_way_and_no_end(
    authority: Authority,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")

    async def act() -> None:
        async with scene(times=PATIENT, tls=authority.serving()) as it:
            await it.connect()
            await it.hear()

    asyncio.run(act())
    assert caplog.text.count("ALL_PROXY cannot be used") <= 1
