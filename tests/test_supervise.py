"""``dod supervise`` for real: supervisord, its socket, a crash, a signal, the end."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dod.supervise import prepare, supervise

pytest.importorskip("supervisor", reason="not in the image, which has s6 instead")


class Host:
    """A plain host with one ``dod supervise``."""

    def __init__(self, folder: Path) -> None:
        self.data, self.config = folder / "data", folder / "config"
        self.config.mkdir()
        (self.config / "bots.yaml").write_text("bots: []\n")
        kept = {name: it for name, it in os.environ.items() if not name.startswith("DOD_")}
        self._out = folder / "out"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dod", "supervise"],
                env={
                    **kept,
                    "DOD_CONFIG_DIR": str(self.config),
                    "DOD_DATA_DIR": str(self.data),
                    "DOD_WEB_LISTEN": "",
                    "DOD_POLL_SECONDS": "600",
                },
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def told(self) -> str:
        log = self.data / "supervisor" / "dod.log"
        return self._out.read_text() + (log.read_text("utf-8") if log.exists() else "")

    def control(self, *words: str) -> str:
        file = str(self.data / "supervisor" / "supervisord.conf")
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", file, *words],
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=30,
        )
        return done.stdout + done.stderr

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.told}"
            assert self.process.poll() is None, self.told
            time.sleep(0.05)

    def pid(self) -> int:
        return int(self.control("pid", "dod").strip() or 0)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the path of a Unix socket has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="dod") as name:
        yield Path(name)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    try:
        yield made
    finally:
        made.process.terminate()
        made.process.wait(30)


def test_it_restarts_obeys_and_ends(host: Host) -> None:
    host.until(lambda: "reload config=accepted" in host.told, "running")
    host.until(lambda: "RUNNING" in host.control("status", "dod"), "called running")
    assert (host.data / "supervisor" / "supervisor.sock").stat().st_mode & 0o077 == 0
    first = host.pid()

    (host.config / "bots.yaml").write_text("bots: []\nadmins: ['boss']\n")
    assert "signalled" in host.control("signal", "HUP", "dod")
    host.until(lambda: host.told.count("reload config=accepted") == 2, "looked at HUP")

    os.kill(first, signal.SIGKILL)
    host.until(lambda: host.told.count("dod starts") == 2, "back after kill -9")
    host.until(lambda: host.pid() not in {0, first}, "as another process")

    host.process.terminate()
    assert host.process.wait(30) == 0
    assert host.told.rstrip().endswith("dod has stopped")


def test_its_file_bears_odd_paths_and_refuses_impossible_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "50% 数据"
    file, logs = prepare({"DOD_DATA_DIR": str(data), "DOD_LOG_DIR": str(tmp_path / "log")})
    assert "50%% 数据" in file.read_text("utf-8")
    assert logs.is_dir()
    assert file.stat().st_mode & 0o777 == 0o600
    for impossible in ("a;b", 'a"b', "long" * 40):
        started: list[str] = []
        code = supervise(
            {"DOD_DATA_DIR": str(tmp_path / impossible)}, lambda *_, it=started: it.append("!")
        )
        assert (code, started) == (2, [])
    assert "The path is too long" in capsys.readouterr().err
