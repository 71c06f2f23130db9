"""The HTTP surface of the simulated DingTalk: which path is which API, and the new API's shapes.

New API (api.dingtalk.com): token in a header, errors as ``{code, requestid, message}`` with a
status. The old one (``oldapi``) is served on the same port. Facts: dingtalk-protocol §1.1, §4, §8.
"""

import time
import uuid
from collections.abc import Callable
from xml.sax.saxutils import escape

from aiohttp import web

from dod.sim.dingtalk.bodies import answer_json, object_of
from dod.sim.dingtalk.cards import Cards
from dod.sim.dingtalk.faults import Api, Faults, Json, Refusal, Switches
from dod.sim.dingtalk.files import Files
from dod.sim.dingtalk.gate import Gate
from dod.sim.dingtalk.mishaps import Mishaps
from dod.sim.dingtalk.oldapi import OldApi
from dod.sim.dingtalk.robot import Robot
from dod.sim.dingtalk.stream import Stream
from dod.sim.dingtalk.world import SimApp

_Answer = Callable[[SimApp, Json], Json]
_TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  a header's name


class Http:
    """Lifecycle: ``serve`` per request → ``closing.set()``, which ends hanging calls."""

    def __init__(
        self,
        gate: Gate,
        stream: Stream,
        cards: Cards,
        robot: Robot,
        files: Files,
        *,
        switches: Switches,
    ) -> None:
        self.gate = gate
        self.stream = stream
        self.files = files
        self.switches = switches
        self._mishaps = Mishaps(gate, robot)
        self.closing = self._mishaps.closing
        self._old = OldApi(gate, robot, files, switches, self._mishaps)
        self._routes: dict[tuple[str, str], tuple[Api, _Answer]] = {
            ("POST", "/v1.0/card/instances"): ("create", cards.create),
            ("PUT", "/v1.0/card/instances"): ("update", cards.update),
            ("POST", "/v1.0/card/instances/deliver"): ("deliver", cards.deliver),
            ("POST", "/v1.0/card/instances/createAndDeliver"): (
                "create_and_deliver",
                cards.create_and_deliver,
            ),
            ("PUT", "/v1.0/card/streaming"): ("streaming", cards.stream),
            ("POST", "/v1.0/robot/oToMessages/batchSend"): ("send_single", robot.send_single),
            ("POST", "/v1.0/robot/groupMessages/send"): ("send_group", robot.send_group),
            ("POST", "/v1.0/robot/messageFiles/download"): ("download", files.download),
        }

    @property
    def faults(self) -> Faults:
        return self.gate.faults

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. A path that nobody knows is a 404 of the new API."""
        route = self._routes.get((request.method, request.path))
        if route is not None:
            return self._dated(await self._call(request, *route))
        match (request.method, request.path):
            case ("GET", "/connect"):
                return await self.stream.connect(request)
            case ("POST", "/v1.0/gateway/connections/open"):
                answer = await self._gateway(request)
            case ("POST", "/v1.0/oauth2/accessToken"):
                answer = await self._call(request, "token", None)
            case ("GET", "/gettoken"):
                answer = await self._old.token(request)
            case ("POST", "/robot/sendBySession"):
                answer = await self._old.webhook(request)
            case ("POST", "/media/upload"):
                answer = await self._old.upload(request)
            case ("GET", path) if path in self.files.links:
                answer = await self._file(request, self.files.links[path].content)
            case _:
                missing = Refusal(404, "InvalidAction.NotFound", "Specified api is not found.")
                answer = _refuse(missing)
        return self._dated(answer)

    def _dated(self, response: web.Response) -> web.Response:
        """Date it by DingTalk's clock: aiohttp takes the local one; DingTalk's may be another."""
        if self.faults.clock_ahead:
            now = time.gmtime(time.time() + self.faults.clock_ahead)
            response.headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", now)
        return response

    # ------------------------------------------------------------------ new API

    async def _call(
        self, request: web.BaseRequest, api: Api, answer: _Answer | None
    ) -> web.Response:
        """A call of the new API; without ``answer`` it is the one for a token."""
        app: SimApp | None = None
        try:
            raw = await request.read()
            app = self._caller(request, raw) if answer is None else self._owner(request)
            if answer is not None:
                self.gate.admit(app, api)
            mishap = await self._mishaps.due(app, api)
            if mishap is not None and mishap != "lost":
                return await self._mishaps.spoil(request, app, api, mishap)
            body = answer(app, _body(request, raw)) if answer else self._token(app)
        except Refusal as refusal:
            self.gate.count(app, api, refusal.code)
            return _refuse(refusal)
        self.gate.count(app, api)
        return await self._mishaps.drop(request) if mishap else answer_json(body)

    def _owner(self, request: web.BaseRequest) -> SimApp:
        return self.gate.owner(request.headers.get(_TOKEN_HEADER, ""))

    def _caller(self, request: web.BaseRequest, raw: bytes) -> SimApp:
        body = _body(request, raw)
        app = self.gate.world.apps.get(str(body.get("appKey")))
        if app is None or body.get("appSecret") != app.client_secret:
            raise Refusal(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        return app

    def _token(self, app: SimApp) -> Json:
        lifetime = int(self.switches.token_lifetime)
        return {"accessToken": self.gate.token(app), "expireIn": lifetime}

    async def _gateway(self, request: web.BaseRequest) -> web.Response:
        app: SimApp | None = None
        try:
            body = _body(request, await request.read())
            app = self.gate.world.apps.get(str(body.get("clientId")))
            mishap = await self._mishaps.due(app, "gateway")
            fault = self.stream.fault(app)
            if mishap is None and fault in {"html", "hang"}:
                mishap = "html" if fault == "html" else "hang"
            if mishap is not None:
                return await self._mishaps.spoil(request, app, "gateway", mishap, status=403)
            ticket = self.stream.open(body)
        except Refusal as refusal:
            self.gate.count(app, "gateway", refusal.code)
            return _refuse(refusal)
        self.gate.count(app, "gateway")
        if "application/json" not in request.headers.get("Accept", ""):
            parts = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in ticket.items())
            return web.Response(text=f"<Response>{parts}</Response>", content_type="text/xml")
        return answer_json(ticket)

    # ------------------------------------------------------------------ files

    async def _file(self, request: web.BaseRequest, content: bytes) -> web.Response:
        """The object store's answer: no JSON when it refuses. ``lost``: half of it arrives."""
        try:
            mishap = await self._mishaps.due(None, "file")
        except Refusal as refusal:
            return web.Response(status=refusal.status, text="<Error/>", content_type="text/xml")
        if mishap in {"busy", "html"}:
            return web.Response(status=503, text="<Error/>", content_type="text/xml")
        if mishap == "lost":
            half = web.StreamResponse(headers={"Content-Length": str(len(content))})
            await half.prepare(request)
            await half.write(content[: len(content) // 2])
        if mishap is not None:
            return await self._mishaps.spoil(request, None, "file", mishap)
        return web.Response(body=content)


def _body(request: web.BaseRequest, raw: bytes) -> Json:
    """The JSON object of a call; anything else is a missing body to DingTalk (§4)."""
    body = object_of(raw) if request.content_type == "application/json" else None
    if body is None:
        raise Refusal(400, "Missingbody", "body is mandatory for this action.")
    return body


def _refuse(refusal: Refusal) -> web.Response:
    request_id = str(uuid.uuid4()).upper()
    body = {"code": refusal.code, "requestid": request_id, "message": refusal.message}
    return answer_json({**body, **refusal.more}, refusal.status, request_id)
