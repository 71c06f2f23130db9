"""Threads: one per bot, restarted when dead, ended by one deadline."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dod import fleet as fleet_module
from dod.bridge.bot import Bot
from dod.config.spec import BotSpec, Config
from dod.fleet import Fleet
from tests.fakes import FakeChannel, MemoryStore, ScriptedApp
from tests.scene import HELLO, SPEC, FakeMeter

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
SPECS = tuple(
    replace(SPEC, name=name, dingtalk_app_client_id=f"ding-{name}") for name in ("a", "b", "c")
)


class Builder:
    """Builds bots with fake neighbours and remembers where."""

    def __init__(self) -> None:
        self.channels: dict[str, list[FakeChannel]] = {}
        self.threads: dict[str, str] = {}
        self.broken: set[str] = set()

    def channel(self, spec: BotSpec) -> FakeChannel:
        channel = FakeChannel()
        self.channels.setdefault(spec.name, []).append(channel)
        return channel

    def __call__(self, spec: BotSpec, owner: str = "") -> Bot:
        self.threads[spec.name] = threading.current_thread().name
        if spec.name in self.broken:
            raise ValueError("no such thing")
        return Bot(
            spec,
            store=MemoryStore(),
            make_channel=self.channel,
            make_app=lambda _: ScriptedApp(HELLO),
            meter=FakeMeter("balanced"),
            config=Config,
            owner=owner,
        )


def wait(condition: Callable[[], object], fleet: Fleet) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, fleet.snapshots()
        fleet.check()
        time.sleep(0.01)


@contextmanager
def running(*specs: BotSpec) -> Iterator[tuple[Fleet, Builder]]:
    builder = Builder()
    fleet = Fleet(builder)
    fleet.apply(specs)
    try:
        yield fleet, builder
    finally:
        end(fleet)


def end(fleet: Fleet) -> None:
    fleet.drain(time.monotonic() + 10)
    assert fleet.join(10) == []


def states(fleet: Fleet) -> dict[str, str]:
    return {bot.name: bot.state for bot in fleet.snapshots()}


def test_each_bot_has_a_thread_of_its_own() -> None:
    with running(*SPECS) as (fleet, builder):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        assert sorted(builder.threads.values()) == ["bot a", "bot b", "bot c"]
        assert fleet.beats
    assert set(states(fleet).values()) == {"stopped"}


def test_a_disabled_bot_is_shown_but_not_run() -> None:
    with running(SPECS[0], replace(SPECS[1], enabled=False)) as (fleet, builder):
        wait(lambda: states(fleet)["a"] == "connected", fleet)
        assert "b" not in builder.threads
        assert [bot.verdict for bot in fleet.snapshots()] == ["running", "disabled"]


def test_a_crash_hurts_one_bot_and_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "FIRST_RESTART", 0.02)
    builder = Builder()
    builder.broken.add("b")
    fleet = Fleet(builder)
    fleet.apply(SPECS)
    try:
        wait(lambda: states(fleet)["b"] == "dead", fleet)
        wait(lambda: states(fleet)["a"] == "connected", fleet)
        error = next(bot.last_error for bot in fleet.snapshots() if bot.name == "b")
        assert "ValueError" in error
        assert "no such thing" not in error
        builder.broken.clear()
        wait(lambda: states(fleet)["b"] == "connected", fleet)
        assert len(builder.channels["a"]) == 1
    finally:
        end(fleet)


def test_restarts_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "FIRST_RESTART", 0.02)
    builder = Builder()
    builder.broken.add("a")
    fleet = Fleet(builder)
    fleet.apply(SPECS[:1])
    wait(lambda: fleet._posts["a"].crashes >= 4, fleet)
    assert fleet._posts["a"].restart_at - time.monotonic() > 0.05
    end(fleet)


def test_drain_before_the_loop_is_there_is_not_lost() -> None:
    fleet = Fleet(Builder())
    fleet.apply(SPECS)
    end(fleet)


# -- changes


def test_only_what_changed_is_touched() -> None:
    with running(*SPECS) as (fleet, builder):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        live = replace(SPECS[1], max_workers=9)
        secret = replace(SPECS[2], dingtalk_app_client_secret="another-secret")
        changes = fleet.apply([SPECS[0], live, secret])
        assert changes == {"a": "untouched", "b": "live", "c": "credentials"}
        wait(lambda: len(builder.channels["c"]) == 2, fleet)
        wait(lambda: [bot.generation for bot in fleet.snapshots()] == [1, 2, 2], fleet)
        assert [len(builder.channels[name]) for name in "abc"] == [1, 1, 2]


def test_a_new_bot_starts_and_a_gone_one_leaves() -> None:
    new = replace(SPECS[0], name="d", dingtalk_app_client_id="ding-d")
    with running(*SPECS) as (fleet, builder):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        assert fleet.apply([SPECS[0], SPECS[1], new], remove=False)["c"] == "held"
        assert fleet.apply([SPECS[0], SPECS[1], new])["c"] == "gone"
        wait(lambda: states(fleet) == dict.fromkeys("abd", "connected"), fleet)
        assert builder.channels["c"][0].left.is_set()
        assert not builder.channels["a"][0].left.is_set()


def test_a_renamed_bot_keeps_its_connection() -> None:
    renamed = replace(SPECS[0], name="sales")
    with running(*SPECS) as (fleet, builder):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        changes = fleet.apply([renamed, SPECS[1], SPECS[2]])
        assert changes["sales"] == "renamed"
        assert "a" not in states(fleet)
        wait(lambda: next(b for b in fleet.snapshots() if b.name == "sales").generation == 2, fleet)
        assert "sales" not in builder.channels


def test_a_disabled_bot_leaves_and_comes_back() -> None:
    with running(*SPECS[:1]) as (fleet, builder):
        wait(lambda: states(fleet) == {"a": "connected"}, fleet)
        assert fleet.apply([replace(SPECS[0], enabled=False)]) == {"a": "disabled"}
        wait(lambda: builder.channels["a"][0].closed, fleet)
        assert fleet.apply(SPECS[:1]) == {"a": "started"}
        wait(lambda: states(fleet) == {"a": "connected"}, fleet)
        assert len(builder.channels["a"]) == 2


def test_a_rejected_bot_keeps_running_as_it_is() -> None:
    with running(*SPECS) as (fleet, builder):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        changes = fleet.apply([SPECS[0]], ["b", "new"], remove=True)
        assert changes == {"a": "untouched", "b": "keeps_old", "new": "not_started", "c": "gone"}
        verdicts = {bot.name: bot.verdict for bot in fleet.snapshots()}
        assert verdicts["b"] == "running_old"
        assert verdicts["new"] == "not_started"
        assert fleet.specs == SPECS[:2]
        assert not builder.channels["b"][0].left.is_set()


def test_nobody_leaves_while_an_entry_has_no_name() -> None:
    with running(*SPECS) as (fleet, builder):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        assert fleet.apply(SPECS[:2], ["#3"])["c"] == "held"
        assert not builder.channels["c"][0].left.is_set()


def test_two_bots_that_swap_names_stay_two() -> None:
    one = replace(SPECS[0], name="b")
    two = replace(SPECS[1], name="a")
    with running(*SPECS[:2]) as (fleet, _):
        wait(lambda: set(states(fleet).values()) == {"connected"}, fleet)
        assert fleet.apply([one, two]) == {"b": "credentials", "a": "credentials"}
        wait(lambda: [bot.generation for bot in fleet.snapshots()] == [2, 2], fleet)


def test_a_bot_that_comes_back_is_served_at_once_while_its_former_self_leaves() -> None:
    with running(*SPECS[:1]) as (fleet, builder):
        wait(lambda: states(fleet) == {"a": "connected"}, fleet)
        fleet.apply([])
        assert fleet.apply(SPECS[:1]) == {"a": "started"}
        wait(lambda: states(fleet) == {"a": "connected"}, fleet)
        wait(lambda: builder.channels["a"][0].closed, fleet)
        assert len(builder.channels["a"]) == 2
