"""What people think of the simulated Dify's answers: 👍 and 👎 (dify-api §5, recorded)."""

from dataclasses import dataclass

from aiohttp import web

from dod.sim.dify import checks


@dataclass(frozen=True, slots=True)
class Rated:
    """One rating that was taken; ``rating`` None takes an earlier one back."""

    key: str
    message_id: str
    user: str
    rating: str | None
    content: str


class Ratings:
    """All messages that were answered, and how they are rated. ``taken``: every call, in order."""

    def __init__(self) -> None:
        self.taken: list[Rated] = []
        self._messages: dict[str, tuple[str, str]] = {}  # id → key of the app, user
        self._now: dict[str, str] = {}

    def know(self, message_id: str, key: str, user: str) -> None:
        """An answer begins. A workflow's run is no message."""
        if message_id:
            self._messages[message_id] = key, user

    async def take(self, request: web.Request, key: str, message_id: str) -> web.Response:
        """``POST /messages/{id}/feedbacks``. Raises Refused."""
        body = await checks.json_body(request)
        rating, content = body.get("rating"), body.get("content")
        if rating not in {"like", "dislike", None}:
            raise checks.refuse(400, "invalid_param", f"{rating} is not a valid choice")
        if content is not None and not isinstance(content, str):
            raise checks.refuse(400, "invalid_param", "content is not a string")
        if self._messages.get(message_id) != (key, body["user"]):
            raise checks.refuse(404, "not_found", "Message Not Exists.")
        if rating is None and message_id not in self._now:
            said = "rating cannot be None when feedback not exists"
            raise checks.refuse(400, "invalid_param", said)
        if rating is None:
            del self._now[message_id]
        else:
            self._now[message_id] = rating
        self.taken.append(Rated(key, message_id, body["user"], rating, content or ""))
        return web.json_response({"result": "success"})
