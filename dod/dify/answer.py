"""One open stream of Dify, read as the events of an answer: its silences, its end, its breaks."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import httpx
from httpx_sse import EventSource, ServerSentEvent

from dod.dify.events import Transcript
from dod.dify.question import Kind
from dod.dify.refusals import trouble
from dod.errors import AnswerCut, ConversationGone, DifyError
from dod.messages import AnswerEvent, Finished

EVENT_LONGEST = 16 * 2**20  # bytes of one line
_RUN_OUT = 0.25  # seconds for the body to end after the terminal event
_TWO_PINGS = 25.0  # seconds in which an app that pings has pinged twice


class Listener:
    """Hears the answers of one app. Seconds as in ``DifyApp``. Thread: the bot's loop only."""

    def __init__(
        self, kind: Kind, output: str, *, timeout: float, first_event: float, linger: float
    ) -> None:
        self._kind = kind
        self._output = output
        self._timeout = timeout
        # A shorter silence proves nothing: the first two pings come after 10 and 20 s.
        self._first_event = min(first_event, max(timeout, _TWO_PINGS))
        self._linger = linger

    async def listen(
        self, response: httpx.Response, *, remembered: bool
    ) -> AsyncGenerator[AnswerEvent, None]:
        """What ``response`` tells; closes it. Read on after ``Finished``: it can be used again."""
        try:
            response.encoding = "utf-8"  # whatever a proxy makes of the header
            response.stream = _Bounded(response.stream)  # type: ignore[arg-type]
            async with contextlib.aclosing(EventSource(response).aiter_sse()) as source:
                answer = self._read(source, remembered=remembered)
                async with contextlib.aclosing(answer) as events:
                    async for event in events:
                        yield event
                with contextlib.suppress(TimeoutError, httpx.HTTPError):
                    async with asyncio.timeout(_RUN_OUT):
                        async for _ in source:
                            pass
        finally:
            await response.aclose()

    async def _read(
        self, source: AsyncIterator[ServerSentEvent], *, remembered: bool
    ) -> AsyncGenerator[AnswerEvent, None]:
        """What one open stream tells, up to ``Finished``."""
        said = Transcript(workflow=self._kind == "workflow", output=self._output)
        now = asyncio.get_running_loop().time
        opened, pings = now(), 0
        until = opened + (self._first_event if remembered else self._timeout)
        ended: Exception | None = None
        while True:
            try:
                async with asyncio.timeout_at(until):
                    event = await anext(source, None)
                if event is None:
                    break
                if not event.data:
                    pings += 1
                    if pings == 2 and not said.started:  # no silent chatflow: that pings once
                        until = opened + self._timeout
                    continue
                lingering = said.ending
                for told in said.read(event.data):
                    yield told
                    if isinstance(told, Finished):
                        return
                if not lingering:
                    until = now() + (self._linger if said.ending else self._timeout)
            except (TimeoutError, httpx.HTTPError, ValueError) as exc:
                ended = exc
                break
        finished = said.close()
        if finished is None:
            raise _broken_off(said, ended, gone=remembered and pings <= 1) from ended
        yield finished


class _Bounded(httpx.AsyncByteStream):
    """A response body that ends in an error rather than in a line without end."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0  # bytes of the line so far
        async for chunk in self._stream:
            start = chunk.rfind(b"\n")
            length = length + len(chunk) if start < 0 else len(chunk) - start - 1
            if length > EVENT_LONGEST:
                raise httpx.DecodingError(f"an event of more than {EVENT_LONGEST} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _broken_off(said: Transcript, exc: Exception | None, *, gone: bool) -> DifyError:
    """The stream ended without its terminal event; ``exc`` is None if its body ended in order."""
    silent = isinstance(exc, TimeoutError | httpx.TimeoutException)
    if gone and not said.started and (silent or exc is None):
        return ConversationGone("no event on a remembered conversation")
    key = "dify_timeout" if silent else "dify_cut"
    detail = repr(exc) if exc else "end of body"
    if not said.started or (silent and not said.spoke):
        return trouble(key, detail)
    return AnswerCut(detail, key=key, retry=True)
