"""A Dify on a real socket, with any number of apps of every kind and of three versions.

It refuses what the real one refuses (``checks``), writes the events that the real one writes
(``wire``), and can be told to fail (``Fault``). An independent judge: it shares no code with
``dod.dify``.
"""

import asyncio
import uuid
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from dod.sim.dify import checks
from dod.sim.dify.app import SimApp
from dod.sim.dify.files import Files
from dod.sim.dify.history import Conversation, History
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.ratings import Ratings
from dod.sim.dify.run import Asked, Run, reset
from dod.sim.dify.scripts import Answer, Fault, Script, echo
from dod.sim.dify.suggested import Suggested
from dod.sim.dify.wire import Wire, think

__all__ = ["Answer", "Asked", "Fault", "Script", "SimApp", "SimDify", "Stopped", "echo"]

_SILENCE = 301.9  # seconds after which 1.13 gives up a stream without events (dify-api §2)
_NUMBERS: dict[Version, str] = {"0.15": "0.15.3", "1.13": "1.13.0", "1.13.1": "1.13.1"}
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Env": "PRODUCTION"}
_ENDPOINTS = ("/v1/chat-messages", "/v1/completion-messages", "/v1/workflows/run")
_FILES = ("/v1/files/upload", "/v1/audio-to-text")
_STOPS = ("/v1/chat-messages", "/v1/completion-messages", "/v1/workflows/tasks")


@dataclass(frozen=True, slots=True)
class Stopped:
    """One stop call. ``hit``: a running answer was ended by it."""

    key: str
    task_id: str
    user: str
    hit: bool


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
        self.requests: list[Asked] = []
        self.stops: list[Stopped] = []
        self.connections = 0
        self.files = Files()
        self.ratings = Ratings()
        self.history = History()
        self._suggested = Suggested()
        self._apps: dict[str, SimApp] = {}
        self._runs: dict[str, tuple[SimApp, Run]] = {}
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
        return len(self._runs)

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
            response.headers["X-Version"] = _NUMBERS[version]
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
            return await self._stop(request, task_id)
        return await self._asked(request)

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

    async def _stop(self, request: web.Request, task_id: str) -> web.Response:
        app = self._allowed(request)
        user = (await checks.json_body(request))["user"]
        checks.user_fits(user, app.version)
        checks.endpoint_fits(app.kind, request.path)
        owner, run = self._runs.get(task_id, (None, None))
        # Another user's task is not stopped, except where a worker runs it (dify-api §3).
        anyone = app.version != "0.15" and app.kind in {"chatflow", "workflow"}
        hit = run is not None and owner is app and (anyone or run.asked.user == user)
        if hit and run is not None:
            run.stop()
        self.stops.append(Stopped(app.key, task_id, user, hit))
        return web.json_response({"result": "success"})

    async def _asked(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").rpartition(" ")[2]
        asked = Asked(given, request.path.removeprefix("/v1"))
        self.requests.append(asked)
        try:
            return await self._answered(request, asked)
        except checks.Refused as refused:
            asked.status = refused.status
            asked.end("refused")
            raise
        except ConnectionError:
            asked.end("hung up")
            return web.Response()  # reaches nobody; raising would be logged as our failure
        finally:
            asked.end("broken")

    async def _answered(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        app = self._allowed(request)
        fault = app.take_fault()
        if fault is not None:
            await _fail_early(request, app, fault, asked)
        body = await checks.json_body(request)
        asked.user = body["user"]
        checks.user_fits(asked.user, app.version)
        checks.endpoint_fits(app.kind, request.path)
        checks.fields_fit(app.kind, app.version, body)
        asked.files = self.files.asked(body, app.takes, app.version)
        asked.inputs = body["inputs"]
        asked.query = body.get("query") or str(next(iter(body["inputs"].values()), ""))
        open_now = sum(owner is app for owner, _ in self._runs.values())
        if 0 < app.max_concurrent <= open_now:
            raise checks.too_many(app.version, app.max_concurrent, app.id)
        conversation = self._conversation(app, asked, str(body.get("conversation_id") or ""))
        starts = app.judge(body, known=conversation is not None)
        turn = 0
        if starts and conversation is not None and app.converses:
            self.history.keep(asked.answered_in, conversation)
            conversation.turns = turn = conversation.turns + 1
        answer = app.say(asked, turn)
        if fault is not None:
            answer = replace(answer, fail=fault)
        given = [self.files.give(name, content) for name, content in answer.files]
        answer = answer.naming(*(self.files.link(file) for file in given))
        wire = Wire(
            app.kind,
            app.version,
            user=asked.user,
            conversation_id=asked.answered_in,
            inputs=asked.inputs,
            files=[self.files.told(file) for file in given],
            sources=answer.sources,
        )
        self.ratings.know(wire.message_id, app.key, asked.user)
        if starts and conversation is not None and app.converses:
            conversation.note(wire.message_id, asked, answer)
        self._suggested.know(wire.message_id, app.key, asked.user, answer.next)
        run = Run(asked, wire, request, ping_every=app.ping_every, split=app.split)
        self._runs[wire.task_id] = app, run
        try:
            if starts and body.get("response_mode") != "streaming":
                return await _block(run, wire, answer)
            response = web.StreamResponse(headers=_HEADERS | {"X-Version": _NUMBERS[app.version]})
            await response.prepare(request)
            if starts:
                thinking = think(answer.thinking, app.version) if answer.thinking else ""
                await run.stream(response, answer, thinking)
            else:
                await run.silence(_SILENCE, response)
            return response
        finally:
            del self._runs[wire.task_id]

    def _conversation(self, app: SimApp, asked: Asked, given: str) -> Conversation | None:
        """The conversation of that id if it is this user's with this app, or a new one."""
        asked.conversation_id = given
        if not given or not app.converses:
            asked.answered_in = str(uuid.uuid4()) if app.converses else ""
            return Conversation(app.key, asked.user)
        asked.answered_in = given
        return self.history.find(given, app.key, asked.user)


async def _fail_early(request: web.Request, app: SimApp, fault: Fault, asked: Asked) -> None:
    """Strike before anything is read, if that is what the fault does."""
    if fault.kind == "overload":
        raise checks.too_many(app.version, app.max_concurrent or 1, app.id)
    if fault.kind == "refuse" and fault.html:
        raise checks.page(fault.status, fault.message)
    if fault.kind == "refuse":
        raise checks.refuse(fault.status, fault.code, fault.message)
    if fault.after >= 0:
        return
    asked.end("broken")
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds)
    reset(request)
    raise ConnectionResetError


async def _block(run: Run, wire: Wire, answer: Answer) -> web.Response:
    """The whole answer at once, after the time that streaming it would have taken."""
    pieces = answer.pieces()
    wait = answer.first_delay + answer.interval * max(0, len(pieces) - 1)
    await run.pause(asyncio.get_running_loop().time() + wait)
    if (fault := answer.fail) is not None:
        raise checks.refuse(fault.status, fault.code, fault.message)
    run.asked.end("stopped" if run.stopped else "complete")
    return web.json_response(wire.blocking("".join(pieces), answer.outputs))
