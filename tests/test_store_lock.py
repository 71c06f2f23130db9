import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dod.store.lock import Holder, Lock, hold

HOLD = (
    "import pathlib, sys, time\n"
    "from dod.store.lock import hold\n"
    "lock = hold(pathlib.Path(sys.argv[1]))\n"
    "print(type(lock).__name__, flush=True)\n"
    "time.sleep(60)\n"
)


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    first = hold(tmp_path / "data" / ".lock")
    assert isinstance(first, Lock)
    assert first.real
    second = hold(tmp_path / "data" / ".lock")
    assert isinstance(second, Holder)
    assert second.text == f"pid {os.getpid()} on {os.uname().nodename}"
    first.release()
    first.release()
    third = hold(tmp_path / "data" / ".lock")
    assert isinstance(third, Lock)
    third.release()


def test_kill_9_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "Lock\n"
        held = hold(path)
        assert isinstance(held, Holder)
        assert str(other.pid) in held.text
        other.send_signal(signal.SIGKILL)
        other.wait(30)
    lock = hold(path)
    assert isinstance(lock, Lock)
    assert lock.real
    lock.release()


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        del descriptor, operation
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    lock = hold(tmp_path / ".lock")
    assert isinstance(lock, Lock)
    assert not lock.real
    assert "No locks available" in caplog.text
    lock.release()


def test_a_folder_that_cannot_be_had_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    lock = hold(tmp_path / "file" / ".lock")
    assert isinstance(lock, Lock)
    assert not lock.real
    assert "running without a lock" in caplog.text


def test_another_users_file_can_be_locked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".lock"
    path.touch()
    real_open = os.open

    def only_reading(file: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(file, flags, mode)

    monkeypatch.setattr(os, "open", only_reading)
    lock = hold(path)
    assert isinstance(lock, Lock)
    assert lock.real
    assert isinstance(hold(path), Holder)
    lock.release()
