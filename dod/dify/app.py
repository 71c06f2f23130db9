"""One Dify app over HTTP: asks, streams the answer, stops it. Implements ``dod.ports.App``.

Always streaming: the one mode that every kind of app and every version serves (dify-api §1).
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, ServerSentEvent

from dod import http
from dod.dify.addresses import Addresses
from dod.dify.asides import Asides
from dod.dify.events import Transcript
from dod.dify.fetch import Fetcher
from dod.dify.ratings import rate
from dod.dify.refusals import refused, trouble
from dod.dify.uploads import Uploads
from dod.errors import AnswerCut, ConversationGone, DifyError
from dod.messages import (
    Abilities,
    AnswerEvent,
    Finished,
    Parameters,
    Question,
    Rating,
    UploadedFile,
    Waiting,
    digest,
)
from dod.ports import App, Download, Json

log = logging.getLogger(__name__)

# kind of app: where to ask, and where to stop a task (dify-api §1)
_PATHS = {
    "chatbot": ("/chat-messages", "/chat-messages/{}/stop"),
    "completion": ("/completion-messages", "/completion-messages/{}/stop"),
    "workflow": ("/workflows/run", "/workflows/tasks/{}/stop"),
}
_USER_LONGEST = 255  # characters; more is answered with HTTP 500
_EVENT_LONGEST = 16 * 2**20  # bytes of one line
_REFUSAL_LONGEST = 64 * 2**10  # bytes of a refusal that are read
_STOP_TIMEOUT = 5.0  # seconds
_RUN_OUT = 0.25  # seconds for the body to end after the terminal event

# Nothing has been said, and Dify has not begun: asking again stores nothing twice. A share of the
# patience each: where nothing listens the address may be wrong, and people should hear of it.
_ASK_AGAIN = {"dify_unreachable": 1 / 3, "dify_gateway": 1.0, "dify_overloaded": 1.0}
_AT_ONCE = 10.0  # seconds; a gateway that takes longer to fail may have passed the question on


# identity: a proxy that compresses a stream holds it back
_HEADERS = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}


class DifyApp:
    """One app of one Dify.

    ``url`` ends in /v1. Seconds: ``timeout`` longest silence, pings not counted; ``first_event``
    silence at the start of a remembered conversation, after which Dify is asked whether it still
    knows it (the silent chatflow of 1.13, dify-api §2); ``linger`` how long a chatflow's second
    terminal event is waited for; ``pauses`` before asking an overloaded Dify again (each ± half),
    none of which begins after ``patience``.

    Lifecycle: made without I/O → ``ask`` and ``stop``, any number at once → ``aclose``.
    Thread: the bot's loop only.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        app_type: Literal["chatbot", "completion", "workflow"],
        output: str = "",
        timeout: float = 300.0,
        first_event: float = 10.0,
        linger: float = 1.5,
        pauses: tuple[float, ...] = (0.4, 1.2, 3.0, 6.0, 9.0, 12.0, 15.0),
        patience: float = 45.0,
    ) -> None:
        self._app_type = app_type
        self._output = output
        self._timeout = timeout
        self._first_event = first_event
        self._linger = linger
        self._pauses = pauses
        self._patience = patience
        self._fingerprint = digest(url, key)
        # Silence is measured here, event by event; httpx only ends what would never end.
        # A key with characters that no header can carry is a wrong key: Dify shall say so.
        sendable = "".join(char if "!" <= char <= "~" else "?" for char in key)
        self._client = http.client(
            url, read=timeout + 30.0, headers={"Authorization": f"Bearer {sendable or '?'}"}
        )
        self._uploads = Uploads(self._client)
        self._addresses = Addresses(url)
        self._fetcher = Fetcher(self._addresses)
        self._asides = Asides(self._client, app_type)

    @property
    def fingerprint(self) -> str:
        """Names URL and key."""
        return self._fingerprint

    async def ask(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Stream the answer (see the port). Asks again only before Dify's first data event.

        ``Started`` has no task id where the answer begins with an error. Read on after
        ``Finished``: that lets the connection be used again.
        """
        response: httpx.Response | None = None
        async with contextlib.aclosing(self._knock(question)) as steps:
            async for step in steps:
                if isinstance(step, Waiting):
                    yield step
                else:
                    response = step
        if response is None:
            return
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

    async def stop(self, task_id: str, user: str) -> None:
        """Ask Dify to end a task of ``user``; says nothing about whether there was one."""
        if not task_id:
            return
        path = _PATHS[self._app_type][1].format(quote(task_id, safe=""))
        try:
            response = await self._client.post(
                path, json={"user": _user(user)}, timeout=_STOP_TIMEOUT
            )
        except httpx.HTTPError as exc:
            raise _no_answer(exc) from exc
        if not response.is_success:
            raise refused(response.status_code, response.content, app_type=self._app_type)

    async def rate(self, message_id: str, rating: Rating, user: str, comment: str = "") -> None:
        await rate(self._client, message_id, rating, _user(user), comment)

    async def abilities(self) -> Abilities:
        return await self._asides.abilities()

    async def upload(self, name: str, media: str, file: Download, user: str) -> str:
        return await self._uploads.upload(name, media, file, _user(user))

    async def transcribe(self, name: str, media: str, file: Download, user: str) -> str:
        return await self._uploads.transcribe(name, media, file, _user(user))

    def must_fetch(self, address: str) -> bool:
        return self._addresses.must_fetch(address)

    def fetch(self, address: str) -> AbstractAsyncContextManager[Download]:
        return self._fetcher.fetch(address)

    async def parameters(self) -> Parameters:
        """What the app says of itself (see the port)."""
        return await self._asides.parameters()

    async def suggested(self, message_id: str, user: str) -> tuple[str, ...]:
        """Questions that may come after this answer (see the port)."""
        return await self._asides.suggested(message_id, _user(user))

    async def aclose(self) -> None:
        """Close the clients and what is still streaming. Idempotent."""
        await self._fetcher.aclose()
        await self._client.aclose()

    def _body(self, question: Question) -> Json:
        fields = {name: _as_input(held) for name, held in question.fields.items()}
        body: Json = {
            "inputs": {**question.inputs, **fields},
            "user": _user(question.user),
            "response_mode": "streaming",
        }
        if question.files:
            body["files"] = [_as_file(file) for file in question.files]
        if self._app_type == "chatbot":
            body["query"] = question.text
            # Else the first turn's stream stays open until a title is written (dify-api §2).
            body["auto_generate_name"] = False
            if question.conversation_id:
                body["conversation_id"] = question.conversation_id
        return body

    async def _knock(self, question: Question) -> AsyncGenerator[Waiting | httpx.Response, None]:
        """The streaming response, asked for again after each pause where that is safe."""
        body = self._body(question)
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
        """One attempt; more only while kept connections turn out to be closed already."""
        while True:
            dialled = False

            async def trace(event: str, _info: Any) -> None:
                nonlocal dialled
                dialled = dialled or event.endswith("connect_tcp.started")

            request = self._client.build_request(
                "POST",
                _PATHS[self._app_type][0],
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
                if dialled:
                    raise _no_answer(exc) from exc
            except httpx.HTTPError as exc:
                raise _no_answer(exc) from exc
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
                async with asyncio.timeout(_STOP_TIMEOUT):
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > _REFUSAL_LONGEST:
                            break
        finally:
            await response.aclose()
        raise refused(response.status_code, bytes(body), app_type=self._app_type)

    async def _read(
        self, source: AsyncIterator[ServerSentEvent], question: Question
    ) -> AsyncGenerator[AnswerEvent, None]:
        """What one open stream tells, up to ``Finished``."""
        said = Transcript(workflow=self._app_type == "workflow", output=self._output)
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
            except (TimeoutError, httpx.HTTPError, ValueError) as exc:
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
            known = await self._asides.knows(question.conversation_id, _user(question.user))
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
            if length > _EVENT_LONGEST:
                raise httpx.DecodingError(f"an event of more than {_EVENT_LONGEST} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _as_file(file: UploadedFile) -> Json:
    return {"type": file.kind, "transfer_method": "local_file", "upload_file_id": file.id}


def _as_input(held: UploadedFile | tuple[UploadedFile, ...]) -> Json | list[Json]:
    if isinstance(held, UploadedFile):
        return _as_file(held)
    return [_as_file(file) for file in held]


def _user(user: str) -> str:
    return user if len(user) <= _USER_LONGEST else digest(user)


def _no_answer(exc: httpx.HTTPError) -> DifyError:
    """Nothing came back: refused, unknown host, no route, or broken before the first byte."""
    if isinstance(exc, httpx.ReadTimeout | httpx.WriteTimeout):
        return trouble("dify_timeout", repr(exc))
    begun = isinstance(exc, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError)
    return trouble("dify_cut" if begun else "dify_unreachable", repr(exc))


def _broken_off(said: Transcript, exc: Exception | None, *, silent: bool) -> DifyError:
    """The stream ended without its terminal event; ``exc`` is None if its body ended in order."""
    key = "dify_timeout" if silent else "dify_cut"
    detail = repr(exc) if exc else "end of body"
    if not said.started or (silent and not said.spoke):
        return trouble(key, detail)
    return AnswerCut(detail, key=key, retry=True)


_: type[App] = DifyApp
