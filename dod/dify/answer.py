"""One open stream of Dify, read as the events of an answer: its silences, its end, its breaks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import httpx
from httpx_sse import EventSource, ServerSentEvent

from dod.dify.events import Transcript
from dod.dify.question import Kind, user_of
from dod.dify.refusals import NO_JSON, trouble
from dod.errors import AnswerCut, ConversationGone, DifyError
from dod.messages import AnswerEvent, Finished, Question

EVENT_LONGEST = 16 * 2**20  # bytes of one line
_RUN_OUT = 0.25  # seconds for the body to end after the terminal event

log = logging.getLogger(__name__)


class Listener:
    """Hears the answers of one app. Seconds as in ``DifyApp``. Thread: the bot's loop only.

    ``knows``: asks Dify whether a user has a conversation, see ``Asides``.
    """

    def __init__(
        self,
        kind: Kind,
        output: str,
        *,
        timeout: float,
        first_event: float,
        linger: float,
        knows: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._kind = kind
        self._output = output
        self._timeout = timeout
        self._first_event = first_event
        self._linger = linger
        self._knows = knows

    async def listen(
        self, response: httpx.Response, question: Question
    ) -> AsyncGenerator[AnswerEvent, None]:
        """What ``response`` tells; closes it. Read on after ``Finished``: it can be used again."""
        try:
            response.encoding = "utf-8"  # whatever a proxy makes of the header
            response.stream = _Bounded(response.stream)  # type: ignore[arg-type]
            async with contextlib.aclosing(EventSource(response).aiter_sse()) as source:
                answer = self._read(source, question)
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
        self, source: AsyncIterator[ServerSentEvent], question: Question
    ) -> AsyncGenerator[AnswerEvent, None]:
        """What one open stream tells, up to ``Finished``."""
        said = Transcript(workflow=self._kind == "workflow", output=self._output)
        now = asyncio.get_running_loop().time
        until = now() + self._timeout
        ended: Exception | None = None
        reading = self._first(source, question)
        while True:
            try:
                async with asyncio.timeout_at(until):
                    event = await reading
                if event is None:
                    break
                lingering = said.ending
                for told in said.read(event.data):
                    yield told
                    if isinstance(told, Finished):
                        return
                if not lingering:
                    until = now() + (self._linger if said.ending else self._timeout)
                reading = _next(source)
            except (TimeoutError, httpx.HTTPError, *NO_JSON) as exc:
                ended = exc
                break
        finished = said.close()
        if finished is None:
            silent = isinstance(ended, TimeoutError | httpx.TimeoutException)
            if not said.started and (silent or ended is None):
                await self._check(question, unsure=True)
            raise _broken_off(said, ended, silent=silent) from ended
        yield finished

    async def _first(
        self, source: AsyncIterator[ServerSentEvent], question: Question
    ) -> ServerSentEvent | None:
        """The first event. While it does not come, Dify is asked once what it still knows."""
        if not question.conversation_id:
            return await _next(source)
        reading = asyncio.create_task(_next(source), name="first event")
        try:
            await asyncio.wait({reading}, timeout=self._first_event)
            if not reading.done():
                await self._check(question, unsure=False)
            return await reading
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait({reading})

    async def _check(self, question: Question, *, unsure: bool) -> None:
        """Raise ConversationGone if Dify says that it does not know the question's conversation.

        Silence alone proves nothing: a worker may be busy, and a proxy may have ended the stream.
        ``unsure``: nor is there an answer, and silence has to do where the address passes on
        questions alone.
        """
        if not question.conversation_id:
            return
        try:
            known = await self._knows(question.conversation_id, user_of(question.user))
        except DifyError as error:
            log.info("dify does not say whether it knows a conversation that is silent: %s", error)
            known = not (unsure and error.key == "dify_not_found")
        if not known:
            raise ConversationGone("no event on a remembered conversation")


async def _next(source: AsyncIterator[ServerSentEvent]) -> ServerSentEvent | None:
    """The next event with data: no ping. None at the end of the body."""
    async for event in source:
        if event.data:
            return event
    return None


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


def _broken_off(said: Transcript, exc: Exception | None, *, silent: bool) -> DifyError:
    """The stream ended without its terminal event; ``exc`` is None if its body ended in order."""
    key = "dify_timeout" if silent else "dify_cut"
    detail = repr(exc) if exc else "end of body"
    if not said.started or (silent and not said.spoke):
        return trouble(key, detail)
    return AnswerCut(detail, key=key, retry=True)
