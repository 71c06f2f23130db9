"""Where questions go in: asks until Dify opens its stream, again only if nothing was said yet."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from dod.dify.question import Kind
from dod.dify.refusals import refused, trouble
from dod.errors import DifyError
from dod.messages import Waiting
from dod.ports import Json

log = logging.getLogger(__name__)

# kind of app: where to ask (dify-api §1)
_PATHS: dict[Kind, str] = {
    "chatbot": "/chat-messages",
    "completion": "/completion-messages",
    "workflow": "/workflows/run",
}
_REFUSAL_LONGEST = 64 * 2**10  # bytes of a refusal that are read
_REFUSAL_TIMEOUT = 5.0  # seconds

# Nothing has been said, and Dify has not begun: asking again stores nothing twice. A share of the
# patience each: where nothing listens the address may be wrong, and people should hear of it.
_ASK_AGAIN = {"dify_unreachable": 1 / 3, "dify_gateway": 1.0, "dify_overloaded": 1.0}
_AT_ONCE = 10.0  # seconds; a gateway that takes longer to fail may have passed the question on


# identity: a proxy that compresses a stream holds it back
_HEADERS = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}


class Door:
    """The place where one app is asked. Seconds: ``timeout`` until it opens; see ``DifyApp``.

    Thread: the bot's loop only; any number may knock at once.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        kind: Kind,
        *,
        timeout: float,
        pauses: tuple[float, ...],
        patience: float,
    ) -> None:
        self._client = client
        self._kind: Kind = kind
        self._timeout = timeout
        self._pauses = pauses
        self._patience = patience

    async def knock(self, body: Json) -> AsyncGenerator[Waiting | httpx.Response, None]:
        """The streaming response, asked for again after each pause where that is safe."""
        began = time.monotonic()
        for pause in (*self._pauses, None):
            asked = time.monotonic()
            try:
                response = await self._send(body)
            except DifyError as exc:
                now = time.monotonic()
                if pause is None or not self._worth(exc, now - began, now - asked):
                    raise
                log.debug("asking dify again error=%s", exc)
            else:
                yield response
                return
            yield Waiting(now - began)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  jitter

    def _worth(self, error: DifyError, since: float, took: float) -> bool:
        """Whether to ask again; seconds ``since`` the first time, and that the last one took."""
        if since >= self._patience * _ASK_AGAIN.get(error.key, 0.0):
            return False
        return error.key != "dify_gateway" or took < _AT_ONCE

    async def _send(self, body: Json) -> httpx.Response:
        """One attempt; more only while kept connections turn out to be closed already.

        A workflow is not asked again even so: a Dify that dies with the question in its hands looks
        the same, and a workflow has effects.
        """
        while True:
            dialled = False

            async def trace(event: str, _info: Any) -> None:
                nonlocal dialled
                dialled = dialled or event.endswith("connect_tcp.started")

            request = self._client.build_request(
                "POST",
                _PATHS[self._kind],
                json=body,
                headers=_HEADERS,
                extensions={"trace": trace},
            )
            try:
                async with asyncio.timeout(self._timeout):
                    response = await self._client.send(request, stream=True)
            except TimeoutError as exc:
                raise trouble("dify_timeout", "no response") from exc
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as exc:
                if dialled or self._kind == "workflow":
                    raise no_answer(exc) from exc
            except httpx.HTTPError as exc:
                raise no_answer(exc) from exc
            else:
                return await self._accepted(response)

    async def _accepted(self, response: httpx.Response) -> httpx.Response:
        """``response`` if it is a stream; raises what it says otherwise."""
        media = response.headers.get("content-type", "")
        if response.status_code == 200 and media.startswith("text/event-stream"):
            return response
        body = bytearray()
        try:
            with contextlib.suppress(TimeoutError, httpx.HTTPError):
                async with asyncio.timeout(_REFUSAL_TIMEOUT):
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > _REFUSAL_LONGEST:
                            break
        finally:
            await response.aclose()
        raise refused(response.status_code, bytes(body), app_type=self._kind)


def no_answer(exc: httpx.HTTPError) -> DifyError:
    """Nothing came back: refused, unknown host, no route, or broken before the first byte."""
    if isinstance(exc, httpx.ReadTimeout | httpx.WriteTimeout):
        return trouble("dify_timeout", repr(exc))
    begun = isinstance(exc, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)
    return trouble("dify_cut" if begun else "dify_unreachable", repr(exc))
