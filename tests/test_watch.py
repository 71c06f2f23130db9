"""The watcher: its rules by an injected clock, its events by real files, inotify and threads.

The clock goes on only while a test looks, so that a slow machine changes nothing.
"""

import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dod.config.files import Files, fingerprint
from dod.config.load import Loaded, load, load_text
from dod.config.masking import Mask
from dod.config.mounts import mounted_alone
from dod.config.problems import Report
from dod.config.schema import key_names
from dod.config.source import Source
from dod.watch import Sight, Watch

POLL, SETTLE, QUICK, CONFIRM = 2.0, 0.6, 0.3, 3.0
STEP = 0.01
NEVER = 1e9  # a poll that does not come: only events bring the next look


def spell(*names: str, tail: str = "") -> str:
    """A valid bots.yaml."""
    bots = "".join(
        f"- name: {name}\n  dingtalk_app_client_id: ding{name}\n"
        f"  dingtalk_app_client_secret: secret-{name}\n  dify_app_type: chatbot\n"
        f"  dify_app_api_key: app-{name}\n"
        for name in names
    )
    return f"bots:\n{bots}{tail}" if names else f"bots: []\n{tail}"


OLD, NEW = spell("it"), spell("it", "hr")


class Desk:
    """A config folder, a watch on it, and a clock: what the appliance's main loop does."""

    def __init__(self, folder: Path, *, poll: float = POLL, inotify: bool = False) -> None:
        self.folder = folder
        self.main = folder / "bots.yaml"
        self.now = 1000.0
        self.stirred = threading.Event()
        self.wakes = 0
        self.told: list[tuple[float, str]] = []
        self.confirmed: list[float] = []
        self.loaded: Loaded | None = None
        self.watch = Watch(
            folder, poll=poll, wake=self._wake, inotify=inotify, clock=lambda: self.now
        )

    def _wake(self) -> None:
        self.wakes += 1
        self.stirred.set()

    def begin(self) -> None:
        self.watch.start()
        self.take()
        self.run(0)

    def take(self) -> Loaded:
        self.loaded = load(self.folder, {})
        self.watch.seen(self.loaded)
        return self.loaded

    def look(self) -> Sight:
        if self.now < self.watch.next_look:
            return "quiet"
        sight = self.watch.look()
        if sight == "changed":
            loaded = load(self.folder, {})
            self.told.append((self.now, self.text()))
            if self.watch.settled(loaded):
                self.loaded = loaded
                self.watch.seen(loaded)
            else:
                self.told.pop()
        elif sight == "confirmed":
            self.confirmed.append(self.now)
        return sight

    def text(self) -> str:
        return self.main.read_text() if self.main.exists() else "absent"

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.told]

    def run(self, seconds: float) -> None:
        """Let the clock go on, looking as the main loop does."""
        end = self.now + seconds
        self.look()
        while self.now < end:
            self.now = min(end, max(self.watch.next_look, self.now + STEP / 10))
            self.look()

    def run_until(self, done: Callable[[], bool]) -> None:
        """Likewise, but events take real time: the clock goes on slowly until ``done``."""
        deadline = time.monotonic() + 20
        while not done():
            assert time.monotonic() < deadline, "nothing was noticed"
            self.now += STEP
            self.look()
            time.sleep(0.001)


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(text: str | None = OLD, **options: Any) -> Desk:
        if text is not None:
            (tmp_path / "bots.yaml").write_text(text)
        desk = Desk(tmp_path, **options)
        made.append(desk)
        desk.begin()
        return desk

    yield make
    for desk in made:
        desk.watch.close()
        desk.watch.close()
    assert not [thread for thread in threading.enumerate() if "otify" in type(thread).__name__]


# -- the fingerprint


def test_a_load_names_the_bytes_it_has_read(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(spell("it") + "- !include hr.yaml\n- !include no.yaml\n")
    (tmp_path / "hr.yaml").write_text("name: hr\n")
    (tmp_path / "secrets.yaml").mkdir()
    loaded = load(tmp_path, {})
    assert loaded.fingerprint == fingerprint(loaded.files)
    assert loaded.fingerprint == fingerprint(loaded.files[::-1])
    assert {"bots.yaml", ".env", "hr.yaml", "no.yaml"} <= {path.name for path in loaded.files}
    prints = {loaded.fingerprint}
    changes: tuple[Callable[[], object], ...] = (
        lambda: (tmp_path / "hr.yaml").write_text("name: hq\n"),
        lambda: (tmp_path / "no.yaml").write_text(""),
        (tmp_path / "secrets.yaml").rmdir,
        lambda: (tmp_path / "secrets.yaml").write_text("a: b\n"),
        lambda: (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\n"),
        lambda: (tmp_path / "bots.yaml").write_text(spell("it")),
        (tmp_path / "bots.yaml").unlink,
    )
    for change in changes:
        change()
        prints.add(now := fingerprint(loaded.files))
        assert fingerprint(loaded.files) == now
    assert len(prints) == 8
    assert load(tmp_path, {}).fingerprint == load(tmp_path, {}).fingerprint


def test_the_fingerprint_is_no_part_of_what_was_loaded(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(OLD)
    before = load(tmp_path, {})
    (tmp_path / "bots.yaml").write_text(OLD + "# a new comment\n")
    after = load(tmp_path, {})
    assert before == after
    assert before.fingerprint != after.fingerprint


def test_a_file_is_read_once_per_load(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("a: before\n")
    files = Files(tmp_path, Report(Mask(*key_names())))
    first = files.read(tmp_path / "part.yaml")
    before = fingerprint(files.looked_for)
    (tmp_path / "part.yaml").write_text("a: after\n")
    again = files.read(tmp_path / "part.yaml")
    assert isinstance(first, Source)
    assert isinstance(again, Source)
    assert first.text == again.text
    assert files.fingerprint == before != fingerprint(files.looked_for)


def test_what_was_given_is_not_on_the_disk(tmp_path: Path) -> None:
    loaded = load_text(OLD, {}, folder=tmp_path, name="bots.yaml")
    assert tmp_path / "bots.yaml" not in loaded.files
    assert loaded.fingerprint == fingerprint(loaded.files)


@pytest.mark.parametrize("name", ['"\\0.yaml"', '"\\ud800.yaml"', "a" * 400, "bots.yaml/x", "../x"])
def test_no_name_of_an_included_file_breaks_it(desks: Callable[..., Desk], name: str) -> None:
    desk = desks(f"bots:\n- !include {name}\n")
    assert desk.loaded
    assert desk.loaded.fingerprint == fingerprint(desk.loaded.files)
    desk.main.write_text(NEW)
    desk.run(POLL + SETTLE)
    assert desk.texts == [NEW]


# -- the rules


def test_a_change_is_told_once_after_two_equal_reads(desks: Callable[..., Desk]) -> None:
    desk = desks()
    start = desk.now
    desk.main.write_text(NEW)
    desk.run(20)
    assert desk.texts == [NEW]
    assert SETTLE <= desk.told[0][0] - start <= POLL + SETTLE + 0.001


def test_nothing_is_told_while_nothing_changes(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(OLD)
    (desk.folder / "readme.txt").write_text("x")
    desk.run(60)
    assert desk.told == []


def test_it_looks_only_when_it_is_time(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(NEW)
    assert desk.watch.next_look > desk.now
    for _ in range(100):
        assert desk.watch.look() == "quiet"
    assert desk.watch._read_at == desk.now  # the one read of the beginning
    desk.watch.nudge()
    assert desk.watch.next_look < desk.now
    desk.run(SETTLE)
    assert desk.texts == [NEW]


def test_content_that_comes_back_is_quiet(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(NEW)
    desk.watch.nudge()
    desk.run(SETTLE / 2)
    desk.main.write_text(OLD)
    desk.run(30)
    assert desk.told == []


def test_the_same_content_again_is_told_again_after_another(desks: Callable[..., Desk]) -> None:
    desk = desks()
    for text in (NEW, OLD, NEW):
        desk.main.write_text(text)
        desk.run(POLL + SETTLE)
    assert desk.texts == [NEW, OLD, NEW]


def test_each_prefix_of_a_slow_save_is_passed_over(desks: Callable[..., Desk]) -> None:
    desk = desks()
    for end in range(0, len(NEW) + 1, 3):
        desk.main.write_text(NEW[:end])
        desk.run(SETTLE * 0.9)
    desk.main.write_text(NEW)
    desk.run(POLL + SETTLE)
    assert desk.texts == [NEW]


def test_a_word_written_between_the_reads_starts_anew(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(NEW[:-9])
    desk.watch.nudge()
    desk.run(SETTLE - 0.01)
    desk.main.write_text(NEW)
    changed = desk.now
    desk.run(10)
    assert desk.texts == [NEW]
    assert desk.told[0][0] >= changed + SETTLE


def test_the_set_settles_and_not_one_file(desks: Callable[..., Desk]) -> None:
    """bots.yaml names a secret that is saved half a second later."""
    desk = desks()
    desk.main.write_text(NEW)
    desk.watch.nudge()
    desk.run(0.5)
    (desk.folder / "secrets.yaml").write_text("hr: s3cret-value\n")
    saved = desk.now
    desk.run(10)
    assert desk.texts == [NEW]
    assert desk.told[0][0] >= saved + SETTLE


@pytest.mark.parametrize("gone", ["", " \r\n\t", "\ufeff", "\0" * 512, None])
def test_an_empty_file_is_being_saved(desks: Callable[..., Desk], gone: str | None) -> None:
    desk = desks()
    if gone is None:
        desk.main.unlink()
    else:
        desk.main.write_text(gone)
    left = desk.now
    desk.run(CONFIRM - 0.1)
    assert desk.told == []
    desk.main.write_text(OLD)
    desk.run(20)
    assert desk.told == []  # as if nothing had been
    desk.main.unlink()
    left = desk.now
    desk.run(20)
    assert desk.texts == ["absent"]  # told after all, once
    assert CONFIRM <= desk.told[0][0] - left <= POLL + CONFIRM + 0.001
    desk.main.write_text(NEW)
    back = desk.now
    desk.run(POLL + SETTLE)
    assert desk.texts == ["absent", NEW]
    assert desk.told[1][0] - back <= POLL + SETTLE


@pytest.mark.parametrize("name", ["secrets.yaml", ".env", "hr.yaml"])
def test_every_file_of_the_closure_counts(desks: Callable[..., Desk], name: str) -> None:
    desk = desks(OLD + "- !include hr.yaml\n")
    path = desk.folder / name
    path.write_text("a: one\n")
    desk.run(POLL + SETTLE)
    assert len(desk.told) == 1
    path.unlink()  # for the 2 s of a slow save: the bots keep their secrets and addresses
    desk.run(2)
    path.write_text("a: one\n")
    desk.run(20)
    assert len(desk.told) == 1
    path.write_text("a: two\n")
    desk.run(POLL + SETTLE)
    assert len(desk.told) == 2
    path.unlink()
    desk.run(POLL + CONFIRM)
    assert len(desk.told) == 3


def test_the_file_of_the_original_counts_too(desks: Callable[..., Desk]) -> None:
    desk = desks(None)
    other = desk.folder / ".bots.yaml"
    other.write_text(OLD)
    desk.run(POLL + SETTLE)
    other.write_text(NEW)
    desk.run(POLL + SETTLE)
    assert len(desk.told) == 2  # absent bots.yaml holds nothing up
    desk.main.write_text("")
    desk.run(POLL + SETTLE)
    assert len(desk.told) == 2
    desk.main.write_text(OLD)
    desk.run(POLL + SETTLE)
    assert len(desk.told) == 3


def test_same_size_and_time_is_seen(desks: Callable[..., Desk]) -> None:
    desk = desks()
    about = desk.main.stat()
    other = OLD.replace("app-it", "app-ti")
    desk.main.write_text(other)
    os.utime(desk.main, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert desk.main.stat().st_mtime_ns == about.st_mtime_ns
    assert desk.main.stat().st_size == about.st_size
    desk.run(POLL + SETTLE)
    assert desk.texts == [other]


def test_touching_changes_nothing(desks: Callable[..., Desk]) -> None:
    desk = desks()
    os.utime(desk.main, (1, 1))
    desk.run(20)
    assert desk.told == []


def test_a_removal_is_confirmed_by_a_later_read(desks: Callable[..., Desk]) -> None:
    desk = desks(NEW)
    desk.main.write_text(OLD)
    start = desk.now
    desk.run(POLL + SETTLE)
    assert desk.texts == [OLD]
    desk.watch.await_confirmation()
    desk.run(30)
    assert len(desk.confirmed) == 1
    assert start + CONFIRM <= desk.confirmed[0] <= start + POLL + CONFIRM + 0.001
    assert desk.texts == [OLD]


def test_a_removal_that_is_taken_back_is_not_confirmed(desks: Callable[..., Desk]) -> None:
    desk = desks(NEW)
    desk.main.write_text(OLD)
    desk.run(POLL + SETTLE)
    desk.watch.await_confirmation()
    desk.main.write_text(NEW)
    desk.run(30)
    assert desk.texts == [OLD, NEW]
    assert desk.confirmed == []


def test_a_confirmation_starts_anew_when_the_file_was_touched_meanwhile(
    desks: Callable[..., Desk],
) -> None:
    desk = desks(NEW)
    desk.main.write_text(OLD)
    desk.run(POLL + SETTLE)
    desk.watch.await_confirmation()
    desk.main.write_text("")
    desk.watch.nudge()
    desk.run(0.4)
    desk.main.write_text(OLD)
    back = desk.now
    desk.run(30)
    assert desk.texts == [OLD]
    assert len(desk.confirmed) == 1
    assert desk.confirmed[0] >= back + CONFIRM


def test_told_but_not_seen_is_not_told_again(tmp_path: Path) -> None:
    """An appliance that waits with ``seen`` for the confirmation is served as well."""
    main = tmp_path / "bots.yaml"
    main.write_text(NEW)
    desk = Desk(tmp_path)
    desk.take()

    def sights(seconds: float) -> list[Sight]:
        end = desk.now + seconds
        found: list[Sight] = []
        while desk.now < end:
            desk.now += STEP
            if (sight := desk.watch.look()) != "quiet":
                found.append(sight)
            if sight == "changed":
                desk.watch.await_confirmation()
        return found

    main.write_text(OLD)
    assert sights(30) == ["changed", "confirmed"]
    main.write_text(NEW)  # what it has: nothing to tell
    assert sights(30) == []
    main.write_text(OLD)
    assert sights(POLL + SETTLE) == ["changed"]
    main.write_text(NEW)  # and nothing to confirm
    assert sights(30) == []


def test_a_load_that_saw_other_bytes_is_not_settled(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(NEW)
    while desk.watch.look() != "changed":
        desk.now += STEP
    desk.main.write_text(NEW[:-4])  # the next save begins just before the load
    assert not desk.watch.settled(load(desk.folder, {}))
    desk.main.write_text(NEW + "# done\n")
    desk.run(POLL)
    assert desk.texts == [NEW + "# done\n"]


def test_a_file_included_for_the_first_time_settles_too(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(text := OLD + "- !include hr.yaml\n")
    desk.run(POLL)
    (desk.folder / "hr.yaml").write_text("name: h")
    desk.run(SETTLE - 0.05)
    assert desk.told == []
    (desk.folder / "hr.yaml").write_text("name: hr\n")
    desk.run(POLL + SETTLE)
    assert desk.texts == [text]
    assert desk.loaded
    assert desk.loaded.fingerprint == fingerprint(desk.loaded.files)


class Odd(type(Path())):  # type: ignore[misc]
    """A file whose reading fails in a way that nobody thought of."""

    def exists(self, **_: bool) -> bool:
        raise ZeroDivisionError


def test_a_fault_does_not_end_the_watching(
    desks: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    desk = desks()
    assert desk.loaded
    files = desk.watch._files
    desk.watch._files = (*files, Odd(desk.folder / "odd"))
    with caplog.at_level(logging.ERROR):
        desk.run(20)
    assert [record.message for record in caplog.records].count(caplog.messages[0]) == 1
    assert "ZeroDivisionError" in caplog.text
    desk.watch._files = files
    desk.main.write_text(NEW)
    desk.run(POLL + POLL + SETTLE)
    assert desk.texts == [NEW]


TEXTS = ["", "\n", OLD, NEW, spell("it", tail="- !include part.yaml\n"), "bots: [", "a: b\n"]
NAMES = ["bots.yaml", ".bots.yaml", ".env", "secrets.yaml", "part.yaml", "other.txt"]
DEEDS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from(TEXTS)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("pause"), st.sampled_from([0.01, 0.2, 0.3, 0.59, 0.6, 0.7, 3, 6]), st.none()),
)


@settings(max_examples=80, deadline=None, database=None)
@given(st.lists(DEEDS, max_size=25))
def test_whatever_happens_the_last_state_is_told(deeds: list[tuple[str, Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bots.yaml").write_text(OLD)
        desk = Desk(folder)
        desk.begin()
        # Each state of the disk, with the time since when it has been so.
        states = [(desk.now, _disk(folder))]
        for kind, what, text in deeds:
            before = len(desk.told)
            if kind == "write":
                (folder / what).write_text(text)
            elif kind == "delete":
                (folder / what).unlink(missing_ok=True)
            else:
                desk.run(what)
            states.append((desk.now, _disk(folder)))
            for at, _ in desk.told[before:]:
                # It had been so for the whole of `settle`, or came back as it was.
                assert any(then <= at - SETTLE and disk == states[-1][1] for then, disk in states)
        assert desk.loaded
        differs = fingerprint(desk.loaded.files) != desk.loaded.fingerprint
        before = len(desk.told)
        # Twice settle: a file that is included for the first time has to settle as well.
        desk.run(POLL + CONFIRM + SETTLE + 0.01)
        assert (len(desk.told) > before) == differs
        assert fingerprint(desk.loaded.files) == desk.loaded.fingerprint
        before = len(desk.told)
        desk.run(20)
        assert len(desk.told) == before


def _disk(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


# -- how editors save: real files, with and without real events


def in_place(desk: Desk) -> Iterator[None]:
    with desk.main.open("r+") as stream:
        stream.write(NEW)
        stream.truncate()
    yield


def truncate_then_write(desk: Desk) -> Iterator[None]:
    """VS Code, also over SMB, where the pause is longer."""
    with desk.main.open("w") as stream:
        yield
        stream.write(NEW[:40])
        stream.flush()
        yield
        stream.write(NEW[40:])
    yield


def temp_then_rename(desk: Desk) -> Iterator[None]:
    temp = desk.folder / ".bots.yaml.tmp"
    temp.write_text(NEW)
    yield
    temp.replace(desk.main)
    yield


def new_then_delete_old(desk: Desk) -> Iterator[None]:
    """Windows' ReplaceFile, as Office and some editors on a share do it."""
    (desk.folder / "~bots.tmp").write_text(NEW)
    desk.main.rename(desk.folder / "~bots.old")
    yield
    (desk.folder / "~bots.tmp").rename(desk.main)
    yield
    (desk.folder / "~bots.old").unlink()
    yield


def delete_then_write(desk: Desk) -> Iterator[None]:
    desk.main.unlink()
    yield
    desk.main.write_text(NEW)
    yield


def two_saves(desk: Desk) -> Iterator[None]:
    desk.main.write_text(spell("it", "first"))
    yield
    desk.main.write_text(NEW)
    yield


def vim(desk: Desk) -> Iterator[None]:
    """strace of vim 9.0, backupcopy=auto: the swap file, the 4913 probe, backup by rename."""
    swap = desk.folder / ".bots.yaml.swp"
    swap.write_bytes(b"b0VIM 9.0")
    (desk.folder / ".bots.yaml.swx").touch()
    (desk.folder / ".bots.yaml.swx").unlink()
    yield
    (desk.folder / "4913").touch()
    (desk.folder / "4913").unlink()
    backup = desk.main.rename(desk.folder / "bots.yaml~")
    yield
    with desk.main.open("w") as stream:
        yield
        stream.write(NEW)
        stream.flush()
        os.fsync(stream.fileno())
        os.fchmod(stream.fileno(), 0o644)
    yield
    swap.write_bytes(b"b0VIM 9.0 again")
    backup.unlink()
    swap.unlink()
    yield


def vim_by_copy(desk: Desk) -> Iterator[None]:
    """strace of vim 9.0, backupcopy=yes."""
    backup = desk.folder / "bots.yaml~"
    backup.write_text(OLD)
    os.utime(backup, (1, 1))
    yield
    with desk.main.open("r+") as stream:
        stream.truncate(0)
        yield
        stream.write(NEW)
    backup.unlink()
    yield


def nano(desk: Desk) -> Iterator[None]:
    (desk.folder / ".bots.yaml.swp").write_bytes(b"b0nano")
    yield
    with desk.main.open("w") as stream:
        stream.write(NEW)
    (desk.folder / ".bots.yaml.swp").unlink()
    yield


def notepad_over_smb(desk: Desk) -> Iterator[None]:
    """smbd: truncate, allocate, write, set the time."""
    with desk.main.open("w") as stream:
        yield
        os.posix_fallocate(stream.fileno(), 0, len(NEW))
        yield
        stream.write(NEW)
    os.utime(desk.main, (1_700_000_000, 1_700_000_000))
    yield


def vanish_for_a_while(desk: Desk) -> Iterator[None]:
    desk.main.unlink()
    for _ in range(4):  # at most SETTLE / 2 each
        yield
    desk.main.write_text(NEW)
    yield


STYLES = [
    *(in_place, truncate_then_write, temp_then_rename, new_then_delete_old, delete_then_write),
    *(two_saves, vim, vim_by_copy, nano, notepad_over_smb, vanish_for_a_while),
]


@pytest.mark.parametrize("inotify", [True, False], ids=["inotify", "poll"])
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_a_save_is_told_once_and_whole(
    desks: Callable[..., Desk], style: Callable[[Desk], Iterator[None]], *, inotify: bool
) -> None:
    desk = desks(inotify=inotify, poll=NEVER if inotify else POLL)
    assert desk.watch.hears == inotify
    for _ in style(desk):
        desk.run(SETTLE / 2 - 0.01)
    desk.run_until(lambda: bool(desk.told))
    desk.run(20)
    assert desk.texts == [NEW]
    assert desk.loaded
    assert desk.loaded.accepted == ("it", "hr")


@pytest.mark.parametrize("inotify", [True, False], ids=["inotify", "poll"])
def test_kubernetes_swaps_its_links(tmp_path: Path, *, inotify: bool) -> None:
    def lay(version: str, text: str) -> None:
        (tmp_path / version).mkdir()
        (tmp_path / version / "bots.yaml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    lay("..2026_1", OLD)
    (tmp_path / "bots.yaml").symlink_to("..data/bots.yaml")
    desk = Desk(tmp_path, inotify=inotify, poll=NEVER if inotify else POLL)
    desk.begin()
    try:
        for version, text in (("..2026_2", NEW), ("..2026_3", OLD)):
            told = len(desk.told)
            lay(version, text)
            desk.run_until(lambda told=told: len(desk.told) > told)  # type: ignore[misc]
            assert desk.texts[-1] == text
    finally:
        desk.watch.close()


@pytest.mark.parametrize("name", ["secrets.yaml", ".env", "bots.d/hr.yaml"])
def test_events_of_every_file_are_heard(
    desks: Callable[..., Desk], tmp_path: Path, name: str
) -> None:
    (tmp_path / "bots.d").mkdir()
    desk = desks(OLD + "- !include bots.d/hr.yaml\n", inotify=True, poll=NEVER)
    (tmp_path / name).write_text("a: one\n")
    desk.run_until(lambda: len(desk.told) == 1)


def test_a_linked_file_is_heard_where_it_lies(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "config"
    home.mkdir()
    (tmp_path / "real").mkdir()
    folder.symlink_to("real")
    (home / "bots.yaml").write_text(OLD)
    (folder / "bots.yaml").symlink_to(home / "bots.yaml")
    desk = Desk(folder, inotify=True, poll=NEVER)
    desk.begin()
    try:
        (home / "bots.yaml").write_text(NEW)
        desk.run_until(lambda: desk.texts == [NEW])
        (folder / ".env").write_text("LOG_LEVEL=DEBUG\n")
        desk.run_until(lambda: len(desk.told) == 2)
    finally:
        desk.watch.close()


# -- events


def test_our_own_reads_do_not_wake_us(desks: Callable[..., Desk]) -> None:
    desk = desks(inotify=True)
    assert desk.watch.hears
    for _ in range(50):
        load(desk.folder, {})
    desk.run(1000)  # 500 looks, each of which reads
    assert not desk.stirred.wait(0.05)
    desk.main.touch()
    desk.main.write_text(NEW)
    assert desk.stirred.wait(5)  # it was listening


def test_droppings_cost_a_few_reads(desks: Callable[..., Desk]) -> None:
    desk = desks(inotify=True, poll=NEVER)
    reads = 0
    real = desk.watch._read

    def count(now: float) -> None:
        nonlocal reads
        reads += 1
        real(now)

    desk.watch._read = count  # type: ignore[method-assign]
    for n in range(200):
        for name in (f".#x{n}", f"~$bots{n}.yaml", ".bots.yaml.swp", ".DS_Store", "4913"):
            (desk.folder / name).touch()
            (desk.folder / name).unlink()
    assert desk.stirred.wait(5)
    desk.run(1)
    assert desk.told == []
    assert 1 <= reads <= 1 / (QUICK / 6) + 1


def test_endless_events_cost_no_more(desks: Callable[..., Desk]) -> None:
    """A log file in the folder, say."""
    desk = desks()
    reads = set()
    for _ in range(1000):
        desk.watch._on_event()
        desk.now += STEP / 10
        desk.look()
        reads.add(desk.watch._read_at)
    assert len(reads) <= 1 / (QUICK / 6) + 2


def test_an_event_does_not_hold_up_what_settles(desks: Callable[..., Desk]) -> None:
    desk = desks()
    desk.main.write_text(NEW)
    desk.watch._on_event()
    desk.look()
    start = desk.now
    while not desk.told and desk.now < start + 5:
        desk.watch._on_event()
        desk.run(STEP)
    assert desk.told[0][0] - start <= SETTLE + QUICK / 6 + STEP


def test_who_saw_it_first_is_said_once(
    desks: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dod.watch")
    desk = desks(inotify=True, poll=NEVER)
    for text in (NEW, OLD):
        desk.main.write_text(text)
        desk.run_until(lambda text=text: desk.texts[-1:] == [text])  # type: ignore[misc]
    assert [line for line in caplog.messages if "by=" in line] == [
        "the first change of the configuration seen by=inotify poll=1e+09"
    ]


def test_a_folder_that_comes_later_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "config"
    desk = Desk(folder, inotify=True)
    try:
        desk.begin()
        desk.run(10)
        assert not desk.watch.hears
        assert [it for it in caplog.messages if str(folder) in it and "DOD_CONFIG_DIR" in it]
        assert not [line for line in caplog.messages if "inotify" in line or "sysctl" in line]
        for text in (OLD, NEW):  # and one that is replaced as a whole
            folder.mkdir()
            desk.main.write_text(text)
            desk.run(POLL + CONFIRM)
            assert desk.watch.hears
            assert desk.texts[-1] == text
            desk.stirred.clear()
            desk.main.write_text(text + "# by event\n")
            assert desk.stirred.wait(5)
            desk.run(POLL + SETTLE)
            assert desk.texts[-1] == text + "# by event\n"
            folder.rename(tmp_path / f"old{len(desk.told)}")
            desk.run(POLL + CONFIRM)
    finally:
        desk.watch.close()


def test_a_file_in_place_of_the_folder_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "config"
    folder.write_text(OLD)
    desk = Desk(folder, inotify=True)
    try:
        desk.begin()
        desk.run(10)
    finally:
        desk.watch.close()
    (line,) = [line for line in caplog.messages if str(folder) in line]
    assert f"{folder} is no folder" in line
    assert "sysctl" not in line


def test_a_deleted_folder_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "bots.yaml").write_text(OLD)
    desk = Desk(folder, inotify=True)
    try:
        desk.begin()
        (folder / "bots.yaml").unlink()
        folder.rmdir()
        desk.run(POLL + CONFIRM)
        assert desk.texts == ["absent"]
        assert not desk.watch.hears
        folder.mkdir()
        desk.main.write_text(NEW)
        desk.run(POLL + SETTLE)
        assert desk.texts == ["absent", NEW]
        assert desk.watch.hears
    finally:
        desk.watch.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# Run in a user namespace of its own, so that only its instances are used up and nobody else's.
EXHAUSTED = """
import ctypes, errno, logging, os, sys, threading
from pathlib import Path
from dod.config.load import load
from dod.watch import Watch

logging.basicConfig()
libc = ctypes.CDLL(None, use_errno=True)
taken = []
while (fd := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
    taken.append(fd)
    assert len(taken) < 100, "there is no limit"
assert ctypes.get_errno() == errno.EMFILE

now, stirred = 1000.0, threading.Event()
folder = Path(sys.argv[1])
watch = Watch(folder, wake=stirred.set, clock=lambda: now)
watch.start()
watch.seen(load(folder, {}))
assert not watch.hears

def sights(seconds):
    global now
    end, found = now + seconds, []
    while now < end:
        now += 0.1
        sight = watch.look()
        if sight == "changed":
            watch.seen(load(folder, {}))
        found += [sight] * (sight != "quiet")
    return found

assert sights(5) == []
(folder / "bots.yaml").write_text("bots: []")
assert sights(5) == ["changed"]
for fd in taken:
    os.close(fd)
assert sights(61) == []
assert watch.hears
stirred.clear()
(folder / "bots.yaml").write_text("bots: [] # by event")
assert stirred.wait(5)
watch.close()
"""


def in_a_namespace(options: str, prepare: str, program: str, *arguments: str) -> str:
    """What ``program`` wrote to stderr. Skips where a user may make no namespaces."""
    script = f'{prepare} || exit 77; exec "$0" -c "$@"'
    try:
        done = subprocess.run(
            ["unshare", options, "sh", "-c", script, sys.executable, program, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=Path(__file__).parent.parent,
        )
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no namespaces for this user: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_without_inotify_instances_it_polls_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(OLD)
    limit = "echo 5 > /proc/sys/user/max_inotify_instances"
    said = in_a_namespace("-r", limit, EXHAUSTED, str(tmp_path))
    assert said.count("max_user_instances") == 2  # in both languages, once
    assert "instance limit" in said


def test_real_time_and_a_writer_of_its_own(tmp_path: Path) -> None:
    """The whole thing as the main loop runs it: real clock, real events, scaled down."""
    main = tmp_path / "bots.yaml"
    main.write_text(OLD)
    wake = threading.Event()
    watch = Watch(tmp_path, poll=0.4, wake=wake.set, settle=0.06, quick=0.03, confirm=0.3)
    watch.seen(load(tmp_path, {}))
    watch.start()
    last = ""

    def write() -> None:
        nonlocal last
        for n in range(20):
            last = spell("it", f"n{n}")
            with main.open("w") as stream:
                for start in range(0, len(last), 50):
                    stream.write(last[start : start + 50])
                    stream.flush()
            time.sleep(0.005)

    writer = threading.Thread(target=write, name="writer")
    writer.start()
    loaded: Loaded | None = None
    deadline = time.monotonic() + 20
    try:
        while (
            writer.is_alive() or loaded is None or loaded.fingerprint != fingerprint(loaded.files)
        ):
            assert time.monotonic() < deadline
            wake.wait(max(0.0, min(0.05, watch.next_look - time.monotonic())))
            wake.clear()
            if watch.look() == "changed" and watch.settled(new := load(tmp_path, {})):
                watch.seen(loaded := new)
    finally:
        writer.join()
        watch.close()
    assert loaded.accepted == ("it", "n19")


# -- a file mounted by itself


def test_a_deleted_file_that_is_still_seen_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a mount of a single file looks after a save by rename: no link is left to it."""
    kept = tmp_path / "kept"
    kept.write_text(OLD)
    with kept.open() as stream:
        kept.unlink()
        folder = tmp_path / "config"
        folder.mkdir()
        (folder / "bots.yaml").symlink_to(f"/proc/self/fd/{stream.fileno()}")
        desk = Desk(folder)
        desk.begin()
        desk.run(30)
        assert desk.texts == []
    said = [line for line in caplog.messages if "单独挂载" in line and "deleted old" in line]
    assert len(said) == 1
    assert desk.watch.trouble
    assert desk.watch.trouble.fix == "-v ./config:/config"


def test_a_mounted_file_is_found_in_the_table_of_mounts(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "bots.yaml").write_text(OLD)
    table = tmp_path / "mountinfo"
    point = str(folder / "bots.yaml").replace(" ", "\\040")
    table.write_text(f"63 43 254:0 /srv/bots.yaml {point} rw,relatime - ext4 /dev/vda rw\n")
    assert mounted_alone(folder / "bots.yaml", table)
    assert not mounted_alone(folder / ".bots.yaml", table)
    assert not mounted_alone(folder / "bots.yaml", tmp_path / "none")
    assert not mounted_alone(folder / "bots.yaml")


MOUNTED = """
import logging, sys
from pathlib import Path
from dod.watch import Watch
logging.basicConfig()
watch = Watch(Path(sys.argv[1]), wake=lambda: None, inotify=False)
watch.start()
"""


def test_a_real_mount_of_a_single_file_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "bots.yaml").write_text(OLD)
    (tmp_path / "config" / "bots.yaml").touch()
    mount = f"mount --bind '{tmp_path}/bots.yaml' '{tmp_path}/config/bots.yaml'"
    said = in_a_namespace("-rm", mount, MOUNTED, str(tmp_path / "config"))
    assert "单独挂载" in said
    assert "mount its folder" in said
