"""Makes what the plan says go wrong at the two neighbours and to the process, and ends it again."""

import signal
from collections.abc import Callable

from dod.sim.dify.scripts import Fault
from dod.sim.dingtalk.faults import Api, Faults, GatewayFault, Mishap, Refusal
from dod.sim.dingtalk.world import SimApp, SimMessage
from tests.storm.cast import Bot, Cast
from tests.storm.host import Host
from tests.storm.journal import Journal
from tests.storm.plan import Event
from tests.storm.records import Records

GATEWAY: tuple[GatewayFault, ...] = (
    *("unavailable", "html", "hang", "close", "not_ready", "unavailable", "close", "no_auth"),
)
APIS: tuple[Api, ...] = (
    *("create_and_deliver", "streaming", "update", "webhook", "token", "streaming"),
)
COUNTED: tuple[Api, ...] = ("create_and_deliver", "streaming", "update")
MISHAPS: dict[str, Mishap] = {
    "5xx": "busy",
    "a proxy's page": "html",
    "no answer": "hang",
    "connection reset": "reset",
    "answer lost": "lost",
}
QPS = Refusal(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "请求被暂时禁用了")
SCOPES = ("Card.Instance.Write", "Card.Streaming.Write")
REFUSED = (
    Fault("refuse", status=400, code="provider_not_initialize", message="no model"),
    Fault("refuse", status=400, code="provider_quota_exceeded", message="quota"),
    Fault("refuse", status=400, code="app_unavailable", message="unavailable"),
    Fault("refuse", status=401, code="unauthorized", message="Access token is invalid"),
    Fault("refuse", status=413, code="file_too_large", message="too large"),
    Fault("refuse", status=429, code="too_many_requests", message="too many"),
    Fault("refuse", status=404, message="Not Found", html=True),
)
STRANGE = ("no json", "[]", "{}", '{"type":"CALLBACK"}', '{"headers":null,"data":7}', "\u0000")
FREEZE = 8.0  # seconds at most

Later = Callable[[float, Callable[[], None]], None]


class Trouble:
    """Thread: main; what changes a simulator goes to its loop."""

    def __init__(
        self, host: Host, cast: Cast, records: Records, journal: Journal, later: Later
    ) -> None:
        self._host = host
        self._cast = cast
        self._records = records
        self._journal = journal
        self._later = later

    def act(self, event: Event) -> None:
        family, _, name = event.fault.partition(": ")
        bot = self._cast.bots[event.bot]
        match family:
            case "dingtalk":
                made = self._host.run(self._dingtalk(name, bot, event))
            case "dify":
                made = self._host.run(self._dify(name, bot, event))
            case _:
                made = self._process(name, event)
        if made:
            detail = made if isinstance(made, str) else ""
            self._journal.made(
                event.fault, bot=bot.name, seconds=event.seconds, times=event.times, detail=detail
            )

    def calm(self) -> None:
        """End everything that is still going on."""
        self._host.run(self._calm())

    async def _calm(self) -> None:
        sim, ahead = self._host.dingtalk, self._host.dingtalk.faults.clock_ahead
        sim.faults.clear()
        sim.faults.clock_ahead = ahead
        for app in sim.apps.values():
            app.faults.clear()
            for connection in sim.connections(app.client_id):
                if connection.half_open:
                    connection.transport.abort()
        for bot in self._cast.bots:
            bot.pen.slowly = 0.0
            for key in bot.dify_keys:
                app_ = self._host.dify.app(key)
                app_.fault, app_.enabled, app_.split = None, True, 0
                while app_.take_fault() is not None:
                    pass

    # -- DingTalk

    async def _dingtalk(self, name: str, bot: Bot, event: Event) -> bool | str:
        sim, client_id = self._host.dingtalk, bot.client_id
        app = sim.apps[client_id]
        match name:
            case "redelivery":
                return await self._redeliver(event)
            case "connection cut":
                await sim.cut(client_id)
            case "all connections cut":
                for one in tuple(sim.apps):
                    await sim.cut(one)
            case "connection half-open":
                await sim.half_open(client_id)
            case "disconnect frame":
                await sim.disconnect(client_id)
            case "gateway refuses or hangs":
                return await self._close_gateway(app, event)
            case "token expired":
                sim.expire_tokens(client_id)
            case "QPS 403":
                app.faults.next(COUNTED[event.pick % len(COUNTED)], QPS, event.times)
            case "latency":
                self._for_a_while(app.faults, event, latency={"*": (0.2, 2.5)})
            case "quota 403":
                self._for_a_while(app.faults, event, quota_used_up=True)
            case "missing scope":
                scope = SCOPES[event.pick % len(SCOPES)]
                self._for_a_while(app.faults, event, missing_scopes={scope})
            case "address refused":
                self._for_a_while(app.faults, event, address_refused=True)
            case "outage":
                return await self._fall_silent(event)
            case "card vanished":
                return self._vanish(event)
            case "strange frames":
                for text in STRANGE[: event.times + 1]:
                    await sim.send_raw(client_id, text)
                await sim.system(client_id, "WHATEVER")
            case _:
                api = APIS[event.pick % len(APIS)]
                app.faults.next(api, MISHAPS[name], event.times)
                return f"{event.times} × {api}"
        return True

    def _for_a_while(self, faults: Faults, event: Event, **changes: object) -> None:
        usual = Faults()
        for name, value in changes.items():
            setattr(faults, name, value)

        def end() -> None:
            for name in changes:
                setattr(faults, name, getattr(usual, name))

        self._later(event.seconds, lambda: self._host.soon(end))

    async def _redeliver(self, event: Event) -> bool | str:
        """A message of the last minutes comes again, acknowledged or not."""
        said: list[SimMessage] = self._records.messages[-120:]
        if not said:
            return False
        message = said[event.pick % len(said)]
        for _ in range(1 + event.times % 2):
            await self._host.dingtalk.push_again(message)
        return message.text[:20]

    async def _close_gateway(self, app: SimApp, event: Event) -> str:
        fault = GATEWAY[event.pick % len(GATEWAY)]
        self._for_a_while(app.faults, event, gateway=fault)
        await self._host.dingtalk.cut(app.client_id)
        return fault

    async def _fall_silent(self, event: Event) -> bool:
        """The office's line is down: nothing goes through, and nothing is answered."""
        sim = self._host.dingtalk
        for app in sim.apps.values():
            for api in ("create_and_deliver", "streaming", "update", "webhook", "token"):
                app.faults.next(api, "reset", 30)
            self._for_a_while(app.faults, event, gateway="unavailable", plan={})
            await sim.cut(app.client_id)
        return True

    def _vanish(self, event: Event) -> bool | str:
        """A card that is being typed on is gone."""
        typing = [
            card
            for card in self._host.dingtalk.cards.values()
            if card.chat is not None and card.state in {"processing", "typing"}
        ]
        if not typing:
            return False
        card = typing[event.pick % len(typing)]
        self._host.dingtalk.vanish(card)
        return card.id

    # -- Dify

    async def _dify(self, name: str, bot: Bot, event: Event) -> bool | str:
        app = self._host.dify.app(bot.dify_key)
        after = event.pick % 12
        match name:
            case "refused (4xx)":
                app.fail_next(REFUSED[event.pick % len(REFUSED)], event.times)
            case "5xx":
                fault = Fault("refuse", status=500, code="internal_server_error", message="oops")
                app.fail_next(fault, event.times)
            case "a gateway's page":
                status = (502, 503, 504)[event.pick % 3]
                page = Fault("refuse", status=status, message="Bad Gateway", html=True)
                app.fail_next(page, event.times)
            case "overload":
                app.fail_next(Fault("overload"), event.times * 2)
            case "error event":
                app.fail_next(Fault("error", after=after), event.times)
            case "hang":
                app.fail_next(Fault("hang", after=after - 1, seconds=40.0), event.times)
            case "reset before a byte":
                app.fail_next(Fault("reset", after=-1), event.times)
            case "reset in mid-answer":
                app.fail_next(Fault("reset", after=after), event.times)
            case "end without terminal event":
                app.fail_next(Fault("end", after=after * 5), event.times)
            case "garbage":
                app.fail_next(Fault("garbage", after=after), event.times)
            case "slow":
                bot.pen.slowly = 1.0 + event.pick % 5
                self._later(event.seconds, lambda: setattr(bot.pen, "slowly", 0.0))
            case "bytes split anywhere":
                app.split = 1 + event.pick % 7
                self._later(event.seconds, lambda: setattr(app, "split", 0))
            case "conversation forgotten":
                return self._forget(bot, event)
            case "API switched off":
                app.enabled = False
                self._later(min(event.seconds, 5.0), lambda: setattr(app, "enabled", True))
        return True

    def _forget(self, bot: Bot, event: Event) -> bool | str:
        """Conversations of this bot's people that are not being answered just now."""
        known = [
            asked.answered_in
            for asked in self._host.dify.requests[-300:]
            if asked.key == bot.dify_key and asked.answered_in and asked.outcome
        ]
        for conversation in known[-event.times :]:
            self._host.dify.forget(conversation)
            self._records.forgotten.add(conversation)
        return ", ".join(known[-event.times :]) or False

    # -- the process

    def _process(self, name: str, event: Event) -> bool | str:
        match name:
            case "kill -9":
                return str(self._host.signal(signal.SIGKILL) or "")
            case "TERM":
                self._host.control("restart", "dod")
                return True
            case _:
                pid = self._host.signal(signal.SIGSTOP)
                seconds = min(event.seconds, FREEZE)
                if pid:
                    self._later(seconds, lambda: self._thaw(pid))
                return str(pid or "")

    def _thaw(self, pid: int) -> None:
        self._host.signal(signal.SIGCONT, pid)
