"""Questions that may come next, which the simulated Dify tells when asked (dify-api §5)."""

from aiohttp import web

from dod.sim.dify import checks
from dod.sim.dify.app import SimApp


class Suggested:
    """All messages that were answered, and what may be asked after each."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str, tuple[str, ...]]] = {}  # id → key, user, questions

    def know(self, message_id: str, key: str, user: str, questions: tuple[str, ...]) -> None:
        """An answer begins. A workflow's run is no message."""
        if message_id:
            self._known[message_id] = key, user, questions

    def tell(self, request: web.Request, app: SimApp, message_id: str) -> web.Response:
        """``GET /messages/{id}/suggested``. Raises Refused, as recorded."""
        user = request.query.get("user", "")
        if not user:
            raise checks.refuse(400, "invalid_param", "Arg user must be provided.")
        if not app.converses:
            said = "Please check if your app mode matches the right API route."
            raise checks.refuse(400, "not_chat_app", said)
        key, owner, questions = self._known.get(message_id, ("", "", ()))
        if (key, owner) != (app.key, user):
            raise checks.refuse(404, "not_found", "Message Not Exists.")
        if not app.suggests:
            raise checks.refuse(400, "bad_request", "Suggested Questions Is Disabled.")
        return web.json_response({"result": "success", "data": list(questions)})
