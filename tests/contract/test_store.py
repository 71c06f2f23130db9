"""One suite over every ``Store``: the disk's and the fake that rule tests use."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dod.ports import Json, Store
from dod.store.disk import DiskStore
from tests.fakes import MemoryStore


@pytest.fixture(params=["memory", "disk", "disk in trouble"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    path = tmp_path / "store"
    if request.param == "disk in trouble":
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "store"  # no directory can be made below a file
    disk = DiskStore.open(path)
    yield disk
    assert disk.close()


def test_put_is_read_back_and_replaced(store: Store) -> None:
    async def scenario() -> None:
        assert await store.get("a") is None
        await store.put("a", {"text": "你好 🌍", "n": 1.5, "deep": {"list": [1, None, True]}})
        assert await store.get("a") == {
            "text": "你好 🌍",
            "n": 1.5,
            "deep": {"list": [1, None, True]},
        }
        await store.put("a", {"text": ""})
        assert await store.get("a") == {"text": ""}

    asyncio.run(scenario())


def test_a_value_is_what_it_was_when_it_was_put(store: Store) -> None:
    async def scenario() -> None:
        value: Json = {"parts": ["one"]}
        putting = asyncio.create_task(store.put("a", value))
        await asyncio.sleep(0)
        value["parts"].append("two")
        await putting
        assert await store.get("a") == {"parts": ["one"]}
        (await store.get("a") or {})["parts"] = []
        assert await store.get("a") == {"parts": ["one"]}

    asyncio.run(scenario())


def test_half_a_surrogate_pair_is_a_text_like_any_other(store: Store) -> None:
    async def scenario() -> None:
        await store.put("a", {"text": "\ud83d"})
        assert await store.get("a") == {"text": "\ud83d"}

    asyncio.run(scenario())


def test_what_is_no_json_is_refused_at_once(store: Store) -> None:
    async def scenario() -> None:
        with pytest.raises(TypeError):
            await store.put("a", {"x": object()})
        assert await store.get("a") is None

    asyncio.run(scenario())


def test_delete_forgets_and_may_be_repeated(store: Store) -> None:
    async def scenario() -> None:
        await store.put("a", {"n": 1})
        await store.delete("a")
        await store.delete("a")
        assert await store.get("a") is None
        assert await store.add("a", {"n": 2})

    asyncio.run(scenario())


def test_add_puts_only_what_is_absent(store: Store) -> None:
    async def scenario() -> None:
        assert await store.add("a", {"n": 1})
        assert not await store.add("a", {"n": 2})
        assert await store.get("a") == {"n": 1}

    asyncio.run(scenario())


def test_one_of_many_adds_wins(store: Store) -> None:
    async def scenario() -> None:
        won = await asyncio.gather(*(store.add("a", {"n": n}) for n in range(50)))
        assert won == [True] + [False] * 49

    asyncio.run(scenario())


def test_an_expired_entry_is_absent(store: Store) -> None:
    async def scenario() -> None:
        await store.put("a/short", {"n": 1}, expire=0.01)
        await store.put("a/long", {"n": 2}, expire=3600)
        await store.put("a/ever", {"n": 3})
        async with asyncio.timeout(5):
            while await store.get("a/short") is not None:  # noqa: ASYNC110 - only time passes
                await asyncio.sleep(0.005)
        assert sorted(key for key, _ in await store.items("a/")) == ["a/ever", "a/long"]
        assert await store.add("a/short", {"n": 4})
        assert await store.get("a/short") == {"n": 4}

    asyncio.run(scenario())


def test_put_without_expiry_takes_an_earlier_expiry_away(store: Store) -> None:
    async def scenario() -> None:
        await store.put("a", {"n": 1}, expire=-1)
        assert await store.get("a") is None
        await store.put("a", {"n": 2})
        assert await store.get("a") == {"n": 2}

    asyncio.run(scenario())


def test_items_finds_a_prefix_and_nothing_else(store: Store) -> None:
    keys = ["turn/a/1", "turn/a/2", "turn/b/1", "turn/a", "turn/aé/1", "turn/a\U0010ffff", "z"]

    async def scenario() -> None:
        for key in keys:
            await store.put(key, {"key": key})
        for prefix in ["turn/a/", "turn/", "turn/a", "", "turn/b/1", "nothing", "%", "_"]:
            found = dict(await store.items(prefix))
            assert found == {key: {"key": key} for key in keys if key.startswith(prefix)}

    asyncio.run(scenario())


def test_calls_keep_their_order(store: Store) -> None:
    async def scenario() -> None:
        puts = [asyncio.create_task(store.put("a", {"n": n})) for n in range(100)]
        last = asyncio.create_task(store.get("a"))
        await asyncio.gather(*puts)
        assert await last == {"n": 99}

    asyncio.run(scenario())


def test_a_cancelled_waiter_does_not_take_its_put_back(store: Store) -> None:
    """An ack is not held up by a slow disk, but the claim must still reach it."""

    async def scenario() -> None:
        putting = asyncio.create_task(store.put("a", {"n": 1}))
        await asyncio.sleep(0)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        assert await store.get("a") == {"n": 1}

    asyncio.run(scenario())


def test_two_threads_with_a_loop_each_share_it(store: Store) -> None:
    won: list[str] = []

    async def claim(name: str) -> None:
        keys = [f"claim/{n}" for n in range(50)]
        won.extend([key for key in keys if await store.add(key, {"by": name})])
        await store.put(f"mine/{name}", {"name": name})

    def in_thread(name: str) -> Callable[[], None]:
        return lambda: asyncio.run(claim(name))

    threads = [threading.Thread(target=in_thread(name)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # MemoryStore is not made for two threads at once, but each of its calls is one step.
    assert sorted(won) == sorted(f"claim/{n}" for n in range(50))
    assert len(asyncio.run(store.items("mine/"))) == 2


def test_what_was_put_is_kept_over_a_reopen(tmp_path: Path) -> None:
    async def fill(store: Store) -> None:
        await store.put("conversation/1", {"id": "c-1"})
        await store.put("claim/1", {"state": "done"}, expire=3600)
        await store.put("gone", {"n": 1}, expire=0)

    async def check(store: Store) -> None:
        assert await store.get("conversation/1") == {"id": "c-1"}
        assert not await store.add("claim/1", {"state": "taken"})
        assert len(await store.items("")) == 2

    for scenario in (fill, check):
        store = DiskStore.open(tmp_path / "store")
        asyncio.run(scenario(store))
        assert store.close()
        assert store.trouble is None
