"""How long the store is waited for."""

import asyncio
import time

import pytest

from dod.bridge import patience as module
from dod.bridge.patience import Patience


def test_a_pause_of_the_whole_process_is_no_slowness_of_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The host slept: every timer is due at once, and no thread had time to answer."""
    monkeypatch.setattr(module, "STOOD_STILL", 0.01)

    async def act() -> None:
        answered = asyncio.Event()
        call = asyncio.create_task(answered.wait())
        waiting = asyncio.create_task(Patience().wait(call, 0.01))
        await asyncio.sleep(0)
        time.sleep(0.04)  # noqa: ASYNC251  (the pause)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        answered.set()
        assert await waiting

    asyncio.run(act())


def test_a_store_that_does_not_answer_is_given_up_and_hardly_waited_for_again() -> None:
    async def act() -> None:
        never = asyncio.create_task(asyncio.Event().wait())
        mine = Patience()
        assert not await mine.wait(never, 0.01)
        assert await mine.soon(asyncio.sleep(0.01, "late, but there"), "this") == "late, but there"
        never.cancel()
        await asyncio.wait({never})

    asyncio.run(act())
