"""The old API of the simulated DingTalk (oapi.dingtalk.com), and its webhooks.

The token is in the query; errors are HTTP 200 with an errcode. Facts: dingtalk-protocol §4, §6–§8.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from dod.sim.dingtalk.bodies import answer_json, object_of
from dod.sim.dingtalk.faults import Api, Json, OldRefusal, Refusal, Switches
from dod.sim.dingtalk.files import Files
from dod.sim.dingtalk.gate import OLD_ERRCODES, Gate
from dod.sim.dingtalk.mishaps import Mishaps
from dod.sim.dingtalk.robot import Robot
from dod.sim.dingtalk.world import SimApp


class OldApi:
    """Thread: the simulator's loop."""

    def __init__(
        self, gate: Gate, robot: Robot, files: Files, switches: Switches, mishaps: Mishaps
    ) -> None:
        self._gate = gate
        self._robot = robot
        self._files = files
        self._switches = switches
        self._mishaps = mishaps

    async def token(self, request: web.BaseRequest) -> web.Response:
        return await self._call(request, "old_token", self._token)

    async def webhook(self, request: web.BaseRequest) -> web.Response:
        return await self._call(request, "webhook", self._webhook)

    async def upload(self, request: web.BaseRequest) -> web.Response:
        return await self._call(request, "upload", self._upload)

    async def _call(
        self,
        request: web.BaseRequest,
        api: Api,
        answer: Callable[[web.BaseRequest], Awaitable[Json]],
    ) -> web.Response:
        """A call of the old API or a webhook."""
        app = self._app(request, api)
        try:
            mishap = await self._mishaps.due(app, api)
            if mishap is not None and mishap != "lost":
                return await self._mishaps.spoil(request, app, api, mishap)
            if api == "upload":
                self._gate.admit(self._owner(request), api)
            body = await answer(request)
        except OldRefusal as refusal:
            errcode, errmsg = refusal.errcode, refusal.errmsg
        except Refusal as refusal:
            errcode, errmsg = OLD_ERRCODES.get(refusal.code, -1), refusal.message
            self._robot.spoil(request.query.get("session", ""), refusal.code)
        else:
            self._gate.count(app, api)
            return await self._mishaps.drop(request) if mishap else answer_json(body)
        self._gate.count(app, api, str(errcode))
        await request.release()  # a body left unread would reset the connection
        return answer_json({"errcode": errcode, "errmsg": errmsg})

    def _app(self, request: web.BaseRequest, api: Api) -> SimApp | None:
        if api == "old_token":
            return self._gate.world.apps.get(request.query.get("appkey", ""))
        if api == "webhook":
            session = self._robot.sessions.get(request.query.get("session", ""))
            return session.app if session else None
        try:
            return self._owner(request)
        except Refusal:
            return None

    def _owner(self, request: web.BaseRequest) -> SimApp:
        return self._gate.owner(request.query.get("access_token", ""), old=True)

    async def _token(self, request: web.BaseRequest) -> Json:
        app = self._app(request, "old_token")
        if app is None or request.query.get("appsecret") != app.client_secret:
            raise OldRefusal(40089, "不合法的corpid或corpsecret")
        token = self._gate.token(app, old=True)
        lifetime = int(self._switches.token_lifetime)
        return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": lifetime}

    async def _webhook(self, request: web.BaseRequest) -> Json:
        raw = await request.read()
        if request.content_type != "application/json":
            raise OldRefusal(43004, "无效的HTTP HEADER Content-Type")
        body = object_of(raw)
        if body is None:
            raise OldRefusal(40035, "缺少参数 json")
        return self._robot.post(request.query.get("session", ""), body)

    async def _upload(self, request: web.BaseRequest) -> Json:
        if request.content_type != "multipart/form-data":
            raise OldRefusal(43004, "无效的HTTP HEADER Content-Type")
        form = await request.post()
        media = form.get("media")
        if not isinstance(media, web.FileField):
            raise OldRefusal(40035, "缺少参数 media")
        kind = str(form.get("type") or request.query.get("type", ""))
        with media.file:
            return self._files.upload(kind, media.filename, media.file.read())
