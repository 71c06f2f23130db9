"""One Dify app over HTTP: asks, streams the answer, stops it. Implements ``dod.ports.App``.

Always streaming: the one mode that every kind of app and every version serves (dify-api §1).
"""

import contextlib
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote

import httpx

from dod import http
from dod.dify.addresses import Addresses
from dod.dify.answer import Listener
from dod.dify.asides import Asides
from dod.dify.door import Door, no_answer
from dod.dify.fetch import Fetcher
from dod.dify.question import Kind, body_of, user_of
from dod.dify.ratings import rate
from dod.dify.refusals import refused
from dod.dify.uploads import Uploads
from dod.messages import (
    Abilities,
    AnswerEvent,
    Parameters,
    Question,
    Rating,
    Waiting,
    digest,
)
from dod.ports import App, Download

# kind of app: where to stop a task (dify-api §1)
STOPS: dict[Kind, str] = {
    "chatbot": "/chat-messages/{}/stop",
    "completion": "/completion-messages/{}/stop",
    "workflow": "/workflows/tasks/{}/stop",
}
_STOP_TIMEOUT = 5.0  # seconds


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
        app_type: Kind,
        output: str = "",
        timeout: float = 300.0,
        first_event: float = 10.0,
        linger: float = 1.5,
        pauses: tuple[float, ...] = (0.4, 1.2, 3.0, 6.0, 9.0, 12.0, 15.0),
        patience: float = 45.0,
    ) -> None:
        self._kind: Kind = app_type
        self._fingerprint = digest(url, key)
        # Silence is measured by the listener; httpx only ends what would never end.
        self._client = http.client(url, read=timeout + 30.0, headers=authorization(key))
        self._door = Door(self._client, app_type, timeout=timeout, pauses=pauses, patience=patience)
        self._asides = Asides(self._client, app_type)
        self._listener = Listener(
            app_type,
            output,
            timeout=timeout,
            first_event=first_event,
            linger=linger,
            knows=self._asides.knows,
        )
        self._uploads = Uploads(self._client)
        self._addresses = Addresses(url)
        self._fetcher = Fetcher(self._addresses)

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
        knocking = self._door.knock(body_of(question, self._kind))
        async with contextlib.aclosing(knocking) as steps:
            async for step in steps:
                if isinstance(step, Waiting):
                    yield step
                else:
                    response = step
        if response is None:
            return
        answer = self._listener.listen(response, question)
        async with contextlib.aclosing(answer) as events:
            async for event in events:
                yield event

    async def stop(self, task_id: str, user: str) -> None:
        """Ask Dify to end a task of ``user``; says nothing about whether there was one."""
        if not task_id:
            return
        path = STOPS[self._kind].format(quote(task_id, safe=""))
        try:
            response = await self._client.post(
                path, json={"user": user_of(user)}, timeout=_STOP_TIMEOUT
            )
        except httpx.HTTPError as exc:
            raise no_answer(exc) from exc
        if not response.is_success:
            raise refused(response.status_code, response.content, app_type=self._kind)

    async def rate(self, message_id: str, rating: Rating, user: str, comment: str = "") -> None:
        await rate(self._client, message_id, rating, user_of(user), comment)

    async def abilities(self) -> Abilities:
        return await self._asides.abilities()

    async def upload(self, name: str, media: str, file: Download, user: str) -> str:
        return await self._uploads.upload(name, media, file, user_of(user))

    async def transcribe(self, name: str, media: str, file: Download, user: str) -> str:
        return await self._uploads.transcribe(name, media, file, user_of(user))

    def must_fetch(self, address: str) -> bool:
        return self._addresses.must_fetch(address)

    def fetch(self, address: str) -> AbstractAsyncContextManager[Download]:
        return self._fetcher.fetch(address)

    async def parameters(self) -> Parameters:
        """What the app says of itself (see the port)."""
        return await self._asides.parameters()

    async def suggested(self, message_id: str, user: str) -> tuple[str, ...]:
        """Questions that may come after this answer (see the port)."""
        return await self._asides.suggested(message_id, user_of(user))

    async def aclose(self) -> None:
        """Close the clients and what is still streaming. Idempotent."""
        await self._fetcher.aclose()
        await self._client.aclose()


def authorization(key: str) -> dict[str, str]:
    """The header of every call."""
    # A key with characters that no header can carry is a wrong key: Dify shall say so.
    sendable = "".join(char if "!" <= char <= "~" else "?" for char in key)
    return {"Authorization": f"Bearer {sendable or '?'}"}


_: type[App] = DifyApp
