"""Claims against a store that is slow, and a clock that is wrong."""

import asyncio
import time
from pathlib import Path

import pytest

from dod.bridge import claim as claim_module
from dod.bridge import claims as claims_module
from dod.bridge.claim import KEEP, Claim
from dod.bridge.claims import Claims
from dod.bridge.conversations import Conversations
from dod.bridge.patience import Patience
from dod.config.spec import Conversation
from dod.messages import ConversationKey, Message
from dod.ports import Json
from dod.store.disk import DiskStore
from tests.fakes import MemoryStore, ScriptedApp
from tests.scene import message

KEY = ConversationKey("ding", "cid", "ann")


class SlowStore(MemoryStore):
    """Writes wait for ``gate``."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def add(self, key: str, value: Json, *, expire: float | None = None) -> bool:
        await self.gate.wait()
        return await super().add(key, value, expire=expire)

    async def put(self, key: str, value: Json, *, expire: float | None = None) -> None:
        await self.gate.wait()
        await super().put(key, value, expire=expire)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_module, "CLAIM_WAIT", 0.01)
    monkeypatch.setattr(claim_module, "STORE_WAIT", 0.01)


def test_a_slow_disk_delays_no_acknowledgement() -> None:
    async def scenario() -> None:
        store = SlowStore()
        claims = Claims("ding", store)
        claim = await claims.take(message(1))
        assert claim is not None
        await claim.asked(cards=0)
        assert await claims.take(message(1)) is None
        store.gate.set()
        assert await claim.fresh()
        await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_memory_does_not_grow_with_the_messages_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redelivery comes within minutes; whatever comes later is found on disk."""
    monkeypatch.setattr(claims_module, "SEEN", -1.0)

    async def scenario() -> None:
        claims = Claims("ding", MemoryStore())
        for number in range(50):
            assert await claims.take(message(number)) is not None
        assert len(claims._seen) <= 1
        assert await claims.take(message(7)) is None

    asyncio.run(scenario())


def test_a_late_answer_of_the_disk_still_stops_a_double() -> None:
    async def scenario() -> None:
        store = SlowStore()
        store.gate.set()
        first = await Claims("ding", store).take(message(1))
        assert first is not None
        store.gate.clear()
        second = await Claims("ding", store).take(message(1))  # as after a restart
        assert second is not None
        store.gate.set()
        assert not await second.fresh()

    asyncio.run(scenario())


def test_a_claim_survives_the_way_to_disk() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        claims = Claims("ding", store)
        claim = await claims.take(message(1, "text"))
        assert claim is not None
        await claim.opening(2, "shown")
        await claim.asked(cards=0)
        await claim.finishing("whole", "guid", failed=True)
        (again,) = await Claims("ding", store).load()
        assert again.to_json() == claim.to_json()
        await claim.done()
        assert await Claims("ding", store).load() == []

    asyncio.run(scenario())


def test_claims_of_another_bot_are_not_ours() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        await Claims("ding-a", store).take(message(1))
        assert await Claims("ding-b", store).load() == []
        assert await Claims("ding", store).load() == []

    asyncio.run(scenario())


def test_a_disk_that_hangs_is_waited_for_once_and_not_at_every_write(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first wait is longer than the test may take: whoever waits so long again is caught."""
    monkeypatch.setattr(claim_module, "CLAIM_WAIT", 0.05)
    monkeypatch.setattr(claim_module, "STORE_WAIT", 3600.0)
    monkeypatch.setattr("dod.bridge.patience.ENOUGH", 0.1)
    monkeypatch.setattr("dod.bridge.patience.HARDLY", 0.001)

    async def scenario() -> None:
        store = SlowStore()
        claims = Claims("ding", store, patience=(patience := Patience()))
        conversations = Conversations(store, patience)
        app = ScriptedApp(())
        async with asyncio.timeout(10):
            for number in range(3):
                claim = await claims.take(message(number))
                assert claim is not None
                assert await claim.fresh()
                await claim.asked(cards=1)
                await conversations.remember(KEY, app, "conv")
                await claim.done()
            store.gate.set()
            while patience._hanging:  # noqa: ASYNC110  (no event tells)
                await asyncio.sleep(0.001)
        assert await Claims("ding", store).load() == [], "all of it is on disk in the end"
        assert await conversations.recall(KEY, app, Conversation()) == "conv"

    asyncio.run(scenario())
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["store is slow: going on without it", "store answers again"]


def test_a_redelivery_before_a_slow_store_is_read_loses_no_message() -> None:
    """It was taken by the process before: who delivers it again must not hide it."""

    async def scenario() -> None:
        store = SlowItems()
        assert await Claims("ding", store).take(message(1))
        claims = Claims("ding", store)
        loading = asyncio.create_task(claims.load())
        await store.asked.wait()
        again = await claims.take(message(1))
        store.gate.set()
        (left,) = await loading
        assert left.message == message(1)
        assert again is None or not await again.fresh()

    asyncio.run(scenario())


def test_a_message_taken_while_a_slow_store_is_read_is_no_leftover() -> None:
    async def scenario() -> None:
        store = SlowItems()
        claims = Claims("ding", store)
        loading = asyncio.create_task(claims.load())
        await store.asked.wait()
        claim = await claims.take(message(1))
        store.gate.set()
        assert claim is not None
        assert await claim.fresh()
        assert await loading == []

    asyncio.run(scenario())


class SlowItems(MemoryStore):
    """Reading all of it waits for ``gate``."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()

    async def items(self, prefix: str) -> list[tuple[str, Json]]:
        if prefix == "claim/ding/":
            self.asked.set()
            await self.gate.wait()
        return await super().items(prefix)


def answered(path: Path, said: Message) -> None:
    store = DiskStore.open(path)

    async def answer() -> None:
        claim = await Claims("ding", store).take(said)
        assert claim is not None
        await claim.done()

    asyncio.run(answer())
    assert store.close(30)


def restarted(path: Path, said: Message) -> Claim | None:
    """What another delivery of ``said`` comes to in a process that begins anew."""
    store = DiskStore.open(path)
    claims = Claims("ding", store)

    async def deliver() -> Claim | None:
        assert await claims.load() == []
        return await claims.take(said)

    try:
        return asyncio.run(deliver())
    finally:
        assert store.close(30)


@pytest.mark.parametrize(
    "wrong_by", [365 * 86_400.0, time.time() - 60, -365 * 86_400.0], ids=["behind", "1970", "ahead"]
)
def test_a_clock_set_right_lets_nothing_be_answered_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong_by: float
) -> None:
    """Answered, the clock is set right, a restart, and DingTalk delivers again: all in a minute."""
    clock = time.time
    said = message(1, created_at=clock())

    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: clock() - wrong_by)
        answered(tmp_path / "store", said)
    assert restarted(tmp_path / "store", said) is None


def test_what_is_done_is_forgotten_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.time
    said = message(1, created_at=clock())
    answered(tmp_path / "store", said)
    monkeypatch.setattr(time, "time", lambda: clock() + KEEP - 60)
    assert restarted(tmp_path / "store", said) is None
    monkeypatch.setattr(time, "time", lambda: clock() + KEEP + 60)
    assert restarted(tmp_path / "store", said) is not None
