"""The cards of a chat are opened in the order of its messages, as far as that costs nothing."""

import asyncio

import pytest

from dod.bridge import lanes as lanes_module
from dod.bridge.lanes import Lanes
from dod.messages import ConversationKey
from dod.ports import Json
from tests.fakes import MemoryStore
from tests.scene import BOB, GROUP, HELLO, Scene, message


class Slow(MemoryStore):
    """What is added under ``slow`` takes until ``gate`` is open."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.slow = slow
        self.gate = asyncio.Event()

    async def add(self, key: str, value: Json, *, expire: float | None = None) -> bool:
        if key.startswith(self.slow):
            await self.gate.wait()
        return await super().add(key, value, expire=expire)


async def overtaken(scene: Scene) -> asyncio.Task[None]:
    """Two messages of a group; the first, which is given back, still waits for the disk."""
    first = asyncio.create_task(scene.say(message(1, chat=GROUP)))
    await asyncio.sleep(0)
    await scene.say(message(2, chat=GROUP, sender=BOB))
    return first


def test_a_chat_sees_its_cards_in_the_order_of_its_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes_module, "ORDER_WAIT", 3600.0)

    async def run() -> None:
        store = Slow("claim/ding-it/msg-1")
        scene = Scene(HELLO, HELLO, store=store)
        async with scene.running():
            first = await overtaken(scene)
            await scene.say(message(3))
            await scene.until(lambda: scene.card(3).ended and len(scene.app.questions) == 2)
            assert scene.card(2).frames == [], "nor does another chat wait"
            store.gate.set()
            await first
        assert scene.card(1).ended
        assert scene.card(2).ended

    asyncio.run(run())


def test_who_waits_behind_an_earlier_question_gets_the_later_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The earlier one has more to look up before its card is opened."""
    monkeypatch.setattr(lanes_module, "ORDER_WAIT", 3600.0)

    async def run() -> None:
        store = Slow("met/")
        scene = Scene(HELLO, HELLO, store=store)
        async with scene.running():
            await scene.say(message(1), message(2))
            while not (await store.get("claim/ding-it/msg-2") or {}).get("cards"):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            assert scene.card(2).frames == []
            store.gate.set()
        assert scene.card(1).ended
        assert scene.card(2).ended

    asyncio.run(run())


def test_no_card_waits_long_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "ORDER_WAIT", 0.01)

    async def run() -> None:
        store = Slow("claim/ding-it/msg-1")
        scene = Scene(HELLO, HELLO, store=store)
        async with scene.running():
            first = await overtaken(scene)
            await scene.until(lambda: scene.card(2).ended)
            store.gate.set()
            await first

    asyncio.run(run())


def test_what_has_left_is_not_waited_for() -> None:
    async def run() -> None:
        lanes = Lanes(lambda: 8)
        first, second = (lanes.enter(ConversationKey("bot", "chat", who)) for who in "ab")
        waiting = asyncio.create_task(second.in_order())
        await asyncio.sleep(0)
        assert not waiting.done()
        first.leave()
        await waiting
        third = lanes.enter(ConversationKey("bot", "chat", "c"))
        second.opened()
        await third.in_order()
        second.leave()
        third.leave()
        await lanes.enter(ConversationKey("bot", "chat", "d")).in_order()

    asyncio.run(run())


def test_a_command_is_not_waited_for() -> None:
    async def run() -> None:
        lanes = Lanes(lambda: 8)
        lanes.enter(ConversationKey("bot", "chat", "a"), light=True)
        await lanes.enter(ConversationKey("bot", "chat", "b")).in_order()

    asyncio.run(run())
