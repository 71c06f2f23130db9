"""Save → applied with 50 bots, between the simulators: ``make bench-reload``.

Prints a Markdown table for docs/benchmarks.md. Applied means what design and status page mean: the
changed bot reports its new generation, a new bot is connected, a removed bot has left DingTalk.
Connections are counted by the simulated DingTalk, not by dod.
"""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.rig import NO_INOTIFY, Rig, bot

BOTS, RUNS, POLL = 50, 5, 2.0  # seconds: the default of DOD_POLL_SECONDS
LIVE, NEW, GONE = "one bot's `live` key", "a new bot", "a bot removed"


@dataclass
class Row:
    """Seconds from save to applied, and websockets that bots opened which were not meant."""

    seconds: list[float] = field(default_factory=list)
    disturbed: int = 0

    def __str__(self) -> str:
        least, most = min(self.seconds), max(self.seconds)
        return f"{statistics.median(self.seconds):.2f} s ({least:.2f}–{most:.2f})"


class Bench:
    """One dod with 50 bots; each edit is one save of the whole file."""

    def __init__(self, rig: Rig, bots: list[dict[str, object]]) -> None:
        self._rig = rig
        self._bots = bots
        self.rows = {LIVE: Row(), NEW: Row(), GONE: Row()}

    def run(self, number: int) -> None:
        rig, bots = self._rig, self._bots
        changed = bots[number * 11 % BOTS]
        name = str(changed["name"])
        changed["max_workers"] = 3 + number
        took = rig.of(name)["generation"] + 1
        self._time(LIVE, number, name, lambda: rig.of(name)["generation"] == took)
        entry = bot(f"new{number}")
        rig.add_apps(entry)
        bots.append(entry)
        name = str(entry["name"])
        self._time(NEW, number, name, lambda: rig.of(name).get("state") == "connected")
        bots.remove(entry)
        client_id = str(entry["dingtalk_app_client_id"])
        self._time(GONE, number, name, lambda: not rig.dingtalk.live_connections(client_id))

    def _time(self, what: str, number: int, name: str, applied: Callable[[], bool]) -> None:
        # Saves fall evenly into the pause between two looks.
        time.sleep(1.0 + POLL * (number + 0.5) / RUNS)
        before = self._opened_but(name)
        began = time.monotonic()
        self._rig.save(*self._bots)
        self._rig.until(applied, what, 30)
        self.rows[what].seconds.append(time.monotonic() - began)
        self.rows[what].disturbed += self._opened_but(name) - before

    def _opened_but(self, name: str) -> int:
        opened = self._rig.opened()
        return sum(count for client_id, count in opened.items() if client_id != f"ding-{name}")


def measure(launcher: tuple[str, ...]) -> dict[str, Row]:
    bots = [bot(f"b{number:02}") for number in range(BOTS)]
    with tempfile.TemporaryDirectory() as folder:
        env = {"DOD_POLL_SECONDS": f"{POLL:g}"}
        with Rig(Path(folder), bots, env=env, launcher=launcher) as rig:
            rig.until(lambda: rig.get("/readyz") == 200, "all are connected")
            bench = Bench(rig, list(bots))
            for number in range(RUNS):
                bench.run(number)
            assert ("No inotify" in rig.printed()) == bool(launcher)
            return bench.rows


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model na")), "?")
    return (
        f"{os.cpu_count()} cores of {model} (virtual), {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def main() -> None:
    subprocess.run([*NO_INOTIFY, "true"], check=True)  # else: no user namespaces here
    inotify, polling = measure(()), measure(NO_INOTIFY)
    print(f"{machine()}; {BOTS} bots, {RUNS} saves of each kind, median (least–most)\n")
    print(f"| saved | with inotify | polling every {POLL:g} s only | new connections of others |")
    print("|---|---|---|---|")
    for what, row in inotify.items():
        other = polling[what]
        print(f"| {what} | {row} | {other} | {row.disturbed + other.disturbed} |")


if __name__ == "__main__":
    main()
