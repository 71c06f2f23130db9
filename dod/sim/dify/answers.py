"""The answers of the simulated Dify: from a request for one to its last byte, or to its stop."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import web

from dod.sim.dify import checks
from dod.sim.dify.app import SimApp
from dod.sim.dify.files import Files
from dod.sim.dify.history import Conversation, History
from dod.sim.dify.kinds import NUMBERS
from dod.sim.dify.ratings import Ratings
from dod.sim.dify.run import Asked, Run, reset
from dod.sim.dify.scripts import Answer, Fault
from dod.sim.dify.suggested import Suggested
from dod.sim.dify.wire import Wire, think

_SILENCE = 301.9  # seconds after which 1.13 gives up a stream without events (dify-api §2)
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "X-Env": "PRODUCTION"}


@dataclass(frozen=True, slots=True)
class Stopped:
    """One stop call. ``hit``: a running answer was ended by it."""

    key: str
    task_id: str
    user: str
    hit: bool


class Answers:
    """Thread: the simulator's loop.

    ``requests``: every request for an answer, oldest first. ``stops``: every stop call. ``runs``:
    task id → the answers being written. ``allowed`` finds the app of a request, or refuses it.
    """

    def __init__(
        self,
        allowed: Callable[[web.Request], SimApp],
        files: Files,
        ratings: Ratings,
        history: History,
        suggested: Suggested,
    ) -> None:
        self.requests: list[Asked] = []
        self.stops: list[Stopped] = []
        self.runs: dict[str, tuple[SimApp, Run]] = {}
        self._allowed = allowed
        self._files = files
        self._ratings = ratings
        self._history = history
        self._suggested = suggested

    async def take(self, request: web.Request) -> web.StreamResponse:
        """One request for an answer, to its end."""
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
        asked.files = self._files.asked(body, app.takes, app.version)
        asked.inputs = body["inputs"]
        asked.query = body.get("query") or str(next(iter(body["inputs"].values()), ""))
        open_now = sum(owner is app for owner, _ in self.runs.values())
        if 0 < app.max_concurrent <= open_now:
            raise checks.too_many(app.version, app.max_concurrent, app.id)
        conversation = self._conversation(app, asked, str(body.get("conversation_id") or ""))
        starts = app.judge(body, known=conversation is not None)
        turn = 0
        if starts and conversation is not None and app.converses:
            self._history.keep(asked.answered_in, conversation)
            conversation.turns = turn = conversation.turns + 1
        answer = app.say(asked, turn)
        if fault is not None:
            answer = replace(answer, fail=fault)
        given = [self._files.give(name, content) for name, content in answer.files]
        answer = answer.naming(*(self._files.link(file) for file in given))
        wire = Wire(
            app.kind,
            app.version,
            user=asked.user,
            conversation_id=asked.answered_in,
            inputs=asked.inputs,
            files=[self._files.told(file) for file in given],
            sources=answer.sources,
        )
        self._ratings.know(wire.message_id, app.key, asked.user)
        if starts and conversation is not None and app.converses:
            conversation.note(wire.message_id, asked, answer)
        self._suggested.know(wire.message_id, app.key, asked.user, answer.next)
        run = Run(asked, wire, request, ping_every=app.ping_every, split=app.split)
        self.runs[wire.task_id] = app, run
        try:
            if starts and body.get("response_mode") != "streaming":
                return await _block(run, wire, answer)
            response = web.StreamResponse(headers=_HEADERS | {"X-Version": NUMBERS[app.version]})
            await response.prepare(request)
            if starts:
                thinking = think(answer.thinking, app.version) if answer.thinking else ""
                await run.stream(response, answer, thinking)
            else:
                await run.silence(_SILENCE, response)
            return response
        finally:
            del self.runs[wire.task_id]

    def _conversation(self, app: SimApp, asked: Asked, given: str) -> Conversation | None:
        """The conversation of that id if it is this user's with this app, or a new one."""
        asked.conversation_id = given
        if not given or not app.converses:
            asked.answered_in = str(uuid.uuid4()) if app.converses else ""
            return Conversation(app.key, asked.user)
        asked.answered_in = given
        return self._history.find(given, app.key, asked.user)

    async def stop(self, request: web.Request, task_id: str) -> web.Response:
        """One stop call (dify-api §3)."""
        app = self._allowed(request)
        user = (await checks.json_body(request))["user"]
        checks.user_fits(user, app.version)
        checks.endpoint_fits(app.kind, request.path)
        owner, run = self.runs.get(task_id, (None, None))
        # Another user's task is not stopped, except where a worker runs it (dify-api §3).
        anyone = app.version != "0.15" and app.kind in {"chatflow", "workflow"}
        hit = run is not None and owner is app and (anyone or run.asked.user == user)
        if hit and run is not None:
            run.stop()
        self.stops.append(Stopped(app.key, task_id, user, hit))
        return web.json_response({"result": "success"})


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
