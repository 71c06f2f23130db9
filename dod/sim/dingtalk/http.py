"""The HTTP surface of the simulated DingTalk: which path is which API, and in which shape it fails.

New API (api.dingtalk.com): token in a header, errors as ``{code, requestid, message}`` with a
status. Old API (oapi.dingtalk.com) and webhooks: errors are HTTP 200 with an errcode. Both are
served on one port. Facts: dingtalk-protocol §1.1, §4, §8.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from xml.sax.saxutils import escape

from aiohttp import web

from dod.sim.dingtalk.cards import Cards
from dod.sim.dingtalk.faults import Api, Faults, Json, Mishap, Refusal, Switches
from dod.sim.dingtalk.gate import OLD_ERRCODES, Gate
from dod.sim.dingtalk.robot import OldRefusal, Robot
from dod.sim.dingtalk.stream import Stream
from dod.sim.dingtalk.world import SimApp, SimEvent

_Answer = Callable[[SimApp, Json], Json]
_TOKEN_HEADER = "x-acs-dingtalk-access-token"  # noqa: S105  a header's name


class Http:
    """Lifecycle: ``serve`` per request → ``closing.set()``, which ends hanging calls."""

    def __init__(
        self, gate: Gate, stream: Stream, cards: Cards, robot: Robot, switches: Switches
    ) -> None:
        self.gate = gate
        self.stream = stream
        self.robot = robot
        self.switches = switches
        self.closing = asyncio.Event()
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
            ("POST", "/v1.0/robot/messageFiles/download"): ("download", robot.download),
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
                answer = await self._old(request, "old_token", self._old_token)
            case ("POST", "/robot/sendBySession"):
                answer = await self._old(request, "webhook", self._webhook)
            case ("POST", "/media/upload"):
                answer = await self._old(request, "upload", self._upload)
            case ("GET", path) if path in self.robot.links:
                answer = await self._file(request, self.robot.links[path].content)
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
            mishap = await self._mishap(app, api)
            if mishap is not None and mishap != "lost":
                return await self._spoil(request, app, api, mishap)
            body = answer(app, _body(request, raw)) if answer else self._token(app)
        except Refusal as refusal:
            self.gate.count(app, api, refusal.code)
            return _refuse(refusal)
        self.gate.count(app, api)
        return await self._drop(request) if mishap else _json(body)

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
            mishap = await self._mishap(app, "gateway")
            fault = self.stream.fault(app)
            if mishap is None and fault in {"html", "hang"}:
                mishap = "html" if fault == "html" else "hang"
            if mishap is not None:
                return await self._spoil(request, app, "gateway", mishap, status=403)
            ticket = self.stream.open(body)
        except Refusal as refusal:
            self.gate.count(app, "gateway", refusal.code)
            return _refuse(refusal)
        self.gate.count(app, "gateway")
        if "application/json" not in request.headers.get("Accept", ""):
            parts = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in ticket.items())
            return web.Response(text=f"<Response>{parts}</Response>", content_type="text/xml")
        return _json(ticket)

    # ------------------------------------------------------------------ old API

    async def _old(
        self,
        request: web.BaseRequest,
        api: Api,
        answer: Callable[[web.BaseRequest], Awaitable[Json]],
    ) -> web.Response:
        """A call of the old API or a webhook."""
        app = self._old_app(request, api)
        try:
            mishap = await self._mishap(app, api)
            if mishap is not None and mishap != "lost":
                return await self._spoil(request, app, api, mishap)
            if api == "upload":
                self.gate.admit(self._old_owner(request), api)
            body = await answer(request)
        except OldRefusal as refusal:
            errcode, errmsg = refusal.errcode, refusal.errmsg
        except Refusal as refusal:
            errcode, errmsg = OLD_ERRCODES.get(refusal.code, -1), refusal.message
            self.robot.spoil(request.query.get("session", ""), refusal.code)
        else:
            self.gate.count(app, api)
            return await self._drop(request) if mishap else _json(body)
        self.gate.count(app, api, str(errcode))
        await request.release()  # a body left unread would reset the connection
        return _json({"errcode": errcode, "errmsg": errmsg})

    def _old_app(self, request: web.BaseRequest, api: Api) -> SimApp | None:
        if api == "old_token":
            return self.gate.world.apps.get(request.query.get("appkey", ""))
        if api == "webhook":
            session = self.robot.sessions.get(request.query.get("session", ""))
            return session.app if session else None
        try:
            return self._old_owner(request)
        except Refusal:
            return None

    def _old_owner(self, request: web.BaseRequest) -> SimApp:
        return self.gate.owner(request.query.get("access_token", ""), old=True)

    async def _old_token(self, request: web.BaseRequest) -> Json:
        app = self._old_app(request, "old_token")
        if app is None or request.query.get("appsecret") != app.client_secret:
            raise OldRefusal(40089, "不合法的corpid或corpsecret")
        token = self.gate.token(app, old=True)
        lifetime = int(self.switches.token_lifetime)
        return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": lifetime}

    async def _webhook(self, request: web.BaseRequest) -> Json:
        raw = await request.read()
        if request.content_type != "application/json":
            raise OldRefusal(43004, "无效的HTTP HEADER Content-Type")
        body = _object(raw)
        if body is None:
            raise OldRefusal(40035, "缺少参数 json")
        return self.robot.post(request.query.get("session", ""), body)

    async def _upload(self, request: web.BaseRequest) -> Json:
        if request.content_type != "multipart/form-data":
            raise OldRefusal(43004, "无效的HTTP HEADER Content-Type")
        form = await request.post()
        media = form.get("media")
        if not isinstance(media, web.FileField):
            raise OldRefusal(40035, "缺少参数 media")
        kind = str(form.get("type") or request.query.get("type", ""))
        with media.file:
            return self.robot.upload(kind, media.filename, media.file.read())

    # ------------------------------------------------------------------ files

    async def _file(self, request: web.BaseRequest, content: bytes) -> web.Response:
        """The object store's answer: no JSON when it refuses. ``lost``: half of it arrives."""
        try:
            mishap = await self._mishap(None, "file")
        except Refusal as refusal:
            return web.Response(status=refusal.status, text="<Error/>", content_type="text/xml")
        if mishap in {"busy", "html"}:
            return web.Response(status=503, text="<Error/>", content_type="text/xml")
        if mishap == "lost":
            half = web.StreamResponse(headers={"Content-Length": str(len(content))})
            await half.prepare(request)
            await half.write(content[: len(content) // 2])
        if mishap is not None:
            return await self._spoil(request, None, "file", mishap)
        return web.Response(body=content)

    # ------------------------------------------------------------------ mishaps

    async def _mishap(self, app: SimApp | None, api: Api) -> Mishap | None:
        """Spend the API's latency; then what is planned for this call."""
        self.gate.world.tell(SimEvent("arrival", (app.client_id if app else "", api)))
        if seconds := self.gate.delay(app, api):
            await asyncio.sleep(seconds)
        return self.gate.mishap(app, api)

    async def _spoil(
        self,
        request: web.BaseRequest,
        app: SimApp | None,
        api: Api,
        mishap: Mishap,
        *,
        status: int = 502,
    ) -> web.Response:
        self.gate.count(app, api, mishap)
        if api == "webhook":
            self.robot.spoil(request.query.get("session", ""), mishap)
        if mishap == "html":
            page = "<html><head><title>Error</title></head><body>Tengine</body></html>"
            return web.Response(status=status, text=page, content_type="text/html")
        if mishap == "hang":
            await self.closing.wait()
        return await self._drop(request)

    @staticmethod
    async def _drop(request: web.BaseRequest) -> web.Response:
        """End the TCP connection; the response goes nowhere."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)


def _object(raw: bytes) -> Json | None:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _body(request: web.BaseRequest, raw: bytes) -> Json:
    """The JSON object of a call; anything else is a missing body to DingTalk (§4)."""
    body = _object(raw) if request.content_type == "application/json" else None
    if body is None:
        raise Refusal(400, "Missingbody", "body is mandatory for this action.")
    return body


def _json(body: Json, status: int = 200, request_id: str = "") -> web.Response:
    return web.Response(
        text=json.dumps(body, ensure_ascii=False),
        status=status,
        content_type="application/json",
        headers={"x-acs-request-id": request_id or str(uuid.uuid4()).upper()},
    )


def _refuse(refusal: Refusal) -> web.Response:
    request_id = str(uuid.uuid4()).upper()
    body = {"code": refusal.code, "requestid": request_id, "message": refusal.message}
    return _json({**body, **refusal.more}, refusal.status, request_id)
