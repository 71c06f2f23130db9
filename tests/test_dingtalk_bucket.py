"""The bucket's promises, on a loop whose clock is jumped forward: exact, and without waiting."""

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from dod.dingtalk.bucket import Bucket, Rank

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """Never waits: what would be waited is added to the loop's clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


def now() -> float:
    return asyncio.get_running_loop().time()


def most_in_a_window(times: list[float], window: float = 1.0) -> int:
    """The most arrivals in any window. Half-open, with a hair for floating point."""
    return max((sum(t <= u < t + window - 1e-9 for u in times) for t in times), default=0)


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(1, 20),
    calls=st.integers(1, 80),
    seed=st.integers(0, 10_000),
    slowest=st.floats(0.0, 3.0),
)
def test_never_more_than_the_limit_arrive_in_any_second(
    limit: int, calls: int, seed: int, slowest: float
) -> None:
    """Whenever a call arrives: within its time on the way, which ends by 0.5 s."""
    chance = random.Random(seed)
    arrivals: list[float] = []

    async def call(bucket: Bucket) -> None:
        await asyncio.sleep(chance.uniform(0, 2))
        async with bucket.place(chance.choice(list(Rank))):
            took = chance.uniform(0, slowest)
            arrivals.append(now() + chance.uniform(0, min(took, 0.5)))
            await asyncio.sleep(took)

    async def act() -> None:
        bucket = Bucket(lambda: limit)
        await asyncio.gather(*(call(bucket) for _ in range(calls)))

    run(act())
    assert len(arrivals) == calls
    assert most_in_a_window(arrivals) <= limit


def test_a_slow_answer_holds_its_place_for_three_seconds_at_most() -> None:
    async def act() -> float:
        bucket = Bucket(lambda: 1)

        async def hang() -> None:
            async with bucket.place(Rank.UPDATE):
                await asyncio.sleep(60)

        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        async with bucket.place(Rank.UPDATE):
            got = now()
        task.cancel()
        return got

    assert run(act()) == 3.0


def test_endings_go_before_creations_before_first_texts_before_updates() -> None:
    async def act() -> list[str]:
        bucket = Bucket(lambda: 1)
        order: list[str] = []

        async def call(rank: Rank, name: str) -> None:
            async with bucket.place(rank):
                order.append(name)

        ranks = [Rank.UPDATE, Rank.FIRST, Rank.CREATE, Rank.CLOSE, Rank.UPDATE, Rank.CLOSE]
        async with bucket.place(Rank.UPDATE):
            tasks = [
                asyncio.create_task(call(rank, f"{rank.name} {number}"))
                for number, rank in enumerate(ranks)
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return order

    assert run(act()) == ["CLOSE 3", "CLOSE 5", "CREATE 2", "FIRST 1", "UPDATE 0", "UPDATE 4"]


def test_no_limit_means_no_waiting_and_the_limit_is_live() -> None:
    async def act() -> tuple[float, float, float]:
        limit = 0
        bucket = Bucket(lambda: limit)

        async def call() -> None:
            async with bucket.place(Rank.UPDATE):
                pass

        await asyncio.gather(*(call() for _ in range(100)))
        free = now()
        limit = 2
        await call()  # the hundred have arrived just now and count
        limited = now()
        limit = 0
        await asyncio.gather(*(call() for _ in range(100)))
        return free, limited, now()

    assert run(act()) == (0.0, 1.0, 1.0)


def test_waiters_notice_that_the_limit_was_lifted() -> None:
    async def act() -> float:
        limit = 1
        bucket = Bucket(lambda: limit)

        async def call() -> None:
            async with bucket.place(Rank.UPDATE):
                pass

        tasks = [asyncio.create_task(call()) for _ in range(50)]
        await asyncio.sleep(0.1)
        limit = 0
        await asyncio.gather(*tasks)
        return now()

    assert run(act()) == 1.0


def test_cancelled_waiters_leave_no_place_behind() -> None:
    async def act() -> float:
        bucket = Bucket(lambda: 1)

        async def call() -> None:
            async with bucket.place(Rank.UPDATE):
                pass

        await call()
        tasks = [asyncio.create_task(call()) for _ in range(10)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await call()
        return now()

    assert run(act()) == 1.0


def test_a_waiter_cancelled_at_the_moment_it_is_admitted_gives_its_place_back() -> None:
    async def act() -> float:
        bucket = Bucket(lambda: 1)

        async def call() -> None:
            async with bucket.place(Rank.UPDATE):
                pass

        await call()
        unlucky = asyncio.create_task(call())
        # The timer that frees the place was set before; both run in one turn of the loop.
        asyncio.get_running_loop().call_later(1.0, unlucky.cancel)
        [end] = await asyncio.gather(unlucky, return_exceptions=True)
        assert isinstance(end, asyncio.CancelledError)
        await call()
        return now()

    assert run(act()) == 1.0


def test_a_pause_lets_nobody_through_also_without_a_limit() -> None:
    async def act() -> float:
        bucket = Bucket(lambda: 0)
        bucket.pause(1.0)
        await asyncio.sleep(0.5)
        bucket.pause(1.0)
        async with bucket.place(Rank.CLOSE):
            return now()

    assert run(act()) == 1.5


def test_an_open_gate_lets_everybody_through_at_once() -> None:
    async def act() -> float:
        bucket = Bucket(lambda: 1)
        bucket.pause(5.0)

        async def call() -> None:
            async with bucket.place(Rank.CLOSE):
                pass

        tasks = [asyncio.create_task(call()) for _ in range(30)]
        await asyncio.sleep(0)
        bucket.open_gate()
        await asyncio.gather(*tasks)
        return now()

    assert run(act()) == 0.0
