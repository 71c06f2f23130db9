"""What the bridge keeps in memory is bounded, however many people come: a NAS runs for months."""

import asyncio
from dataclasses import replace

import pytest

from dod.bridge import limits, suggestions, tongues
from dod.bridge.limits import Counts
from dod.bridge.patience import Patience
from dod.bridge.suggestions import Suggestions
from dod.bridge.tongues import Tongues
from dod.config.spec import Config, Limits
from dod.messages import ConversationKey, Started, TextDelta
from tests.fakes import MemoryStore
from tests.scene import ANN, NOW, Scene, message


def test_questions_of_a_minute_are_forgotten_after_it() -> None:
    now = 0.0
    counts = Counts(MemoryStore(), Patience(), lambda: now)

    async def run() -> None:
        nonlocal now
        for number in range(300):
            now += 1.0
            for person in ("ann", f"person {number}"):
                assert not await counts.over(person, Limits(per_minute=60), NOW, "en")
        assert len(counts._minute) <= 61
        for _ in range(10):  # the last minute's sixty are still hers
            assert await counts.over("ann", Limits(per_minute=60), NOW, "en")
        now += 60.0
        assert not await counts.over("bob", Limits(per_minute=60), NOW, "en")

    asyncio.run(run())
    assert list(counts._minute) == ["bob"]


def test_without_a_limit_nothing_is_counted() -> None:
    counts = Counts(MemoryStore(), Patience())
    assert asyncio.run(counts.over("ann", Limits(), NOW, "en")) is None
    assert not counts._minute
    assert not counts._day


def test_a_days_count_beyond_what_is_kept_is_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT", 10)
    counts = Counts(MemoryStore(), Patience())

    async def run() -> None:
        for number in range(30):
            assert not await counts.over(f"person {number}", Limits(per_day=1), NOW, "en")
        assert len(counts._day) == 10
        for number in range(30):
            assert await counts.over(f"person {number}", Limits(per_day=1), NOW, "en")
        assert len(counts._day) == 10

    asyncio.run(run())


def test_the_language_of_who_spoke_lately_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tongues, "KEPT", 10)
    known = Tongues(Config)
    for number in range(30):
        person = replace(ANN, staff_id=f"staff-{number}")
        known.of(message(f"a{number}", "How many days of leave?", sender=ANN))
        known.of(message(number, "How many days of leave?", sender=person))
    assert len(known._spoken) == 10
    assert known.of(message("b", "/help", sender=ANN)) == "en"


def test_where_nothing_is_offered_is_known_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestions, "KEPT", 10)
    offers = Suggestions(MemoryStore())

    async def run() -> None:
        for number in range(35):
            await offers.offer(ConversationKey("bot", "chat", str(number)), ())

    asyncio.run(run())
    assert len(offers._empty) <= 10


def test_what_was_stopped_is_forgotten_when_it_has_ended() -> None:
    async def run() -> None:
        never = asyncio.Event()
        scene = Scene((Started("t", "c"), TextDelta("Half"), never))
        async with scene.running():
            for number in range(5):  # these have nothing to stop
                person = replace(ANN, staff_id=f"staff-{number}")
                await scene.say(message(f"s{number}", "/stop", sender=person))
            await scene.say(message(1))
            await scene.until(lambda: scene.card(1).shown == "Half")
            await scene.say(message(2, "/stop"))
            stopped = scene.bot._reception.underway._stopped
            assert [key.person for key in stopped] == [ANN.key]

    asyncio.run(run())
