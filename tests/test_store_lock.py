import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dod.store.lock import DataLock

HOLD = (
    "import pathlib, sys, time\n"
    "from dod.store.lock import DataLock\n"
    "lock = DataLock(pathlib.Path(sys.argv[1]))\n"
    "print(lock.hold(), flush=True)\n"
    "time.sleep(60)\n"
)


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = DataLock(tmp_path / "data"), DataLock(tmp_path / "data")
    assert first.hold()
    assert first.hold(), "holding it already"
    assert first.held
    assert not second.hold()
    assert second.holder == f"pid {os.getpid()} on {os.uname().nodename}"
    first.release()
    first.release()
    assert second.hold()
    assert second.holder == ""
    second.release()


def test_kill_9_gives_it_back(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not lock.hold()
        assert str(other.pid) in lock.holder
        other.send_signal(signal.SIGKILL)
        other.wait(30)
    assert lock.hold()
    assert lock.held
    lock.release()


def test_a_file_system_without_locks_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        del descriptor, operation
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = DataLock(tmp_path)
    assert lock.hold()
    assert lock.hold()
    assert not lock.held
    assert caplog.text.count("No locks available") == 1
    lock.release()


def test_a_folder_that_cannot_be_had_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    lock = DataLock(tmp_path / "file")
    assert lock.hold()
    assert not lock.held
    assert "running without" in caplog.text


def test_a_folder_without_the_right_to_write_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real_open = os.open

    def only_reading(file: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(file, flags, mode)

    monkeypatch.setattr(os, "open", only_reading)
    lock = DataLock(tmp_path)
    assert lock.hold()
    assert not lock.held
    assert "Permission denied" in caplog.text


def test_another_users_file_can_be_locked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock").touch()
    real_open = os.open

    def only_reading(file: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(file, flags, mode)

    monkeypatch.setattr(os, "open", only_reading)
    lock = DataLock(tmp_path)
    assert lock.hold()
    assert lock.held
    assert not DataLock(tmp_path).hold()
    lock.release()


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_planted_link_costs_nobody_his_file(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """In a data folder that others can write: what it leads to was emptied."""
    theirs = tmp_path / "bots.yaml"
    theirs.write_text("bots: []\n", "utf-8")
    (tmp_path / "data").mkdir()
    link(tmp_path / "data" / ".lock", theirs)
    lock = DataLock(tmp_path / "data")
    assert lock.hold()
    lock.release()
    assert theirs.read_text("utf-8") == "bots: []\n"
