"""``dod supervise`` between the simulators: the product under its own supervisor.

``kill -9`` hits dod alone: simulators and judge live in this process, supervisord in another.
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from dod.sim.background import Background
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.simulator import SimDingTalk
from tests.e2e.rig import ROOT
from tests.ports import free_port

PAGES = ("/", "/api/status", "/healthz", "/readyz", "/metrics")


class Host:
    """``with Host(folder) as host`` → ``begin`` → … ; leaves nothing running. Thread: main."""

    def __init__(
        self, folder: Path, *, env: Mapping[str, str] | None = None, qps: int = 20
    ) -> None:
        self.folder = folder
        self.web_port = free_port()
        self._env = dict(env or {})
        self._qps = qps
        self._background = Background()
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._controls: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._background.__enter__()
        switches = Switches(ack_deadline=5.0, redeliveries=3, keepalive=15.0)
        self.dingtalk = self._background.start(SimDingTalk(qps=self._qps, switches=switches))
        self.dify = self._background.start(SimDify())
        (self.folder / "config").mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            self._background.__exit__(None, None, None)

    def run(self, work: Any, timeout: float = 30.0) -> Any:
        """Run a coroutine of the simulators, on their loop."""
        return self._background.run(work, timeout)

    def soon(self, work: Callable[[], object]) -> None:
        """Do ``work`` on the simulators' loop."""
        self._background.loop.call_soon_threadsafe(work)

    # -- dod

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def begin(self) -> None:
        environment = {
            **{name: it for name, it in os.environ.items() if "proxy" not in name.lower()},
            "DOD_CONFIG_DIR": str(self.config),
            "DOD_DATA_DIR": str(self.data),
            "DOD_LOG_DIR": str(self.folder / "logs"),
            "DOD_WEB_LISTEN": f"127.0.0.1:{self.web_port}",
            "DOD_POLL_SECONDS": "0.5",
            "DINGTALK_OPENAPI_ENDPOINT": self.dingtalk.url,
            "DINGTALK_OAPI_ENDPOINT": self.dingtalk.url,
            "DIFY_OPEN_API_URL": self.dify.url,
            **self._env,
        }
        with (self.folder / "supervise.out").open("wb") as out:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "dod", "supervise"],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def pid(self) -> int:
        """dod's process; 0 while there is none."""
        if self._supervisor is None:
            return 0
        task = f"/proc/{self._supervisor.pid}/task/{self._supervisor.pid}/children"
        try:
            children = Path(task).read_text("ascii").split()
        except OSError:
            return 0
        return int(children[0]) if children else 0

    def signal(self, number: signal.Signals, pid: int = 0) -> int:
        """Send a signal to dod alone; returns its pid, or 0 if there was nobody."""
        pid = pid or self.pid()
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return 0
        return pid

    def control(self, *words: str, wait: bool = False) -> None:
        """``supervisorctl words``."""
        self._controls = [one for one in self._controls if one.poll() is None]
        file = str(self.data / "supervisor" / "supervisord.conf")
        control = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", file, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._controls.append(control)
        if wait:
            control.wait(60)

    def end(self) -> int | None:
        """TERM to supervisord, which ends dod; its status."""
        for control in self._controls:
            control.wait(60)
        self._controls.clear()
        if self._supervisor is None:
            return None
        if self._supervisor.poll() is None:
            self._supervisor.terminate()
        return self._supervisor.wait(60)

    def until(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The condition's value once it is true, else what it is after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return value

    # -- what it says

    def page(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.web_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.read()
        except OSError:
            return b""

    def log(self) -> str:
        """All of dod's log that is still there, oldest first."""
        files = sorted(
            (self.folder / "logs").glob("dod.log*"),
            key=lambda file: -int(file.suffix[1:]) if file.suffix[1:].isdigit() else 0,
        )
        return "".join(file.read_text("utf-8", "replace") for file in files)

    def command_line(self) -> bytes:
        """What ``ps`` shows of dod."""
        try:
            return Path(f"/proc/{self.pid()}/cmdline").read_bytes()
        except OSError:
            return b""

    def size(self) -> dict[str, int]:
        """Of dod: resident kB, threads, file descriptors, HTTP connections among them.

        An idle HTTP connection is kept for 90 s, so their number tells how many people spoke at
        once lately; the descriptors are counted without them.
        """
        pid = self.pid()
        try:
            status = Path(f"/proc/{pid}/status").read_text("ascii")
            sockets = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
            calls = len(self._to_neighbours().intersection(sockets))
        except OSError:
            return {"rss_kb": 0, "threads": 0, "fds": 0, "http": 0}
        calls -= sum(map(self.dingtalk.live_connections, self.dingtalk.apps))
        found = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE))
        return {
            "rss_kb": int(found["VmRSS"]),
            "threads": int(found["Threads"]),
            "fds": len(sockets) - calls,
            "http": calls,
        }

    def _to_neighbours(self) -> set[str]:
        """Sockets of this host that are connected to a simulator, as /proc names them."""
        ports = {int(url.rpartition(":")[2]) for url in (self.dingtalk.url, self.dify.url[:-3])}
        lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
        rows = [line.split() for line in lines]
        return {f"socket:[{row[9]}]" for row in rows if int(row[2].partition(":")[2], 16) in ports}
