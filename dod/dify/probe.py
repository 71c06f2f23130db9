"""What one Dify app says of itself to its key, with nothing asked of a model (dify-api §1, §8)."""

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from dod import http
from dod.dify.app import STOPS, authorization
from dod.dify.door import no_answer
from dod.dify.question import Kind
from dod.dify.refusals import NO_JSON, refused, trouble
from dod.errors import DifyError

_MODES: dict[str, Kind] = {
    "chat": "chatbot",
    "agent-chat": "chatbot",
    "advanced-chat": "chatbot",
    "completion": "completion",
    "workflow": "workflow",
}
# Filled by what people send, or by Dify itself.
_NOT_TYPED = frozenset({"file", "file-list", "external_data_tool"})
_LONGEST = 1 << 20  # bytes of an answer
_WRONG_KIND = frozenset({"dify_app_type", "dify_app_broken"})


@dataclass(frozen=True, slots=True)
class Variable:
    """One of the app's form."""

    name: str
    required: bool
    typed: bool  # text: dify_inputs fill it


class Probe:
    """Lifecycle: ``form`` and ``kind`` → ``aclose``. Both raise DifyError.

    ``within``: seconds of each request.
    """

    def __init__(self, *, url: str, key: str, within: float) -> None:
        self._within = within
        self._client = http.client(url, read=within, headers=authorization(key))

    async def form(self) -> tuple[Variable, ...]:
        """The variables of the app's form; proves address and key."""
        told = await self._asked("GET", "/parameters")
        if not isinstance(told.get("user_input_form"), list):
            raise trouble("dify_not_found", "no answer of Dify's /parameters")
        return tuple(_variables(told["user_input_form"]))

    async def kind(self, likely: Kind) -> Kind | str:
        """What the app is, for ``dify_app_type``; Dify's own word for a kind that nobody knows.

        Before 1.4 ``/info`` does not say it. Then a task that does not exist is stopped: each kind
        takes that at its own address only, ``likely`` asked first (dify-api §1). "": none does.
        """
        told = await self._asked("GET", "/info")
        mode = told.get("mode")
        if isinstance(mode, str) and mode:
            return _MODES.get(mode, mode)
        kinds: list[Kind] = sorted(STOPS, key=lambda kind: kind != likely)
        for kind in kinds:
            try:
                await self._asked("POST", STOPS[kind].format(uuid.uuid4()), {"user": "dod-doctor"})
            except DifyError as error:
                if error.key not in _WRONG_KIND:
                    raise
            else:
                return kind
        return ""

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _asked(
        self, method: str, path: str, body: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._within):
                status, raw = await self._answered(method, path, body)
        except TimeoutError as exc:
            raise trouble("dify_timeout", "no answer") from exc
        except httpx.HTTPError as exc:
            raise no_answer(exc) from exc
        if not 200 <= status < 300:
            raise refused(status, raw)
        try:
            value = json.loads(raw)
        except NO_JSON as exc:
            raise refused(status, raw) from exc
        return value if isinstance(value, dict) else {}

    async def _answered(
        self, method: str, path: str, body: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        raw = bytearray()
        async with self._client.stream(method, path, json=body) as response:
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > _LONGEST:
                    break
        return response.status_code, bytes(raw)


def _variables(form: list[Any]) -> Iterator[Variable]:
    for item in form:
        for kind, told in item.items() if isinstance(item, dict) else ():
            name = told.get("variable") if isinstance(told, dict) else None
            if isinstance(name, str) and name:
                yield Variable(name, told.get("required") is True, kind not in _NOT_TYPED)
