"""One bot in this process between both simulators: real edges and sockets, short times."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from dod.bridge.bot import Bot
from dod.config.spec import BotSpec, Config
from dod.dify import DifyApp
from dod.dingtalk.channel import DingTalkChannel
from dod.dingtalk.times import Times
from dod.ports import Store
from dod.sim.dify.app import SimApp
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimCard, SimChat, SimPerson, SimReply
from tests.fakes import MemoryStore
from tests.scene import FakeMeter
from tests.test_dingtalk_channel import QUICK

# A busy machine is no fault of a neighbour: what does not test silence waits longer for it.
PATIENT = replace(QUICK, answer=5.0, handshake=5.0)
CLIENT, SECRET, KEY = "ding-office", "secret-office", "app-office"


def spec_of(kind: Kind = "chat", **changes: Any) -> BotSpec:
    app_type: Any = kind if kind in {"completion", "workflow"} else "chatbot"
    spec = BotSpec(
        name="office",
        dingtalk_app_client_id=CLIENT,
        dingtalk_app_client_secret=SECRET,
        dify_app_type=app_type,
        dify_app_api_key=KEY,
        dify_inputs=() if app_type == "chatbot" else (("query", "{text}"),),
        dingtalk_ai_card_template_id="own.schema",
        card_updates="smooth",
        dingtalk_ai_card_content_key="content",
    )
    return replace(spec, **changes)


class Office:
    """``async with Office().open() as office``; ``bot`` may be stopped and another be started."""

    bot: Bot

    def __init__(
        self,
        kind: Kind = "chat",
        version: Version = "1.13",
        *,
        store: Store | None = None,
        switches: Switches | None = None,
        sim_qps: int = 0,
        qps: int = 0,
        times: Times = PATIENT,
        dify: dict[str, Any] | None = None,
        **spec: Any,
    ) -> None:
        """``dify``: more for the ``DifyApp``; ``spec``: more for the bot's spec."""
        self.dingtalk = SimDingTalk(qps=sim_qps, switches=switches)
        self.dify = SimDify()
        self.store: Store = store or MemoryStore()
        self.kind: Kind = kind
        self.spec = spec_of(kind, **spec)
        self._version: Version = version
        self._qps, self._times = qps, times
        self._dify: dict[str, Any] = {"timeout": 15.0, "linger": 0.05, "pauses": (), **(dify or {})}
        self._running: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Office"]:
        await self.dingtalk.start()
        await self.dify.start()
        self.dingtalk.add_app(CLIENT, SECRET)
        self.dingtalk.add_template("own.schema")
        self.app: SimApp = self.dify.add_app(KEY, self.kind, version=self._version)
        self.ann: SimPerson = self.dingtalk.person("小安", "staff-ann")
        self.chat: SimChat = self.dingtalk.single(CLIENT, self.ann)
        try:
            await self.start()
            yield self
        finally:
            await self.stop(5.0)
            await self.dify.close()
            await self.dingtalk.close()

    # -- the bot

    async def start(self) -> None:
        opened = self.dingtalk.connections_opened[CLIENT]
        self.bot = Bot(
            self.spec,
            store=self.store,
            make_channel=self._channel,
            make_app=self._app,
            meter=FakeMeter("balanced"),
            config=Config,
        )
        self._running = asyncio.create_task(self.bot.run())
        await self.until(lambda: self.dingtalk.connections_opened[CLIENT] > opened)
        await self.until(lambda: self.bot.snapshot().state == "connected")

    async def stop(self, seconds: float) -> None:
        """Drain within ``seconds``, close. Idempotent."""
        if self._running is None:
            return
        await self.bot.drain(time.monotonic() + seconds)
        await asyncio.wait({self._running}, timeout=5)
        await self.bot.aclose()
        self._running = None

    async def crash(self) -> None:
        """End the bot where it stands: nothing is written any more, nothing is said."""
        await self.bot.aclose()
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait({self._running})
        self._running = None

    def _channel(self, spec: BotSpec) -> DingTalkChannel:
        return DingTalkChannel(
            client_id=spec.dingtalk_app_client_id,
            client_secret=spec.dingtalk_app_client_secret,
            openapi=self.dingtalk.url,
            qps=lambda: self._qps,
            spend=lambda _: None,
            push=lambda _: None,
            times=self._times,
        )

    def _app(self, spec: BotSpec) -> DifyApp:
        return DifyApp(
            url=self.dify.url,
            key=spec.dify_app_api_key,
            app_type=spec.dify_app_type,
            output=spec.dify_output,
            **self._dify,
        )

    # -- people

    async def say(self, text: str, person: SimPerson | None = None) -> SimChat:
        person = person or self.ann
        chat = self.dingtalk.single(CLIENT, person)
        await self.dingtalk.say(CLIENT, chat, person, text)
        return chat

    def cards(self, chat: SimChat | None = None) -> list[SimCard]:
        return [one for one in (chat or self.chat).shown if isinstance(one, SimCard)]

    def replies(self, chat: SimChat | None = None) -> list[str]:
        return [one.text for one in (chat or self.chat).shown if isinstance(one, SimReply)]

    @property
    def typed(self) -> str:
        """What the newest card shows."""
        cards = self.cards()
        return cards[-1].text if cards else ""

    async def ended(self, number: int = 1, chat: SimChat | None = None) -> SimCard:
        """The ``number``-th card, once it has ended."""
        await self.until(
            lambda: (
                len(self.cards(chat)) >= number
                and self.cards(chat)[number - 1].state in {"finished", "failed"}
            )
        )
        return self.cards(chat)[number - 1]

    async def states(self) -> Sequence[str]:
        """Of all claims on disk."""
        return [str(value["state"]) for _, value in await self.store.items("claim/")]

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  (conditions of simulators have no event)
                await asyncio.sleep(0.002)

    async def idle(self) -> None:
        """Every message is answered, and every answer has its end."""
        reception = self.bot._reception
        await self.until(lambda: not reception.tasks and not reception.insisting.tasks)
