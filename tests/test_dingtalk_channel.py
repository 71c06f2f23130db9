"""One channel at a simulated DingTalk, for all tests of this edge; and the channel's own rules."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from dod import logs
from dod.dingtalk.channel import DingTalkChannel
from dod.dingtalk.times import Backoff, Times
from dod.messages import CardStyle, Message, digest
from dod.ports import Channel, StateChange
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.templates import PUBLIC_CARD
from dod.sim.dingtalk.world import SimChat, SimPerson

ID = "dingabcdefgh1234"
SECRET = "s3cr3t-of-the-app"
OWN = CardStyle("own.schema", "content")
PUBLIC = CardStyle(PUBLIC_CARD, "msgContent", public=True)
QUICK = Times(
    ack=0.05,
    leave=0.5,
    overlap=0.2,
    handshake=0.2,
    close=0.2,
    answer=0.3,
    pause=0.01,
    patience=0.5,
    again=0.001,
    credentials=Backoff(0.01, 0.02),
)


@dataclass
class Scene:
    """A person in 1:1 and in a group, one bot, and all that its channel told."""

    sim: SimDingTalk
    channel: DingTalkChannel
    ann: SimPerson
    single: SimChat
    group: SimChat
    messages: list[Message] = field(default_factory=list)
    states: list[StateChange] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)
    pushed: Counter[str] = field(default_factory=Counter)
    on_message: Callable[[Message], Awaitable[None]] | None = None
    running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.running = asyncio.create_task(self.channel.run(self._receive, self.states.append))

    async def connect(self) -> None:
        await self.start()
        await self.until(lambda: self.state == "connected")

    @property
    def state(self) -> str:
        return self.states[-1].state if self.states else ""

    @property
    def words(self) -> list[str]:
        return [change.state for change in self.states]

    async def _receive(self, message: Message) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            await self.on_message(message)

    async def hear(self, text: str = "hi", *, chat: SimChat | None = None) -> Message:
        """What the bridge gets when Ann says something (without the wire, if not connected)."""
        count = len(self.messages)
        await self.sim.say(ID, chat or self.single, self.ann, text)
        await self.until(lambda: len(self.messages) > count)
        return self.messages[-1]

    async def connected_after(self, number: int) -> None:
        """Wait for one more connection than ``number``."""
        await self.until(lambda: self.channel.connections > number)

    async def until(self, true: Callable[[], object], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  (a condition of the simulator has no event)
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def scene(
    *,
    times: Times = QUICK,
    backoff: Backoff | None = None,
    qps: Callable[[], int] = lambda: 0,
    sim_qps: int = 0,
    secret: str = SECRET,
    switches: Switches | None = None,
    openapi: str = "",
    staff_id: str | None = "staff-ann",
    wall: Callable[[], float] = time.time,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Scene]:
    sim = SimDingTalk(port=0, qps=sim_qps, switches=switches or Switches(), tls=tls)
    await sim.start()
    sim.add_app(ID, SECRET)
    sim.add_template("own.schema")
    ann = sim.person("小安", staff_id)
    spent: Counter[str] = Counter()
    pushed: Counter[str] = Counter()
    channel = DingTalkChannel(
        client_id=ID,
        client_secret=secret,
        openapi=openapi or sim.url,
        oapi=openapi or sim.url,
        qps=qps,
        spend=lambda corp: spent.update([corp]),
        push=lambda corp: pushed.update([corp]),
        backoff=backoff or Backoff(0.005, 0.02),
        times=times,
        wall=wall,
    )
    made = Scene(
        sim,
        channel,
        ann,
        sim.single(ID, ann),
        sim.group("项目群", [ann]),
        spent=spent,
        pushed=pushed,
    )
    try:
        yield made
    finally:
        await channel.aclose()
        if made.running is not None:
            await asyncio.gather(made.running, return_exceptions=True)
        await sim.close()


def test_channel_is_what_the_bridge_asks_for() -> None:
    async def act() -> None:
        async with scene() as it:
            channel: Channel = it.channel
            await it.connect()
            message = await it.hear("你好")
            card = channel.card(message, OWN, 2)
            assert card.id == digest(ID, message.id, "2")
            assert channel.connections == 1
            assert it.pushed == {"dingcorp1": 1}

    asyncio.run(act())


def test_everything_but_run_works_without_a_connection_and_closing_twice_is_fine() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            message = await it.hear()
            await it.channel.leave()
            await it.channel.leave()
            assert it.words == ["connecting", "connected", "stopped"]
            await it.channel.card(message, OWN).open()
            await it.channel.reply(message, "still here")
            assert [reply.text for reply in it.sim.replies] == ["still here"]
            await it.channel.aclose()
            await it.channel.aclose()

    asyncio.run(act())


def test_a_channel_that_never_ran_can_leave_and_close() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.leave()
            await it.channel.run(it._receive, it.states.append)
            assert it.states == []

    asyncio.run(act())


def test_time_is_dingtalks_also_when_the_local_clock_is_wrong() -> None:
    async def act() -> None:
        async with scene() as it:
            it.sim.faults.clock_ahead = 7200
            before = it.channel.now()
            await it.connect()
            assert it.channel.now() - before > 7000
            message = await it.hear()
            assert abs(message.received_at - it.channel.now()) < 30
            assert message.webhook_expires_at > it.channel.now()

    asyncio.run(act())


def test_no_secret_in_any_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    """Tickets, tokens, the secret, webhooks and texts: a whole life at DEBUG, raw records."""

    async def act() -> list[str]:
        async with scene(times=replace(QUICK, ping=0.05, pong=0.05)) as it:
            await it.connect()
            message = await it.hear("a very private question")
            for style, n in ((OWN, 0), (PUBLIC, 1)):
                card = it.channel.card(message, style, n)
                await card.open()
                await card.update(lambda: "a very private answer")
                await card.finish("a very private answer", f"guid-{n}")
            await it.channel.reply(message, "a very private answer")
            expired = replace(message, webhook_expires_at=1.0)
            await it.channel.reply(expired, "a very private answer")
            await it.sim.send_raw(ID, '{"ticket": "a very private question"')
            await it.sim.disconnect(ID)
            await it.until(lambda: it.channel.connections == 2)
            await it.sim.cut(ID)
            await it.until(lambda: it.channel.connections == 3)
            await it.sim.half_open(ID)
            await it.until(lambda: it.channel.connections == 4)
            it.sim.faults.gateway = "html"
            await it.sim.cut(ID)
            await it.until(lambda: it.state == "retrying")
            return [*it.sim.gate._tokens, SECRET, message.webhook, "a very private"]

    levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    root, handlers = logging.root.level, list(logging.root.handlers)
    try:
        logs.set_up("DEBUG")
        for name in ("websockets", "httpcore", "asyncio"):  # safe even if they were let loose
            logging.getLogger(name).setLevel(logging.DEBUG)
        with caplog.at_level(logging.DEBUG):
            secrets = asyncio.run(act())
    finally:
        logging.root.setLevel(root)
        for handler in set(logging.root.handlers) - set(handlers):
            logging.root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    said = "\n".join(f"{r.name} {r.getMessage()} {r.exc_text or ''}" for r in caplog.records)
    assert "state=connected" in said
    assert "ticket" not in said
    assert not [secret for secret in secrets if secret in said]
