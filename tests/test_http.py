"""Clients of the house, against a real server."""

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import ClassVar

import httpx
import pytest
from aiohttp import web

from dod import authorities, http
from dod.http import Pools


class Server:
    """Counts connections; ``/slow`` answers when told to."""

    def __init__(self) -> None:
        self.peers: set[object] = set()
        self.gate = asyncio.Event()
        self.waiting = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        if request.path == "/slow":
            self.waiting += 1
            await self.gate.wait()
        return web.json_response({"path": request.path})


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = "http://127.0.0.1:{1}".format(*runner.addresses[0])
    try:
        yield server
    finally:
        await runner.cleanup()


def run(scenario: Callable[[Server, httpx.AsyncClient], Awaitable[None]]) -> None:
    async def scene() -> None:
        async with serving() as server, http.client(server.url) as client:
            await scenario(server, client)

    asyncio.run(scene())


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_one_call_at_a_time_stays_on_one_connection() -> None:
    async def scenario(server: Server, client: httpx.AsyncClient) -> None:
        for _ in range(10):
            assert (await client.get("/")).json() == {"path": "/"}
        assert len(server.peers) == 1

    run(scenario)


def test_many_at_once_are_all_answered_and_their_connections_used_again() -> None:
    async def scenario(server: Server, client: httpx.AsyncClient) -> None:
        calls = [asyncio.create_task(client.get("/slow")) for _ in range(100)]
        async with asyncio.timeout(20):
            while server.waiting < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        server.gate.set()
        assert {(await call).status_code for call in calls} == {200}
        assert len(server.peers) == 100
        await asyncio.gather(*(client.get("/slow") for _ in range(100)))
        assert len(server.peers) == 100

    run(scenario)


def test_what_only_a_crowd_needed_is_closed_again() -> None:
    """One who asks now and then uses the first pool alone: nobody would look after the others."""

    async def scenario(server: Server, client: httpx.AsyncClient) -> None:
        pools = client._transport
        assert isinstance(pools, http.Pools)
        pools._idle = -1.0
        calls = [asyncio.create_task(client.get("/slow")) for _ in range(8)]
        async with asyncio.timeout(20):
            while server.waiting < 8:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert len(pools._pools) == 8
        server.gate.set()
        await asyncio.gather(*calls)
        for _ in range(10):
            assert (await client.get("/")).status_code == 200
        assert len(pools._pools) == 1

    run(scenario)


@pytest.mark.parametrize(("asleep", "connections"), [(3600.0, 2), (5.0, 1), (-3600.0, 1)])
def test_what_was_idle_while_the_host_slept_is_not_used_again(
    asleep: float, connections: int
) -> None:
    clock = [1_700_000_000.0]

    async def scene() -> None:
        async with serving() as server:
            pools = Pools(httpx.AsyncHTTPTransport, wall=lambda: clock[0] + time.monotonic())
            async with httpx.AsyncClient(transport=pools) as client:
                for _ in range(3):
                    await client.get(server.url)
                assert len(server.peers) == 1
                clock[0] += asleep
                for _ in range(3):
                    await client.get(server.url)
                assert len(server.peers) == connections

    asyncio.run(scene())


class Watched(httpx.AsyncHTTPTransport):
    """``closed``: those whose closing, which takes a while, came to its end."""

    made: ClassVar[list["Watched"]] = []
    closed: ClassVar[list["Watched"]] = []

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)

    async def aclose(self) -> None:
        await asyncio.sleep(0.01)
        await super().aclose()
        self.closed.append(self)


@pytest.fixture
def watched() -> Iterator[type[Watched]]:
    yield Watched
    Watched.made.clear()
    Watched.closed.clear()


def test_a_pool_that_was_busy_at_a_sleep_gets_no_new_request_and_ends_with_its_last_answer(
    watched: type[Watched],
) -> None:
    clock = [1_700_000_000.0]

    async def scene() -> None:
        async with serving() as server:
            pools = Pools(watched, 1, wall=lambda: clock[0] + time.monotonic())
            async with httpx.AsyncClient(transport=pools, base_url=server.url) as client:
                slow = asyncio.create_task(client.get("/slow"))
                await client.get("/")  # leaves an idle connection in the busy pool
                async with asyncio.timeout(20):
                    while not server.waiting:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                clock[0] += 3600.0
                await client.get("/")
                assert len(watched.made) == 2
                assert len(server.peers) == 3
                assert not pools._closing
                server.gate.set()
                assert (await slow).status_code == 200
                await asyncio.wait(pools._closing)
                assert watched.closed == watched.made[:1]
            assert watched.closed == watched.made

    asyncio.run(scene())


@pytest.mark.parametrize("when", ["after a sleep", "at the end"])
def test_who_is_cancelled_while_pools_are_closed_leaves_none_open(
    watched: type[Watched], when: str
) -> None:
    clock = [1_700_000_000.0]

    async def scene() -> None:
        async with serving() as server:
            pools = Pools(watched, wall=lambda: clock[0] + time.monotonic())
            server.gate.set()
            async with httpx.AsyncClient(transport=pools, base_url=server.url) as client:
                await asyncio.gather(*(client.get("/slow") for _ in range(4)))
                assert len(watched.made) == 4
                clock[0] += 3600.0
                do = client.get("/") if when == "after a sleep" else client.aclose()
                cancelled = asyncio.create_task(do)
                await asyncio.sleep(0)
                cancelled.cancel()
                await asyncio.wait({cancelled})
                assert cancelled.cancelled()
                await asyncio.wait(pools._closing)
                assert set(watched.closed) >= set(watched.made[:4])

    asyncio.run(scene())


def test_a_call_that_fails_or_is_cancelled_leaves_no_place_behind() -> None:
    async def scenario(server: Server, client: httpx.AsyncClient) -> None:
        pools = client._transport
        assert isinstance(pools, http.Pools)
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
        call = asyncio.create_task(client.get("/slow"))
        async with asyncio.timeout(20):
            while not server.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        call.cancel()
        await asyncio.wait({call})
        async with client.stream("GET", "/") as response:
            assert response.status_code == 200
            assert sum(pool.busy for pool in pools._pools) == 1
        assert sum(pool.busy for pool in pools._pools) == 0
        server.gate.set()

    run(scenario)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with serving() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            async with http.client("http://dify.invalid/v1") as client:
                assert (await client.get("/info")).json()["path"].endswith("/info")
            assert len(proxy.peers) == 1

    asyncio.run(scene())


def test_an_address_that_was_looked_up_goes_the_way_of_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NO_PROXY names the host; what is dialled is the address that was judged."""

    async def scene() -> None:
        async with serving() as proxy, serving() as server:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", "pictures.test")
            async with http.client() as client:
                named = {"sni_hostname": "pictures.test"}
                assert (await client.get(server.url, extensions=named)).status_code == 200
            assert (len(proxy.peers), len(server.peers)) == (0, 1)

    asyncio.run(scene())


def test_who_begins_at_once_shares_one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ssl.SSLContext] = []
    both = threading.Barrier(2)

    def slow() -> ssl.SSLContext:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.05)  # a second one, if it is let in
        made.append(ssl.create_default_context())
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", slow)
    trusted = authorities.Authorities()
    threads = [threading.Thread(target=trusted.tls) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
