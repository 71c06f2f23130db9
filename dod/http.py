"""The one place that makes httpx clients: proxies, timeouts, limits, pools."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable

import httpx

import dod
from dod import authorities, proxies, sockets

log = logging.getLogger(__name__)

# None, None: the defaults (100 connections, pool time-out) would end 200 turns in PoolTimeout.
# 90 s: people ask again within a minute or so, and need no new TLS handshake then.
KEEPALIVE = 90.0
LIMITS = httpx.Limits(
    max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE
)
POOLS = 16
IDLE = 90.0  # seconds after which a pool that only a crowd needed is closed
SLEPT = 15.0  # seconds by which the wall clock must run ahead of the monotonic one


def client(
    base_url: str = "", *, read: float = 15.0, headers: dict[str, str] | None = None
) -> httpx.AsyncClient:
    """An httpx client of the house. ``read``: seconds of silence before a call is given up."""
    return httpx.AsyncClient(
        base_url=base_url,
        verify=authorities.ours.tls(),
        limits=LIMITS,
        transport=_Ways() if proxies.proxies() else Pools(_Transport),
        timeout=httpx.Timeout(10.0, read=read, pool=None),
        headers={"User-Agent": f"dod/{dod.__version__}", **(headers or {})},
        follow_redirects=False,
    )


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own on our sockets: it names no way to choose them."""

    def __init__(self) -> None:
        self._pool = sockets.pool(authorities.ours.tls(), keepalive=KEEPALIVE)


class _Ways(httpx.AsyncBaseTransport):
    """Straight there, or through the proxy that leads there; see ``proxies``."""

    def __init__(self) -> None:
        self._straight = Pools(_Transport)
        self._proxied: dict[str, Pools] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        # Who dials an address that was judged by its name goes the way of the name.
        host = request.extensions.get("sni_hostname", url.host)
        proxy = proxies.proxy_for(url.scheme, host, url.port)
        if proxy is None:
            return await self._straight.handle_async_request(request)
        if proxy not in self._proxied:
            self._proxied[proxy] = Pools(functools.partial(_through, proxy))
        return await self._proxied[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        ways = (self._straight, *self._proxied.values())
        for way in ways:  # all of them, even if a cancellation ends the waiting
            way.let_go()
        for way in ways:
            await way.aclose()


def _through(proxy: str) -> httpx.AsyncBaseTransport:
    tls = authorities.ours.tls()
    own = tls if proxy.startswith("https:") else None
    return httpx.AsyncHTTPTransport(
        verify=tls, limits=LIMITS, proxy=httpx.Proxy(proxy, ssl_context=own)
    )


class _Pool:
    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.busy = 0  # answers under way
        self.used = 0.0  # monotonic


class Pools(httpx.AsyncBaseTransport):
    """Several connection pools side by side; a request takes the one with the least under way.

    httpcore asks the kernel about every idle connection of a pool at each request and each answer:
    50 calls at once on one pool cost 250 ms of CPU, on these 65 ms (200: 1,300 and 330 ms).
    Who calls one at a time stays on the first pool and so on one connection. A pool looks after
    its idle connections only when it is used, so one that is used no more after ``idle`` seconds is
    closed, the last one first. After a sleep of the host nobody knows whether the peers of idle
    connections are still there, and the first call by each would wait in vain: no pool of before is
    given another request, and each is closed when its last answer ends. So it is when
    authorities are renewed, whom the pools of before do not know.
    ``wall``: the local clock, epoch seconds; one that is set looks like a sleep.
    """

    def __init__(
        self,
        make: Callable[[], httpx.AsyncBaseTransport],
        count: int = POOLS,
        *,
        idle: float = IDLE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._make = make
        self._count = count
        self._idle = idle
        self._wall = wall
        self._ahead = wall() - time.monotonic()
        self._trusted = authorities.ours.generation
        self._pools: list[_Pool] = []
        self._old: set[_Pool] = set()  # with answers under way
        self._closing: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._retire()
        pool = self._least_busy()
        pool.busy += 1
        pool.used = time.monotonic()
        self._close_idle()
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            self._free(pool)
            raise
        response.stream = _Counted(response, functools.partial(self._free, pool))
        return response

    def let_go(self) -> None:
        """Begin to close all, also what is busy."""
        for pool in (*self._pools, *self._old):
            self._close(pool)
        self._pools.clear()
        self._old.clear()

    async def aclose(self) -> None:
        self.let_go()
        if self._closing:
            await asyncio.wait(self._closing)

    def _least_busy(self) -> _Pool:
        pool = min(self._pools, key=lambda it: it.busy, default=None)
        if pool is None or (pool.busy and len(self._pools) < self._count):
            pool = _Pool(self._make())
            self._pools.append(pool)
        return pool

    def _retire(self) -> None:
        ahead, self._ahead = self._ahead, self._wall() - time.monotonic()
        trusted, self._trusted = self._trusted, authorities.ours.generation
        if self._ahead - ahead < SLEPT and self._trusted == trusted:
            return
        pools, self._pools = self._pools, []
        for pool in pools:
            if pool.busy:
                self._old.add(pool)
            else:
                self._close(pool)

    def _close_idle(self) -> None:
        last = self._pools[-1]
        unused = time.monotonic() - last.used
        if len(self._pools) > 1 and not last.busy and unused > self._idle:
            self._close(self._pools.pop())

    def _free(self, pool: _Pool) -> None:
        pool.busy -= 1
        pool.used = time.monotonic()
        if pool in self._old and not pool.busy:
            self._old.remove(pool)
            self._close(pool)

    def _close(self, pool: _Pool) -> None:
        """In a task of its own: whoever is cancelled meanwhile would leave connections open."""
        closing = asyncio.create_task(pool.transport.aclose(), name="close pool")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


class _Counted(httpx.AsyncByteStream):
    """A response body that says once when it is done with, and lets go of its response then.

    httpx lays a stream over it that knows its response, which knows that stream: some fifty objects
    for each call that only the collector would end.
    """

    def __init__(self, response: httpx.Response, done: Callable[[], None]) -> None:
        stream = response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gives asynchronous streams")
        self._stream = stream
        self._response: httpx.Response | None = response
        self._done: Callable[[], None] | None = done

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        done, self._done = self._done, None
        try:
            await self._stream.aclose()
        finally:
            if done is not None:
                done()
        response, self._response = self._response, None
        if response is not None:
            response.stream = _OVER


_OVER = httpx.ByteStream(b"")
