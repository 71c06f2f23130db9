"""A Dify on a real socket, with any number of apps of every kind and of three versions.

It refuses what the real one refuses (``dify_checks``), writes the events that the real one writes
(``dify_wire``), and can be told to fail (``Fault``). An independent judge: it shares no code with
``dod.dify``.
"""

import asyncio
import contextlib
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from dod.sim import dify_checks as checks
from dod.sim.dify_run import Asked, Run, reset
from dod.sim.dify_scripts import Answer, Fault, Script, echo
from dod.sim.dify_wire import PING, Kind, Version, Wire, think

__all__ = ["Answer", "Asked", "Fault", "SimApp", "SimDify", "Stopped", "echo"]

_SILENCE = 301.9  # seconds after which 1.13 gives up a stream without events (dify-api §2)
_MODES = {"agent": "agent-chat", "chatflow": "advanced-chat"}
_ENDPOINTS = ("/v1/chat-messages", "/v1/completion-messages", "/v1/workflows/run")
_STOPS = ("/v1/chat-messages", "/v1/completion-messages", "/v1/workflows/tasks")


@dataclass(slots=True)
class SimApp:
    """One simulated app; every field may be changed at any time and counts from the next request.

    ``answer``: its script. ``fault``: how every request fails. ``required``: inputs that it wants;
    ``max_concurrent``: requests at once, 0 = any number. ``enabled``: its API is on. ``published``:
    as a workflow. ``ping_every``: seconds, 0 = never. ``split``: bytes per write, 0 = one event.
    """

    key: str
    kind: Kind
    version: Version = "1.13"
    answer: Script = field(default_factory=echo)
    fault: Fault | None = None
    required: tuple[str, ...] = ()
    max_concurrent: int = 0
    enabled: bool = True
    published: bool = True
    ping_every: float = 10.0
    split: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _next: deque[Fault | None] = field(default_factory=deque)

    def fail_next(self, fault: Fault | None, times: int = 1) -> None:
        """The next ``times`` requests fail so; a queued None lets one through."""
        self._next.extend([fault] * times)

    def take_fault(self) -> Fault | None:
        """The fault of the request that is coming in."""
        return self._next.popleft() if self._next else self.fault


@dataclass(slots=True)
class _Conversation:
    key: str
    user: str
    turns: int = 0


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
    ``connections``: HTTP connections accepted. Conversations live as long as this object does, also
    over a ``close`` and a ``start``.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests: list[Asked] = []
        self.stops: list[Stopped] = []
        self.connections = 0
        self._apps: dict[str, SimApp] = {}
        self._conversations: dict[str, _Conversation] = {}
        self._runs: dict[str, tuple[SimApp, Run]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """What an admin writes as ``dify_api_url``."""
        return f"http://127.0.0.1:{self.port}/v1"

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
        if conversation_id:
            self._conversations.pop(conversation_id, None)
        else:
            self._conversations.clear()

    async def start(self) -> None:
        """Listen on 127.0.0.1; port 0 becomes a free one, and stays the same after a ``close``."""
        web_app = web.Application()
        web_app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(web_app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        accept = self._runner.server
        assert accept is not None  # noqa: S101  set up one line above

        def connected() -> asyncio.BaseProtocol:
            self.connections += 1
            return accept()

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(connected, "127.0.0.1", self.port, backlog=1024)
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
            response.headers["X-Version"] = _number(version)
        return response

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        stop_of, _, last = path.rpartition("/")
        prefix, _, task_id = stop_of.rpartition("/")
        stop = last == "stop" and prefix in _STOPS
        about = path in {"/v1/parameters", "/v1/info", "/v1/meta"}
        if not (stop or about or path in _ENDPOINTS):
            said = "The requested URL was not found on the server. If you entered the URL manually "
            raise checks.page(
                404, "Not Found", said + "please check your spelling and try again."
            )
        if request.method != ("GET" if about else "POST"):
            said = "The method is not allowed for the requested URL."
            raise checks.refuse(405, "method_not_allowed", said)
        if about:
            return self._about(self._allowed(request), path)
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

    def _about(self, app: SimApp, path: str) -> web.Response:
        if path == "/v1/meta":
            return web.json_response({"tool_icons": {}})
        if path == "/v1/info":
            info: dict[str, Any] = {"name": app.key[-4:], "description": "simulated", "tags": []}
            if app.version != "0.15":
                info |= {"mode": _MODES.get(app.kind, app.kind), "author_name": "sim"}
            return web.json_response(info)
        if not app.published:
            raise checks.app_unavailable()
        form = [
            {"paragraph": {"label": name, "variable": name, "required": True, "default": ""}}
            for name in app.required
        ]
        off = {"enabled": False}
        return web.json_response({
            "opening_statement": "",
            "suggested_questions": [],
            "suggested_questions_after_answer": off,
            "speech_to_text": off,
            "text_to_speech": {"enabled": False, "language": "", "voice": ""},
            "retriever_resource": {"enabled": True},
            "annotation_reply": off,
            "more_like_this": off,
            "user_input_form": form,
            "sensitive_word_avoidance": off,
            "file_upload": off,
            "system_parameters": {"image_file_size_limit": 10, "file_size_limit": 15},
        })

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
            raise
        finally:
            asked.end("broken")

    async def _answered(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        app = self._allowed(request)
        fault = app.take_fault()
        await self._fail_early(request, app, fault)
        body = await checks.json_body(request)
        asked.user = body["user"]
        checks.user_fits(asked.user, app.version)
        checks.endpoint_fits(app.kind, request.path)
        checks.fields_fit(app.kind, app.version, body)
        asked.inputs = body["inputs"]
        asked.query = body.get("query") or str(next(iter(body["inputs"].values()), ""))
        asked.conversation_id = body.get("conversation_id") or ""
        if app.max_concurrent:
            open_now = sum(owner is app for owner, _ in self._runs.values())
            if open_now >= app.max_concurrent:
                raise checks.too_many(app.version, app.max_concurrent, app.id)
        streaming = body.get("response_mode") == "streaming"
        failed_start = self._judge(app, body, streaming=streaming)
        turn = self._turn(app, asked) if not failed_start else 0
        answer = app.answer(asked.query, turn, asked.user, asked.inputs)
        if fault is not None:
            answer = Answer(
                answer.text,
                answer.interval,
                answer.first_delay,
                answer.tokens,
                answer.thinking,
                answer.outputs,
                fault,
            )
        wire = Wire(
            app.kind,
            app.version,
            user=asked.user,
            conversation_id=asked.conversation_id,
            inputs=asked.inputs,
        )
        run = Run(asked, wire, request, ping_every=app.ping_every, split=app.split)
        self._runs[wire.task_id] = app, run
        try:
            if not (streaming or failed_start):
                return await self._block(run, wire, answer)
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream; charset=utf-8",
                    "X-Version": _number(app.version),
                    "X-Env": "PRODUCTION",
                }
            )
            await response.prepare(request)
            if failed_start:
                await run.silence(_SILENCE, response)
            else:
                thinking = think(answer.thinking, app.version) if answer.thinking else ""
                await run.stream(response, answer, thinking)
        finally:
            del self._runs[wire.task_id]
        return response
