"""What is measured: dod, the floor, and the original, each as a process between the neighbours.

The original is zfanswer/dify-on-dingtalk v0.1, unchanged: a checkout in ``ORIGINAL``, and in
``ORIGINAL_PYTHON`` an interpreter that has its requirements. Its SDK takes DingTalk's address from
a variable of its own, its configuration from the working folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tests.bench.neighbours import Crowd, Neighbours
from tests.e2e.rig import ROOT, TEMPLATE, bot
from tests.ports import free_port

Kind = Literal["floor", "dod", "original"]


@dataclass(frozen=True)
class Bridge:
    """One to start. ``workers``: the bots' max_workers; the original's are as many connections."""

    kind: Kind
    names: Sequence[str] = ("it",)
    workers: int = 2
    qps: int = 0  # what it may spend: dod's ``dingtalk_qps``
    keys: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # bot → its further keys
    ca: Path | None = None  # of a DingTalk behind TLS


class Running:
    """Lifecycle: ``with Running(bridge, near, folder) as it``: started, connected, ended."""

    def __init__(self, bridge: Bridge, near: Neighbours, folder: Path) -> None:
        self.bridge = bridge
        self._near = near
        self._folder = folder
        self._web = free_port()
        self.log = folder / f"{bridge.kind}.log"
        self.started_after = 0.0  # seconds from the command to the last bot's connection
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.write(self.bridge.keys)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        words, variables = {
            "dod": self._dod,
            "floor": self._floor,
            "original": self._original,
        }[self.bridge.kind]()
        environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        if self.bridge.ca:
            variables |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(self.bridge.ca))
        cwd = self._folder if self.bridge.kind == "original" else ROOT
        with self.log.open("ab") as log:
            began = time.monotonic()
            self._process = subprocess.Popen(
                words, cwd=cwd, env={**environment, **variables}, stdout=log, stderr=log
            )
        self.pid = self._process.pid
        while True:
            try:
                self.started_after = self._near.connected(list(self.bridge.names), 2.0) - began
            except AssertionError as error:
                if self._process.poll() is None and time.monotonic() - began < 60:
                    continue
                self.stop()
                raise AssertionError(f"{error}\n{self.log.read_text()[-2000:]}") from None
            return

    def stop(self) -> None:
        """The original does not heed TERM while a thread of it runs; only dod ends by itself."""
        if self._process is None or self._process.poll() is not None:
            return
        polite = self.bridge.kind == "dod"
        self._process.send_signal(signal.SIGTERM if polite else signal.SIGKILL)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def write(self, keys: Mapping[str, Mapping[str, object]]) -> None:
        """Save its configuration. JSON is YAML."""
        entries = [
            bot(name, **{"max_workers": self.bridge.workers, **keys.get(name, {})})
            for name in self.bridge.names
        ]
        if self.bridge.kind == "floor":
            bots = [
                {
                    "client_id": one["dingtalk_app_client_id"],
                    "client_secret": one["dingtalk_app_client_secret"],
                    "key": one["dify_app_api_key"],
                }
                for one in entries
            ]
            given: dict[str, Any] = {"bots": bots, "template": TEMPLATE, "qps": self.bridge.qps}
            given |= {"openapi": self._near.dingtalk, "dify": self._near.dify}
            (self._folder / "floor.json").write_text(json.dumps(given), "utf-8")
            return
        if self.bridge.kind == "dod":
            (self._folder / "config").mkdir(exist_ok=True)
            path = self._folder / "config" / "bots.yaml"
            top: dict[str, Any] = {"dingtalk_qps": self.bridge.qps}
            top["dingtalk_monthly_calls"] = 0  # the pace that is measured is not the month's
        else:
            path, top = self._folder / ".bots.yaml", {}
        path.write_text(json.dumps({**top, "bots": entries}, ensure_ascii=False, indent=1), "utf-8")

    def _dod(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "dod", "run"], {
            "DOD_CONFIG_DIR": str(self._folder / "config"),
            "DOD_DATA_DIR": str(self._folder / "data"),
            "DOD_WEB_LISTEN": f"127.0.0.1:{self._web}",
            "DINGTALK_OPENAPI_ENDPOINT": self._near.dingtalk,
            "DINGTALK_OAPI_ENDPOINT": self._near.dingtalk,
            "DIFY_OPEN_API_URL": self._near.dify,
        }

    def _floor(self) -> tuple[list[str], dict[str, str]]:
        return [
            sys.executable,
            "-m",
            "tests.bench.floor",
            str(self._folder / "floor.json"),
        ], {}

    def _original(self) -> tuple[list[str], dict[str, str]]:
        checkout, python = original()
        return [python, str(checkout / "app.py")], {
            "DINGTALK_OPENAPI_ENDPOINT": self._near.dingtalk,
            "DIFY_OPEN_API_URL": self._near.dify,
            "DIFY_CONVERSATION_REMAIN_TIME": "15",
            "DINGTALK_AI_CARD_TEMPLATE_ID": TEMPLATE,
            "PYTHONPATH": "",
        }

    # -- what it costs

    def crowd(self, count: int, seconds: float, names: Sequence[str] = ()) -> Crowd:
        """See ``Neighbours.crowd``; with the CPU that it took."""
        before = self.cpu()
        seen = self._near.crowd(list(names or self.bridge.names[:1]), count, seconds)
        return Crowd(**{**vars(seen), "cpu": self.cpu() - before})

    def cpu(self) -> float:
        """Seconds of CPU so far, of all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident MB."""
        rows = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS")) * 1024 / 1e6

    # -- dod alone

    def bot(self, name: str) -> dict[str, Any]:
        """What ``/api/status`` says of one bot."""
        url = f"http://127.0.0.1:{self._web}/api/status"
        with urllib.request.urlopen(url, timeout=5) as answer:
            told = json.load(answer)
        return next((one for one in told["bots"] if one["name"] == name), {})


def original() -> tuple[Path, str]:
    """Its checkout and its interpreter."""
    return Path(os.environ["ORIGINAL"]).resolve(), os.environ["ORIGINAL_PYTHON"]


def until(condition: Callable[[], bool], what: str, seconds: float) -> float:
    """When ``condition`` came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic()
