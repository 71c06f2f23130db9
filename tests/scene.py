"""One bot between fake neighbours, for tests of the bridge's rules."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Literal

from dod.bridge.bot import Bot
from dod.config.spec import BotSpec, Config
from dod.messages import Chat, Finished, Message, Person, Started, TextDelta
from tests.fakes import FakeCard, FakeChannel, MemoryStore, ScriptedApp, Step

NOW = 1_790_000_000.0
ANN = Person("$:ann", "staff-ann", "小安")
BOB = Person("$:bob", "staff-bob", "小安")  # the same nickname on purpose
SINGLE = Chat("cid-ann", "single")
GROUP = Chat("cid-group", "group", "项目群")
SPEC = BotSpec(
    name="it",
    dingtalk_app_client_id="ding-it",
    dingtalk_app_client_secret="secret-it",
    dify_app_type="chatbot",
    dify_app_api_key="app-it",
    card_updates="smooth",
)
HELLO: tuple[Step, ...] = (
    Started("task-1", "conv-1"),
    TextDelta("Hel"),
    TextDelta("lo"),
    Finished(),
)


def message(number: int | str, text: str = "question", **changes: object) -> Message:
    base = Message(
        id=f"msg-{number}",
        chat=SINGLE,
        sender=ANN,
        text=text,
        created_at=NOW,
        received_at=NOW + 0.1,
        webhook="https://hook",
        webhook_expires_at=NOW + 5400,
        corp_id="corp",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class FakeMeter:
    """A budget that says what the test wants."""

    def __init__(self, pace: Literal["balanced", "economical", "final", "webhook"]) -> None:
        self.said = pace
        self.calls_this_month = 0
        self.pushes_this_month = 0

    async def load(self) -> None: ...

    async def flush(self) -> None: ...

    def pace(
        self, corp_id: str, now: float
    ) -> Literal["balanced", "economical", "final", "webhook"]:
        del corp_id, now
        return self.said


class Scene:
    """A running bot and its neighbours."""

    bot: Bot  # made on its loop

    def __init__(
        self,
        *scripts: tuple[Step, ...],
        spec: BotSpec = SPEC,
        store: MemoryStore | None = None,
        config: Config | None = None,
        pace: Literal["balanced", "economical", "final", "webhook"] = "balanced",
    ) -> None:
        self.store = store or MemoryStore()
        self.channel = FakeChannel(now=NOW)
        self.app = ScriptedApp(*(scripts or (HELLO,)))
        self.bot = Bot(
            spec,
            store=self.store,
            make_channel=lambda _: self.channel,
            make_app=lambda _: self.app,
            meter=FakeMeter(pace),
            config=lambda: config or Config(),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Scene"]:
        task = asyncio.create_task(self.bot.run())
        try:
            await self.until(self.bot._lines.current.connected.is_set)  # leftovers are known by now
            yield self
            await self.quiet()
        finally:
            await self.bot.drain(time.monotonic() + 1.0)
            await asyncio.wait_for(task, 5)
            await self.bot.aclose()

    async def say(self, *messages: Message) -> None:
        for each in messages:
            await self.channel.say(each)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # the fakes have no events to wait for
                await asyncio.sleep(0.002)

    async def quiet(self) -> None:
        """Every message is answered, also of apps that no bot has any more."""
        await self.until(lambda: not self.bot._reception.tasks)
        if self.bot._promises.orphans is not None:
            await asyncio.wait({self.bot._promises.orphans}, timeout=10)

    def card(self, number: int | str, n: int = 0) -> FakeCard:
        return self.channel.card(message(number), SPEC.card_style, n)

    async def state(self, number: int | str) -> str:
        record = await self.store.get(f"claim/ding-it/msg-{number}")
        return str(record["state"]) if record else ""


def play(scene: Scene, *messages: Message) -> Scene:
    """Say ``messages``, wait until all is answered, drain."""

    async def run() -> None:
        async with scene.running():
            await scene.say(*messages)

    asyncio.run(run())
    return scene
