import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dod.budget import PREFIX
from dod.meter import Meter
from dod.ports import Json
from tests.fakes import MemoryStore
from tests.test_budget import ledger, meter


async def until(claim: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await claim():  # noqa: ASYNC110 - it happens on a timer of the meter
            await asyncio.sleep(0.002)


def test_what_is_counted_before_loading_does_not_replace_the_earlier_count() -> None:
    store = MemoryStore()

    async def scenario() -> None:
        first = meter(ledger(store))
        await first.load()
        first.spend("corp", 7)
        await first.flush()
        book = ledger(store)
        second = meter(book)
        second.spend("corp")
        await second.flush()
        await second.load()
        await second.flush()
        assert book.spent("corp") == 8
        third = ledger(store)
        await meter(third).load()
        assert third.spent("corp") == 8

    asyncio.run(scenario())


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, key: str, value: Json, *, expire: float | None = None) -> None:
        self.puts += 1
        await self.gate.wait()
        await super().put(key, value, expire=expire)


def test_counts_reach_the_store_by_themselves_and_few_at_a_time() -> None:
    async def scenario() -> None:
        store = CountingStore()
        one = meter(ledger(store), write_after=0.01)
        await one.load()
        for _ in range(100):
            one.spend("corp")

        async def written() -> bool:
            return [value["calls"] for _, value in await store.items(PREFIX)] == [100]

        await until(written)
        assert store.puts == 1
        await one.flush()
        assert store.puts == 1, "nothing has changed"

    asyncio.run(scenario())


def test_what_is_counted_during_a_write_is_written_too() -> None:
    async def scenario() -> None:
        store = CountingStore()
        store.gate.clear()
        one = meter(ledger(store), write_after=0.001)
        await one.load()
        one.spend("corp")

        async def begun() -> bool:
            return store.puts == 1

        await until(begun)
        one.spend("corp")
        store.gate.set()

        async def written() -> bool:
            return [value["calls"] for _, value in await store.items(PREFIX)] == [2]

        await until(written)
        one.spend("corp")
        await one.flush()
        assert [value["calls"] for _, value in await store.items(PREFIX)] == [3]

    asyncio.run(scenario())


def test_a_write_that_fails_is_not_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    class ClosedStore(MemoryStore):
        closed = True

        async def put(self, key: str, value: Json, *, expire: float | None = None) -> None:
            if self.closed:
                raise OSError("closed")
            await super().put(key, value, expire=expire)

    async def scenario() -> None:
        store = ClosedStore()
        one = meter(ledger(store), write_after=0.001)
        await one.load()
        one.spend("corp")

        async def said() -> bool:
            return "counts not written" in caplog.text

        await until(said)
        store.closed = False
        await one.flush()
        assert len(await store.items(PREFIX)) == 1

    asyncio.run(scenario())


def test_the_months_messages_are_warned_of_before_they_run_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act() -> None:
        one = Meter(ledger(MemoryStore()), "bot-1", lambda: 0, pushes=lambda: 10)
        for _ in range(12):
            one.push("corp")
        one.push("another corp")
        await one.flush()

    asyncio.run(act())
    told = [record.getMessage() for record in caplog.records if "messages" in record.getMessage()]
    assert [it[: it.index(" messages")] for it in told] == [
        "budget: 8 of the month's 10",
        "budget: 10 of the month's 10",
    ]
