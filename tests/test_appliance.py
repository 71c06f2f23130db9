"""``dod run`` and ``dod status`` as processes: what they say of a folder, a file and a password."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DOD = (sys.executable, "-m", "dod")


def environ(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: it for name, it in os.environ.items() if not name.startswith(("DOD_", "DING"))}
    return {
        **kept,
        "DOD_CONFIG_DIR": str(folder / "config"),
        "DOD_DATA_DIR": str(folder / "data"),
        "DOD_WEB_LISTEN": "",
        "DOD_POLL_SECONDS": "0.1",
        **more,
    }


class Run:
    """Its log goes to a file. Lifecycle: see ``running``."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path) -> None:
        self.process = process
        self._out = out

    @property
    def log(self) -> str:
        return self._out.read_text("utf-8")

    def until(self, words: str) -> None:
        deadline = time.monotonic() + 30
        while words not in self.log:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)


@contextlib.contextmanager
def running(folder: Path, name: str, **more: str) -> Iterator[Run]:
    (folder / "config").mkdir(exist_ok=True)
    out = folder / f"{name}.log"
    with out.open("wb") as file:
        process = subprocess.Popen([*DOD, "run"], stderr=file, env=environ(folder, **more))
    try:
        yield Run(process, out)
    finally:
        process.terminate()
        process.wait(30)


def test_the_second_on_a_data_folder_says_who_holds_it_and_when_it_takes_over(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "first") as first:
        first.until("waiting for it, looking every 0.1 s")
        with running(tmp_path, "second") as second:
            second.until(f"in use by another dod (pid {first.process.pid} on")
            first.process.terminate()
            second.until("is free now: taking over")
            second.until("waiting for it")
            assert second.log.count("in use by") == 1
    assert first.log.count("waiting for it") == 1


def test_status_shows_the_password_of_the_configuration(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "bots.yaml"
    file.write_text("bots: []\nweb: {password: open-sesame}\n")

    def status(folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*DOD, "status"],
            env=environ(folder, DOD_WEB_LISTEN=listen),
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )

    with running(tmp_path, "run", DOD_WEB_LISTEN=listen) as run:
        run.until("reload config=accepted")
        run.until("status page on")
        told = status(tmp_path)
        assert (told.returncode, told.stderr) == (0, "")
        assert "bots.yaml: accepted" in told.stdout
        refused = status(tmp_path / "elsewhere")
        assert refused.returncode == 1
        assert "wants a password" in refused.stderr
        assert "需要密码" in refused.stderr
        assert "open-sesame" not in told.stdout + refused.stderr + run.log


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_folder_that_cannot_be_written_is_said_to_lack_the_permission(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    with running(tmp_path, "run") as run:
        run.until("waiting for it")
        assert "No such file" not in run.log
        assert "Permission denied" in run.log
