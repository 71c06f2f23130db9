"""Files that an answer names, fetched at once: their links live for minutes (dify-api §7)."""

import contextlib
from collections.abc import AsyncIterator

import httpx

from dod import http
from dod.dify.addresses import Addresses
from dod.errors import FileNotTaken
from dod.ports import Download

_SILENCE = 20.0  # seconds
_HOPS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Fetcher:
    """Never sends the app's key: a link carries its own signature. Thread: the bot's loop."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._client: httpx.AsyncClient | None = None

    @contextlib.asynccontextmanager
    async def fetch(self, address: str) -> AsyncIterator[Download]:
        """Open what stands at ``address``. Raises FileNotTaken."""
        if self._client is None:
            self._client = http.client(read=_SILENCE)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(_HOPS):
                response = await self._get(stack, address)
                if response.status_code not in _REDIRECTS:
                    break
                address = str(response.url.join(response.headers.get("Location", "")))
            if response.status_code != 200:
                status = response.status_code
                raise FileNotTaken(f"HTTP {status}", key="picture_gone", status=status)
            told = response.headers.get("Content-Length", "")
            yield Download(int(told) if told.isdecimal() else -1, _chunks(response))

    async def _get(self, stack: contextlib.AsyncExitStack, address: str) -> httpx.Response:
        url, host = await self._addresses.dial(address)
        client = self._client
        assert client is not None  # noqa: S101  made by ``fetch``
        # What was judged is what is dialled; the name stays in Host and in TLS.
        headers = {"Host": httpx.URL(self._addresses.absolute(address)).netloc.decode("ascii")}
        try:
            return await stack.enter_async_context(
                client.stream(
                    "GET",
                    url,
                    headers={**headers, "Accept-Encoding": "identity"},
                    extensions={"sni_hostname": host},
                )
            )
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise FileNotTaken(f"not fetched ({type(exc).__name__})", key="picture_gone") from exc

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.HTTPError as exc:
        raise FileNotTaken(f"cut off ({type(exc).__name__})", key="picture_gone") from exc
