"""What a Dify app tells besides its answers: parameters, suggested questions (dify-api §5, §8)."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import httpx

from dod.dify.parameters import abilities
from dod.dify.refusals import NO_JSON, refused, trouble
from dod.errors import ConversationGone, DifyError
from dod.messages import Abilities, Parameters

_TIMEOUT = 10.0  # seconds
_FRESH = 300.0  # seconds: an admin who switches something on need not restart anything
_FAILED = 60.0  # seconds before they are asked for again after a failure
_MOST = 9  # questions, so that one digit picks one


class Asides:
    """Thread: the bot's loop."""

    def __init__(
        self, client: httpx.AsyncClient, app_type: Literal["chatbot", "completion", "workflow"]
    ) -> None:
        self._client = client
        self._app_type: Literal["chatbot", "completion", "workflow"] = app_type
        self._asking = asyncio.Lock()
        self._told: Mapping[str, Any] | None = None
        self._until = 0.0  # monotonic
        self._failure: DifyError | None = None
        self._failed_until = 0.0  # monotonic

    async def parameters(self) -> Parameters:
        """As Dify said within the last minutes. Raises DifyError, the same for a minute."""
        return _parameters(await self._about(again=False))

    async def abilities(self) -> Abilities:
        """Likewise; somebody waits for it, so it is asked again at once after a failure."""
        return abilities(await self._about(again=True))

    async def _about(self, *, again: bool) -> Mapping[str, Any]:
        """Asked once for all who want to know at the same moment."""
        async with self._asking:
            now = time.monotonic()
            if self._told is not None and now < self._until:
                return self._told
            if self._failure is not None and now < self._failed_until and not again:
                raise self._failure
            try:
                self._told = await self._get("/parameters", {})
            except DifyError as error:
                self._failure, self._failed_until = error, time.monotonic() + _FAILED
                raise
            self._failure, self._until = None, time.monotonic() + _FRESH
            return self._told

    async def suggested(self, message_id: str, user: str) -> tuple[str, ...]:
        path = f"/messages/{quote(message_id, safe='')}/suggested"
        told = await self._get(path, {"user": user})
        return _questions(told.get("data"))

    async def knows(self, conversation_id: str, user: str) -> bool:
        """Whether ``user`` has this conversation; every version says it here (dify-api §4).

        Raises DifyError where nobody says it.
        """
        about = {"conversation_id": conversation_id, "user": user, "limit": "1"}
        try:
            await self._get("/messages", about)
        except ConversationGone:
            return False
        return True

    async def _get(self, path: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            response = await self._client.get(path, params=dict(params), timeout=_TIMEOUT)
        except httpx.HTTPError as exc:
            raise trouble("dify_unreachable", repr(exc)) from exc
        if not response.is_success:
            raise refused(response.status_code, response.content, app_type=self._app_type)
        try:
            value = response.json()
        except NO_JSON as exc:
            raise trouble("dify_gateway", "no JSON") from exc
        return value if isinstance(value, dict) else {}


def _parameters(told: Mapping[str, Any]) -> Parameters:
    opening = told.get("opening_statement")
    after = told.get("suggested_questions_after_answer")
    return Parameters(
        opening=opening.strip() if isinstance(opening, str) else "",
        openers=_questions(told.get("suggested_questions")),
        suggests=isinstance(after, dict) and after.get("enabled") is True,
    )


def _questions(told: Any) -> tuple[str, ...]:
    if not isinstance(told, list):
        return ()
    texts = (" ".join(one.split()) for one in told if isinstance(one, str))
    return tuple(text for text in texts if text)[:_MOST]
