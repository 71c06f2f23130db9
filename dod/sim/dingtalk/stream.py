"""Stream mode of the simulated DingTalk: tickets, websockets, pushes, acks, redelivery.

Facts: dingtalk-protocol §1 and §2. A push goes to one connection, chosen at random among those
that subscribed to its topic. What a client does wrong without being refused (an ack that names no
message, a pong without its opaque) is written down in ``complaints``.
"""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from aiohttp import WSMsgType, web

from dod.sim.dingtalk import presses
from dod.sim.dingtalk.connection import SimConnection
from dod.sim.dingtalk.faults import Faults, GatewayFault, Json, Refusal, Switches
from dod.sim.dingtalk.world import Ack, Push, SimApp, SimEvent, SimMessage, SimPress, World

BOT_TOPIC = "/v1.0/im/bot/messages/get"
CARD_TOPIC = "/v1.0/card/instances/callback"
_KINDS = {"EVENT", "CALLBACK", "SYSTEM"}


class Stream:
    """Lifecycle: used while the server runs → ``close``, which ends every task and link."""

    def __init__(self, world: World, switches: Switches, faults: Faults) -> None:
        self.world = world
        self.switches = switches
        self.faults = faults
        self.live: dict[str, list[SimConnection]] = {}
        self.opened: Counter[str] = Counter()
        self.month_pushes: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.issued: set[str] = set()  # tickets
        self.url = ""
        self._tickets: dict[str, tuple[SimApp, frozenset[str], float]] = {}
        self._unsent: list[SimMessage] = []
        self._presses: dict[str, SimPress] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ opening

    def open(self, body: Json) -> Json:
        """The gateway's answer: a ticket for one connection. Raises Refusal (§1.1)."""
        app = self.world.apps.get(str(body.get("clientId")))
        if app is None or body.get("clientSecret") != app.client_secret:
            raise Refusal(401, "authFailed", "鉴权失败")
        match self.fault(app):
            case "no_auth":
                raise Refusal(401, "authFailed", "鉴权失败")
            case "unavailable":
                raise Refusal(503, "ServiceUnavailable", "服务不可用")
        if not app.published or self.fault(app) == "not_ready":
            raise Refusal(400, "param.invalid", "应用未发布或机器人未开启Stream模式")
        subscriptions = body.get("subscriptions")
        if not isinstance(subscriptions, list) or not subscriptions:
            raise Refusal(400, "param.invalid", "subscriptions is empty")
        for one in subscriptions:
            if (
                not isinstance(one, dict)
                or one.get("type") not in _KINDS
                or not isinstance(one.get("topic"), str)
            ):
                raise Refusal(400, "param.invalid", "subscriptions holds {type, topic}")
        bound = self.switches.max_connections
        if 0 < bound <= len(self.live.get(app.client_id, ())):
            raise Refusal(503, "ServiceUnavailable", "too many connections")
        topics = frozenset(one["topic"] for one in subscriptions if one["type"] == "CALLBACK")
        ticket = str(uuid.uuid4())
        self.issued.add(ticket)
        self._tickets[ticket] = (app, topics, time.monotonic() + self.switches.ticket_lifetime)
        return {"endpoint": self.url.replace("http", "ws", 1) + "/connect", "ticket": ticket}

    def fault(self, app: SimApp | None) -> GatewayFault:
        return (app.faults.gateway if app else "") or self.faults.gateway

    async def connect(self, request: web.BaseRequest) -> web.StreamResponse:
        """The websocket: from handshake to its end."""
        app, topics, until = self._tickets.pop(
            request.query.get("ticket", ""), (None, frozenset(), 0.0)
        )
        transport = request.transport
        if app is None or until <= time.monotonic() or transport is None:
            return web.Response(status=self.switches.bad_ticket_status, text="ticket is invalid")
        ws = web.WebSocketResponse(timeout=1.0, compress=False)
        try:
            await ws.prepare(request)
        except ConnectionError:  # killed in mid-handshake; this reaches nobody
            return web.Response(status=503)
        connection = SimConnection(str(uuid.uuid4()), app, topics, ws, transport)
        self.opened[app.client_id] += 1
        if self.fault(app) == "close":
            await ws.close()
            return ws
        self.live.setdefault(app.client_id, []).append(connection)
        self.world.tell(SimEvent("connection", connection))
        try:
            await self._greet(connection)
            async for frame in ws:
                connection.heard_at = time.monotonic()
                if frame.type is WSMsgType.TEXT:
                    self._hear(connection, frame.data)
        finally:
            connection.closed = True
            self.live[app.client_id].remove(connection)
            self.world.tell(SimEvent("connection", connection))
        return ws

    async def _greet(self, connection: SimConnection) -> None:
        if self.switches.registered_frames:
            await connection.system("CONNECTED", {})
            await connection.system("REGISTERED", {})
        if self.switches.keepalive:
            self.spawn(connection.keep_alive(self.switches.keepalive))
        waiting = [one for one in self._unsent if one.app is connection.app]
        self._unsent = [one for one in self._unsent if one.app is not connection.app]
        for message in waiting:
            await self.push(message)

    # ------------------------------------------------------------------ pushing

    async def push(self, message: SimMessage) -> None:
        """Push to one connection, and again as redelivery demands. Lost if there is none."""
        connection = self._choose(message.app, BOT_TOPIC)
        if connection is None:
            if self.switches.push_on_connect and message not in self._unsent:
                self._unsent.append(message)
            return
        again = bool(message.pushes)
        if again and not self.switches.same_message_id:
            message.frame_id = uuid.uuid4().hex
        self.world.messages[message.frame_id] = message
        message.pushes.append(Push(connection.id, time.monotonic()))
        self.month_pushes[message.app.corp_id] += 1
        self.world.tell(SimEvent("push", message))
        await connection.send(self._frame(connection, BOT_TOPIC, message.frame_id, message.body))
        if self.switches.ack_deadline:
            self.spawn(self._insist(message))
        if not again:
            for faults in (message.app.faults, self.faults):
                for seconds in faults.redeliver_after:
                    self.spawn(self._repeat(message, seconds / faults.haste))

    async def _insist(self, message: SimMessage) -> None:
        await asyncio.sleep(self.switches.ack_deadline)
        if not message.acks and len(message.pushes) <= self.switches.redeliveries:
            await self.push(message)

    async def _repeat(self, message: SimMessage, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.push(message)

    async def push_press(self, press: SimPress, body: Json) -> None:
        connection = self._choose(press.card.app, CARD_TOPIC)
        if connection is not None:
            self._presses[press.frame_id] = press
            self.month_pushes[press.card.app.corp_id] += 1
            await connection.send(self._frame(connection, CARD_TOPIC, press.frame_id, body))

    def _choose(self, app: SimApp, topic: str) -> SimConnection | None:
        open_ = [
            one
            for one in self.live.get(app.client_id, ())
            if topic in one.topics and not (one.leaving or one.closed or one.ws.closed)
        ]
        well = [one for one in open_ if not one.half_open and not one.deaf]
        alive = open_ if self.switches.push_to_half_open else well
        return random.choice(alive or open_) if open_ else None  # noqa: S311  no cryptography

    def _frame(self, connection: SimConnection, topic: str, frame_id: str, body: Json) -> str:
        headers = {
            "appId": str(uuid.uuid5(uuid.NAMESPACE_OID, connection.app.client_id)),
            "connectionId": connection.id,
            "contentType": "application/json",
            "messageId": frame_id,
            "time": str(int((time.time() + self.faults.clock_ahead) * 1000)),
            "topic": topic,
        }
        data = json.dumps(body, ensure_ascii=False)
        frame = {"specVersion": "1.0", "type": "CALLBACK", "headers": headers, "data": data}
        return json.dumps(frame, ensure_ascii=False)

    async def disconnect(self, connection: SimConnection) -> None:
        """Announce the end: no more pushes at once, TCP ends after the grace (§2.1)."""
        connection.leaving = True
        await connection.system("disconnect", {"reason": "connection is expired"})
        self.spawn(connection.drop_later(self.switches.disconnect_grace))

    # ------------------------------------------------------------------ hearing

    def _hear(self, connection: SimConnection, text: str) -> None:
        """An ack, or the answer to a system ping."""
        try:
            frame = json.loads(text)
            code = int(frame["code"])
            data = json.loads(frame["data"]) if frame.get("data") else None
            frame_id = frame["headers"].get("messageId", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            self.complain(f"not an ack: {text[:200]}")
            return
        message, press = self.world.messages.get(frame_id), self._presses.get(frame_id)
        if message is not None:
            message.acks.append(Ack(connection.id, time.monotonic(), code))
            if all(push.connection != connection.id for push in message.pushes):
                self.complain(f"ack of {message.id} on a connection that never had it")
            self.world.tell(SimEvent("ack", message))
        elif press is not None:
            if wrong := presses.settle(press, data):
                self.complain(wrong)
            self.world.tell(SimEvent("press", press))
        elif frame_id in connection.frames:
            self._hear_pong(connection, connection.frames[frame_id], data)
        elif frame_id or not connection.leaving:  # ``disconnect`` has no messageId to name
            self.complain(f"ack of a frame that was never sent: {frame_id!r}")

    def complain(self, what: str) -> None:
        self.complaints.append(what)
        self.world.tell(SimEvent("complaint", what))

    def _hear_pong(self, connection: SimConnection, opaque: str, data: Any) -> None:
        if not opaque:
            return  # a frame that needs no answer
        if isinstance(data, dict) and data.get("opaque") == opaque:
            connection.pongs += 1
            self.world.tell(SimEvent("connection", connection))
        else:
            self.complain(f"answer to a ping without its opaque: {data!r}")

    # ------------------------------------------------------------------ ending

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="sim-dingtalk")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all tasks and links; half-open ones are aborted."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        links = [one for many in self.live.values() for one in many]
        for connection in links:
            if connection.half_open:
                connection.transport.abort()
        leaving = (one.ws.close(code=1001) for one in links if not one.half_open)
        await asyncio.gather(*leaving, return_exceptions=True)
