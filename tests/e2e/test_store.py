"""``dod run`` on a disk that stalls, is full, is read-only, or is gone: people are answered."""

import contextlib
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dod.sim.dify.scripts import echo
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.world import SimMessage
from tests.e2e.rig import Rig, bot
from tests.mounts import Mount

KEY = "app-it-key-0123456789"
STALL = 5.0  # seconds


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Nobody else can write to the store meanwhile."""
    with contextlib.closing(sqlite3.connect(file, timeout=5, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def ack_times(messages: list[SimMessage]) -> list[float]:
    """Seconds from each message's first push to its first ack."""
    return [message.acks[0].at - message.pushes[0].at for message in messages]


@contextlib.contextmanager
def frozen(disk: Mount) -> Iterator[None]:
    """Every write hangs in the kernel."""
    disk.freeze()
    try:
        yield
    finally:
        disk.thaw()


@pytest.mark.parametrize("how", ["lock", "freeze"])
def test_a_disk_that_stalls_for_5_s_delays_no_ack_by_more_than_one(
    tmp_path: Path, how: str
) -> None:
    """A redelivery would follow 1.5 s after a push without ack; nobody may need one."""
    data, bots = tmp_path / "data", [bot("it", max_workers=4)]
    with contextlib.ExitStack() as stack:
        disk = Mount(data, "16m", kind="ext4")
        if how == "freeze":
            stack.enter_context(disk)
        rig = stack.enter_context(Rig(tmp_path, bots, switches=Switches(ack_deadline=1.5)))
        rig.dify.app(KEY).answer = echo()
        people = [rig.person(f"p{n}", f"staff-{n}") for n in range(20)]
        pairs = [(rig.single(person), person) for person in people]
        before = [rig.say(chat, person, "one") for chat, person in pairs]
        for chat, _ in pairs:
            rig.answer(chat, 1)
        messages = []
        with frozen(disk) if how == "freeze" else locked(data / "store" / "cache.db"):
            until = time.monotonic() + STALL
            for chat, person in pairs:
                messages.append(rig.say(chat, person, "two"))
                time.sleep(0.05)
            rig.until(lambda: all(message.acks for message in messages), "all acked", 5)
            assert time.monotonic() < until, "the stall was still on"
            rig.stays(lambda: rig.get("/healthz") == 200, "healthy", until - time.monotonic())
        for chat, _ in pairs:
            card = rig.answer(chat, 2, 30)
            assert (card.state, card.text) == ("finished", "You said: two. (turn 2)")
        usual, slow = max(ack_times(before)), max(ack_times(messages))
        print(
            f"\nacks: {usual * 1000:.0f} ms at most, {slow * 1000:.0f} ms in a stall of {STALL} s"
        )
        assert slow - usual <= 1.0
        assert all(len(message.pushes) == 1 for message in messages), "none was pushed again"
        assert len(rig.dify.requests) == 40, "none was asked twice"


def test_a_disk_that_hangs_for_good_holds_nobody_up(tmp_path: Path) -> None:
    """Each answer makes six calls of the store: it must not wait for each of them."""
    with Mount(tmp_path / "data", "16m", kind="ext4") as disk, Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        rig.answer(chat, 1)
        with frozen(disk):
            took = []
            for number in (2, 3, 4):
                began = time.monotonic()
                rig.say(chat, ann, "again")
                assert rig.answer(chat, number, 30).state == "finished"
                took.append(time.monotonic() - began)
            print("\nanswers on a disk that hangs: ", *(f"{each:.2f} s" for each in took))
            rig.until(lambda: "does not answer" in str(rig.status()["store"]), "it is said")
            assert rig.get("/healthz") == 200
        rig.until(lambda: rig.status()["store"] is None, "all is well again")
        rig.say(chat, ann, "and now?")
        assert rig.answer(chat, 5).state == "finished"


def test_a_full_disk_costs_nobody_an_answer_and_is_said(tmp_path: Path) -> None:
    with Mount(tmp_path / "data", "512k") as disk, Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        rig.answer(chat, 1)
        disk.fill()
        for number, word in enumerate(("two", "three", "four"), 2):
            rig.say(chat, ann, word + " x" * 4000)
            card = rig.answer(chat, number)
            assert card.state == "finished"
        rig.until(lambda: "full" in str(rig.status()["store"]), "the status says it")
        assert rig.get("/healthz") == 200
        disk.drain()
        rig.say(chat, ann, "five")
        assert rig.answer(chat, 5).text.endswith("(turn 5)")


def test_a_disk_that_is_full_from_the_start_is_used_when_there_is_room(tmp_path: Path) -> None:
    with Mount(tmp_path / "data", "512k") as disk:
        disk.fill()
        with Rig(tmp_path, [bot("it")]) as rig:
            ann = rig.person()
            chat = rig.single(ann)
            rig.say(chat, ann, "one")
            rig.answer(chat, 1)
            assert "full" in str(rig.status()["store"])
            disk.drain()


def test_a_read_only_data_folder_costs_nobody_an_answer_and_is_said(tmp_path: Path) -> None:
    with Mount(tmp_path / "data", "4m") as disk, Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        rig.answer(chat, 1)
        rig.kill(signal.SIGTERM)
        rig.wait_for_exit()
        disk.read_only(on=True)
        rig.start()
        rig.say(chat, ann, "two")
        assert rig.answer(chat, 2).text.endswith("(turn 2)"), "what is there is read"
        assert "read-only" in str(rig.status()["store"]).lower()
        disk.read_only(on=False)


def test_a_store_deleted_while_running_is_begun_anew_with_what_was_in_it(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        rig.answer(chat, 1)
        shutil.rmtree(tmp_path / "data" / "store")
        rig.say(chat, ann, "two")
        assert rig.answer(chat, 2).text.endswith("(turn 2)")
