"""What was said in the conversations of the simulated Dify (dify-api §4, recorded)."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from dod.sim.dify import checks
from dod.sim.dify.app import SimApp
from dod.sim.dify.run import Asked
from dod.sim.dify.scripts import Answer

_ROOT = str(uuid.UUID(int=0))
_MOST, _USUAL = 101, 20  # messages at once


@dataclass(slots=True)
class Conversation:
    """Of one user with one app. ``turns``: how many were begun."""

    key: str
    user: str
    turns: int = 0
    said: list["_Said"] = field(default_factory=list)

    def note(self, message_id: str, asked: Asked, answer: Answer) -> None:
        """A turn begins; what is answered by a later moment is told then."""
        self.said.append(_Said(message_id, asked, answer))


@dataclass(frozen=True, slots=True)
class _Said:
    message_id: str
    asked: Asked
    answer: Answer
    created_at: int = field(default_factory=lambda: int(time.time()))

    def told(self) -> dict[str, Any]:
        return {
            "id": self.message_id,
            "conversation_id": self.asked.answered_in,
            "parent_message_id": _ROOT,
            "inputs": self.asked.inputs,
            "query": self.asked.query,
            "answer": "".join(self.answer.pieces()[: self.asked.tokens]),
            "message_files": [],
            "feedback": None,
            "retriever_resources": [],
            "created_at": self.created_at,
            "agent_thoughts": [],
            "status": "error" if self.asked.outcome == "failed" else "normal",
            "error": None,
        }


class History:
    """All conversations, by id; ``asked_for``: how often somebody looked one up."""

    def __init__(self) -> None:
        self.asked_for = 0
        self._conversations: dict[str, Conversation] = {}

    def find(self, conversation_id: str, key: str, user: str) -> Conversation | None:
        """The conversation of that id if it is this user's with this app."""
        found = self._conversations.get(conversation_id)
        return found if found and (found.key, found.user) == (key, user) else None

    def keep(self, conversation_id: str, conversation: Conversation) -> None:
        self._conversations[conversation_id] = conversation

    def forget(self, conversation_id: str = "") -> None:
        """Lose one conversation, or all."""
        if conversation_id:
            self._conversations.pop(conversation_id, None)
        else:
            self._conversations.clear()

    def tell(self, request: web.Request, app: SimApp) -> web.Response:
        """``GET /messages``: the last ones, the oldest first. Raises Refused, as recorded."""
        self.asked_for += 1
        asked = request.query
        if not app.converses:
            said = "Please check if your app mode matches the right API route."
            raise checks.refuse(400, "not_chat_app", said)
        checks.uuid_fits(app.kind, app.version, dict(asked))
        limit = int(asked.get("limit", _USUAL))
        if not 1 <= limit <= _MOST:
            raise checks.refuse(400, "invalid_param", "limit must be between 1 and 101")
        found = self.find(asked.get("conversation_id", ""), app.key, asked.get("user", ""))
        if found is None:
            raise checks.conversation_unknown(app.version, "/v1/messages")
        rows = [one.told() for one in found.said[-limit:]]
        more = len(found.said) > limit
        return web.json_response({"limit": limit, "has_more": more, "data": rows})
