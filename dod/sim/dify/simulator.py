"""A Dify on a real socket, with any number of apps of every kind and of three versions.

It refuses what the real one refuses (``checks``), answers in the events that the real one writes
(``answers``, ``wire``), and can be told to fail (``Fault``). An independent judge: it shares no
code with ``dod.dify``.
"""

import asyncio
from typing import Any

from aiohttp import web

from dod.sim.dify import checks
from dod.sim.dify.answers import Answers, Stopped
from dod.sim.dify.app import SimApp
from dod.sim.dify.files import Files
from dod.sim.dify.history import History
from dod.sim.dify.kinds import NUMBERS, Kind, Version
from dod.sim.dify.ratings import Ratings
from dod.sim.dify.run import Asked
from dod.sim.dify.scripts import Answer, Fault, Script, echo
from dod.sim.dify.suggested import Suggested

__all__ = ["Answer", "Asked", "Fault", "Script", "SimApp", "SimDify", "Stopped", "echo"]

_ENDPOINTS = ("/v1/chat-messages", "/v1/completion-messages", "/v1/workflows/run")
_FILES = ("/v1/files/upload", "/v1/audio-to-text")
_STOPS = ("/v1/chat-messages", "/v1/completion-messages", "/v1/workflows/tasks")


class SimDify:
    """Lifecycle: ``start`` → ``close``, both on one loop; ``close`` ends every answer at once.

    ``requests``: every request for an answer, oldest first. ``stops``: every stop call.
    ``files``: what was uploaded. ``ratings``: what people think. ``history``: what was said.
    ``connections``: HTTP connections accepted. Conversations live as long as this object does, also
    over a ``close`` and a ``start``.
    """

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1") -> None:
        self.port = port
        self.host = host
        self.connections = 0
        self.files = Files()
        self.ratings = Ratings()
        self.history = History()
        self._suggested = Suggested()
        self._answers = Answers(
            self._allowed, self.files, self.ratings, self.history, self._suggested
        )
        self.requests = self._answers.requests
        self.stops = self._answers.stops
        self._apps: dict[str, SimApp] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """What an admin writes as ``dify_api_url``."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def running(self) -> int:
        """Answers being written."""
        return len(self._answers.runs)

    def add_app(
        self, key: str, kind: Kind, *, version: Version = "1.13", script: Script | None = None
    ) -> SimApp:
        """Make an app that answers to ``key``. A completion or workflow app wants ``query``."""
        required = ("query",) if kind in {"completion", "workflow"} else ()
        app = SimApp(key, kind, version, script or echo(), required=required)
        self._apps[key] = app
        return app

    def app(self, key: str) -> SimApp:
        return self._apps[key]

    def forget(self, conversation_id: str = "") -> None:
        """Lose one conversation, or all."""
        self.history.forget(conversation_id)

    async def start(self) -> None:
        """Listen on ``host``; port 0 becomes a free one, and stays the same after a ``close``."""
        web_app = web.Application(client_max_size=1 << 30)
        web_app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(web_app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        accept = self._runner.server
        assert accept is not None  # noqa: S101  set up one line above

        def connected() -> asyncio.BaseProtocol:
            self.connections += 1
            return accept()

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(connected, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection. Idempotent, safe before ``start``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a handler runs in a task
        self._tasks.add(task)
        app = self._apps.get(request.headers.get("Authorization", "").rpartition(" ")[2])
        version: Version = app.version if app else "1.13"
        try:
            response = await self._route(request)
        except checks.Refused as refused:
            response = refused.response()
        finally:
            self._tasks.discard(task)
        if not response.prepared:
            response.headers["X-Version"] = NUMBERS[version]
        return response

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path.startswith("/files/"):
            return self.files.serve(request)
        stop_of, _, last = path.rpartition("/")
        prefix, _, task_id = stop_of.rpartition("/")
        stop = last == "stop" and prefix in _STOPS
        about = path in {"/v1/parameters", "/v1/info", "/v1/meta"}
        suggests = last == "suggested" and prefix == "/v1/messages"
        tells = path == "/v1/messages"
        takes = path in _FILES
        rates = last == "feedbacks" and prefix == "/v1/messages"
        if not (stop or about or suggests or tells or takes or rates or path in _ENDPOINTS):
            said = "The requested URL was not found on the server. If you entered the URL manually "
            raise checks.page(404, "Not Found", said + "please check your spelling and try again.")
        if request.method != ("GET" if about or suggests or tells else "POST"):
            said = "The method is not allowed for the requested URL."
            raise checks.refuse(405, "method_not_allowed", said)
        if about:
            app = self._allowed(request)
            if path == "/v1/meta":
                return web.json_response({"tool_icons": {}})
            return web.json_response(app.info() if path == "/v1/info" else app.parameters())
        if suggests:
            return self._suggested.tell(request, self._allowed(request), task_id)
        if tells:
            return self.history.tell(request, self._allowed(request))
        if takes:
            return await self._take_in(request)
        if rates:
            return await self.ratings.take(request, self._allowed(request).key, task_id)
        if stop:
            return await self._answers.stop(request, task_id)
        return await self._answers.take(request)

    def _allowed(self, request: web.Request) -> SimApp:
        app = self._apps.get(checks.bearer(request))
        if app is None:
            raise checks.refuse(401, "unauthorized", "Access token is invalid")
        if not app.enabled:
            raise checks.refuse(403, "forbidden", "The app's API service has been disabled.")
        return app

    async def _take_in(self, request: web.Request) -> web.Response:
        app = self._allowed(request)
        take = self.files.take if request.path == _FILES[0] else self.files.hear
        return await take(request, app.takes, app.version)
