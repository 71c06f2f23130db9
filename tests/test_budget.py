import asyncio
import math
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from dod.budget import PREFIX, Ledger
from dod.meter import Meter
from dod.ports import Json
from tests.fakes import MemoryStore

CHINA = timezone(timedelta(hours=8))


def at(*when: int) -> float:
    return datetime(*when, tzinfo=CHINA).timestamp()  # type: ignore[arg-type, misc]


NOW = at(2026, 11, 16)  # half of November is over


class Clock:
    """Epoch seconds and ticks that a test moves."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.ticks = 0.0


def ledger(store: MemoryStore, clock: Clock | None = None) -> Ledger:
    clock = clock or Clock()
    return Ledger(store, now=lambda: clock.now, ticks=lambda: clock.ticks)


def meter(of: Ledger, bot: str = "bot-1", *, limit: int = 5000, write_after: float = 60) -> Meter:
    return Meter(of, bot, lambda: limit, write_after=write_after)


def test_the_pace_follows_spend_clock_and_a_limit_that_changes() -> None:
    async def scenario() -> None:
        limit = 100
        one = Meter(ledger(MemoryStore()), "bot-1", lambda: limit)
        await one.load()
        one.spend("corp", 70)
        assert one.pace("corp", NOW) == "economical"
        assert one.pace("corp", at(2026, 11, 29)) == "balanced"
        assert one.pace("corp", at(2026, 12, 1)) == "balanced", "a new month begins at nothing"
        assert one.pace("other corp", NOW) == "balanced"
        limit = 60
        assert one.pace("corp", NOW) == "webhook"
        limit = 0
        assert one.pace("corp", NOW) == "balanced"
        await one.flush()

    asyncio.run(scenario())


def test_an_organisation_pays_for_all_its_bots() -> None:
    async def scenario() -> None:
        book = ledger(MemoryStore())
        one, two = meter(book, "bot-1"), meter(book, "bot-2")
        one.spend("corp")
        one.push("corp")
        two.spend("corp", 4)
        two.spend("other", 10)
        assert (book.spent("corp"), book.pushed("corp"), book.spent("other")) == (5, 1, 10)
        assert (one.calls_this_month, one.pushes_this_month) == (1, 1)
        assert (two.calls_this_month, two.pushes_this_month) == (14, 0)

    asyncio.run(scenario())


def test_a_restart_goes_on_counting_also_for_bots_that_have_left() -> None:
    store = MemoryStore()

    async def before() -> None:
        book = ledger(store)
        for name, calls in (("stays", 3), ("leaves/2", 5)):
            one = meter(book, name)
            await one.load()
            one.spend("corp", calls)
            one.push("corp")
            await one.flush()

    async def after() -> None:
        book = ledger(store)
        one, new = meter(book, "stays"), meter(book, "new")
        await one.load()
        await new.load()
        await one.load()
        assert (book.spent("corp"), book.pushed("corp")) == (8, 2)
        assert (one.calls_this_month, new.calls_this_month) == (3, 0)
        one.spend("corp")
        await one.flush()
        late = meter(book, "late")
        await late.load()
        assert book.spent("corp") == 9, "what this process wrote is not read back"

    asyncio.run(before())
    asyncio.run(after())
    assert len(asyncio.run(store.items(PREFIX))) == 2


def test_dingtalks_own_word_holds_for_an_hour_and_for_all_bots() -> None:
    async def scenario() -> None:
        clock = Clock()
        book = ledger(MemoryStore(), clock)
        one, two = meter(book, "bot-1", limit=0), meter(book, "bot-2", limit=0)
        one.exhausted("corp")
        assert two.pace("corp", NOW) == "webhook"
        assert two.pace("other", NOW) == "balanced"
        clock.now -= 365 * 86400  # the clock is put right: no hour has passed
        assert two.pace("corp", clock.now) == "webhook"
        clock.ticks = 3601
        assert two.pace("corp", clock.now) == "balanced"

    asyncio.run(scenario())


@pytest.mark.parametrize("wrong_by", [-365 * 86400.0, 365 * 86400.0, -NOW, 1e18, math.nan])
def test_a_local_clock_that_is_wrong_breaks_nothing(wrong_by: float) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        clock = Clock(NOW + wrong_by)
        book = ledger(store, clock)
        one = meter(book, limit=100)
        await one.load()
        one.push("corp")  # the first message, before DingTalk's clock has been seen
        assert one.pace("corp", NOW) == "balanced"
        one.spend("corp", 99)
        if abs(wrong_by) < NOW + 1:  # nothing can be computed from the other two
            assert one.pace("corp", NOW) == "webhook", "counted in DingTalk's month"
            assert one.calls_this_month == 99
        await one.flush()
        clock.now = NOW  # put right
        assert one.pace("corp", NOW) in {"webhook", "balanced"}
        one.spend("corp")
        await one.flush()

    asyncio.run(scenario())


def test_strange_records_are_left_out() -> None:
    good = {"month": "2026-11", "corp_id": "corp", "bot": "b", "calls": 2, "pushes": 1}
    records: list[tuple[str, Json]] = [
        (f"{PREFIX}2026-11/corp/b", good),
        (f"{PREFIX}2026-11/corp/other", good),
        (f"{PREFIX}2026-11/corp/c", {**good, "bot": "c", "calls": "many"}),
        (f"{PREFIX}2026-11/corp/d", {**good, "bot": "d", "calls": -5}),
        (f"{PREFIX}junk", {}),
    ]
    book = ledger(MemoryStore())
    book.take_in(records)
    assert book.spent("corp") == 2


def test_bots_count_on_their_own_threads() -> None:
    book = ledger(MemoryStore())

    def run(bot: str) -> None:
        async def scenario() -> None:
            one = meter(book, bot)
            for _ in range(2000):
                one.spend("corp")

        asyncio.run(scenario())

    threads = [threading.Thread(target=run, args=(f"bot-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert 0 <= book.spent("corp") <= 8000
        time.sleep(0.01)
    assert book.spent("corp") == 8000
