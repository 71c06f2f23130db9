"""The one place that makes httpx clients: proxies, timeouts, limits, pools."""

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
        self._proxied: dict[str, httpx.AsyncBaseTransport] = {}

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
        for way in (self._straight, *self._proxied.values()):
            await way.aclose()


def _through(proxy: str) -> httpx.AsyncBaseTransport:
    tls = authorities.ours.tls()
    own = tls if proxy.startswith("https:") else None
    return httpx.AsyncHTTPTransport(
        verify=tls, limits=LIMITS, proxy=httpx.Proxy(proxy, ssl_context=own)
    )


class Pools(httpx.AsyncBaseTransport):
    """Several connection pools side by side; a request takes the one with the least under way.

    httpcore asks the kernel about every idle connection of a pool at each request and each answer:
    50 calls at once on one pool cost 250 ms of CPU, on these 65 ms (200: 1,300 and 330 ms).
    Who calls one at a time stays on the first pool and so on one connection. A pool looks after
    its idle connections only when it is used, so one that is used no more after ``idle`` seconds is
    closed, the last one first. After a sleep of the host nobody knows whether the peers of idle
    connections are still there, and the first call by each would wait in vain: they are closed.
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
        self._idle = idle
        self._wall = wall
        self._ahead = wall() - time.monotonic()
        self._used: list[float] = []  # monotonic, by pool
        self._pools: list[httpx.AsyncBaseTransport] = []
        self._busy: list[int] = [0] * count

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._forget_after_sleep()
        number = min(range(len(self._busy)), key=self._busy.__getitem__)
        while number >= len(self._pools):
            self._pools.append(self._make())
            self._used.append(0.0)
        self._busy[number] += 1
        self._used[number] = time.monotonic()
        try:
            await self._close_idle()
            response = await self._pools[number].handle_async_request(request)
        except BaseException:
            self._busy[number] -= 1
            raise
        response.stream = _Counted(response, functools.partial(self._free, number))
        return response

    async def _forget_after_sleep(self) -> None:
        before, self._ahead = self._ahead, self._wall() - time.monotonic()
        if self._ahead - before < SLEPT:
            return
        old = []
        for number in range(len(self._pools)):
            if not self._busy[number]:
                old.append(self._pools[number])
                self._pools[number] = self._make()
        for pool in old:
            await pool.aclose()

    async def _close_idle(self) -> None:
        last = len(self._pools) - 1
        if last and not self._busy[last] and time.monotonic() - self._used[last] > self._idle:
            self._used.pop()
            await self._pools.pop().aclose()

    def _free(self, number: int) -> None:
        self._busy[number] -= 1
        self._used[number] = time.monotonic()

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


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
        if done is not None:
            done()
        await self._stream.aclose()
        response, self._response = self._response, None
        if response is not None:
            response.stream = _OVER


_OVER = httpx.ByteStream(b"")
