"""What a newcomer would like to see go wrong: one mishap at a time, begun and ended while all runs.

Only the simulated neighbours (and the process of dod itself) are touched; what dod does about it is
its own affair. What comes of it is counted by the simulators, not by dod. Thread: the demo's loop.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dod.sim.dify.app import SimApp
from dod.sim.dify.files import SimFile
from dod.sim.dify.samples import demo as demo_script
from dod.sim.dify.samples import look as look_script
from dod.sim.dify.scripts import Answer, Fault
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.faults import Api
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimEvent, SimMessage

Json = dict[str, Any]

FREE = frozenset(
    {"gateway", "token", "old_token", "webhook", "file"}
)  # DingTalk does not bill these
_APIS: tuple[Api, ...] = (
    "token",
    "create_and_deliver",
    "create",
    "deliver",
    "streaming",
    "update",
    "send_single",
    "send_group",
    "webhook",
)
_MANY = 2000  # calls: more than a bot makes while DingTalk is away


@dataclass(frozen=True)
class Mishap:
    """``side``: whose it is. ``seconds`` until it ends by itself; 0: over at once."""

    name: str
    side: Literal["dify", "dingtalk", "dod"]
    seconds: float = 0.0


MISHAPS = (
    Mishap("slow", "dify", 40.0),
    Mishap("fails", "dify", 60.0),  # or with the next question
    Mishap("down", "dify", 20.0),
    Mishap("throttle", "dingtalk", 25.0),
    Mishap("cut", "dingtalk"),
    Mishap("offline", "dingtalk", 12.0),
    Mishap("twice", "dingtalk", 30.0),
    Mishap("kill", "dod"),
)


class Trouble:
    """Lifecycle: made with the simulators → ``press``, ``calm`` at any time → ``close``.

    ``dify`` is None where a real one answers: its mishaps are not offered then. ``show`` takes the
    sections of the page that this writes; ``crash`` ends the process of dod suddenly.
    """

    def __init__(
        self,
        dingtalk: SimDingTalk,
        dify: SimDify | None,
        *,
        show: Callable[..., None],
        crash: Callable[[], None],
    ) -> None:
        self._dingtalk = dingtalk
        self._dify = dify
        self._show = show
        self._crash = crash
        self._apps: list[SimApp] = []
        self._now: Mishap | None = None
        self._begun: Json = {}  # the counts at that moment
        self._until = 0.0  # epoch seconds
        self._timer: asyncio.TimerHandle | None = None
        self._again = 0
        self.offered = {one.name: one for one in MISHAPS if dify or one.side != "dify"}
        self._unsubscribe = dingtalk.subscribe(self._on_event)
        self._tell()

    # -- the simulated Dify

    def script(self, query: str, turn: int, user: str, inputs: Mapping[str, Any]) -> Answer:
        """The demo's answers, spoilt as long as Dify is in trouble."""
        return self._spoilt(demo_script(query, turn, user, inputs))

    def look(self, query: str, files: Sequence[SimFile]) -> Answer:
        """Likewise, for what comes with pictures or files."""
        return self._spoilt(look_script(query, files))

    def _spoilt(self, answer: Answer) -> Answer:
        if self._is("slow"):
            return replace(answer, first_delay=5.0, interval=answer.interval * 4)
        if self._is("fails"):
            self._end()
            return replace(answer, fail=Fault("error", after=len(answer.pieces()) // 2))
        return answer

    def include(self, app: SimApp) -> None:
        """Spoil this app, too, when Dify is down."""
        self._apps.append(app)
        if self._is("down"):
            app.fault = _DOWN

    # -- buttons

    async def press(self, name: str) -> None:
        """Begin the mishap ``name`` and end the one before. Raises LookupError."""
        mishap = self.offered[name]
        self.calm()
        self._now, self._begun = mishap, self._counts()
        self._until = time.time() + mishap.seconds
        await self._begin(name)
        if mishap.seconds:
            self._timer = asyncio.get_running_loop().call_later(mishap.seconds, self.calm)
            self._tell()
        else:
            self._end()

    def calm(self) -> None:
        """End the mishap, if there is one. Idempotent."""
        for app in self._apps:
            app.fault = None
        self._dingtalk.gate.qps = 0
        self._dingtalk.faults.clear()
        self._end()

    def close(self) -> None:
        self.calm()
        self._unsubscribe()

    async def _begin(self, name: str) -> None:
        faults = self._dingtalk.faults
        match name:
            case "down":
                for app in self._apps:
                    app.fault = _DOWN
            case "throttle":
                self._dingtalk.gate.qps = 1
            case "twice":
                faults.redeliver_after = (0.6, 1.8)
            case "offline":
                faults.gateway = "unavailable"
                for api in _APIS:
                    faults.next(api, "reset", _MANY)
                await self._cut()
            case "cut":
                await self._cut()
            case "kill":
                self._crash()

    async def _cut(self) -> None:
        for client_id in tuple(self._dingtalk.apps):
            await self._dingtalk.cut(client_id)

    def _is(self, name: str) -> bool:
        return self._now is not None and self._now.name == name and self._until > 0.0

    def _end(self) -> None:
        self._until = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    # -- what came of it

    def _on_event(self, event: SimEvent) -> None:
        if event.kind == "push":
            message: SimMessage = event.subject
            self._again += len(message.pushes) > 1
        if event.kind in {"call", "push", "connection"}:
            self._show(counts=self._counts())

    def _counts(self) -> Json:
        """Of all bots since the start. ``calls``: billed ones; ``asked``: requests to Dify."""
        done = self._dingtalk.calls.items()
        opened = self._dingtalk.connections_opened.values()
        return {
            "calls": sum(count for (_, api), count in done if api not in FREE),
            "refused": sum(self._dingtalk.refused.values()),
            "reconnects": sum(max(0, count - 1) for count in opened),
            "again": self._again,
            "asked": len(self._dify.requests) if self._dify else None,
        }

    def _tell(self) -> None:
        self._show(
            counts=self._counts(),
            trouble={
                "offered": [{"name": it.name, "side": it.side} for it in self.offered.values()],
                "name": self._now.name if self._now else "",
                "until": int(self._until * 1000),
                "begun": self._begun,
            },
        )


_DOWN = Fault("refuse", status=502, message="Bad Gateway", html=True)
