"""``python -m tests.storm.soak --seconds 3600``: does a dod that runs for long stay as it is?

Twenty bots, one message a second, a fault of the neighbours or a save every 20 s; the process is
never ended. Memory, threads and descriptors are read where nobody talks: after each tenth. What is
kept of the last cards, answers and people is full after some 1,000 messages (docs/reliability.md
names it): so the end is judged by the third reading.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.storm import plan, report
from tests.storm.judge import Verdict, listed
from tests.storm.storm import Storm, Weather

PARTS = 10
WARM = 3  # parts; what is kept of the last cards, answers and people is full then
GROWTH = 0.02  # of what there was after the warm-up
CALM = 6.0  # seconds without talk before a reading; what was kept alive by a fault has ended then


@dataclass(frozen=True)
class Reading:
    """``at``: seconds from the start."""

    at: float
    rss_kb: int
    threads: int
    fds: int
    http: int
    answered: int


def main() -> int:
    options = _options()
    folder = Path(options.keep or tempfile.mkdtemp(prefix="dod-soak-")) / f"seed{options.seed}"
    weather = Weather(
        options.seed,
        options.seconds,
        rate=options.rate,
        every=options.every,
        settle=240.0,
        without=plan.RESTARTS,
        env={"LOG_LEVEL": "INFO"},
    )
    print(f"== soak seed={options.seed} seconds={options.seconds:g} folder={folder}", flush=True)
    with Storm(weather, folder) as storm:
        pid = storm.host.pid()
        readings, settled = soak(storm)
        same = storm.host.pid() == pid
        outcome = storm.finish(settled)
    table = tables(weather, readings, outcome.verdict, sum(outcome.faults.values()))
    print(f"\n{table}\n\n{listed(outcome.verdict.cases)}")
    if not same:
        print("dod was started anew: this soak says nothing")
    if options.write:
        file = Path(options.write)
        file.write_text(report.between(file.read_text("utf-8"), "soak", table), "utf-8")
    grown = growth(readings)
    return 0 if same and outcome.verdict.clean and settled and max(grown) <= GROWTH else 1


def soak(storm: Storm) -> tuple[list[Reading], float | None]:
    """Talk and faults, in ten parts; and the seconds until all had ended after the last one.

    Read in the same state each time: nothing is broken, nobody talks, and the file is as it was at
    the start.
    """
    weather, readings = storm.weather, []
    part = weather.seconds / PARTS
    settled: float | None = None
    for number in range(PARTS):
        storm.blow(seed=weather.seed * 1000 + number, seconds=part)
        settled = storm.quiet()
        storm.pass_time(CALM)
        readings.append(read(storm, (number + 1) * part))
        print(f"   {readings[-1]}", flush=True)
    return readings, settled


def read(storm: Storm, at: float) -> Reading:
    """The least of a few readings: what is there, not what passes by."""
    sizes: list[dict[str, int]] = []
    while len(sizes) < 5:
        time.sleep(0.5)
        size = storm.host.size()
        if size["rss_kb"] or not storm.host.pid():  # else a descriptor was closed under our eyes
            sizes.append(size)
    least = {name: min(size[name] for size in sizes) for name in sizes[0]}
    return Reading(at, answered=len(storm.records.messages), **least)


def growth(readings: list[Reading]) -> tuple[float, float, float]:
    """Memory, threads, descriptors: what the end has more than warmed up, as a share of it."""
    first, last = readings[WARM - 1], readings[-1]
    return (
        last.rss_kb / first.rss_kb - 1,
        last.threads / first.threads - 1,
        last.fds / first.fds - 1,
    )


def tables(weather: Weather, readings: list[Reading], verdict: Verdict, faults: int) -> str:
    shown = (readings[0], readings[WARM - 1], readings[len(readings) // 2], readings[-1])
    rows = zip(
        ("memory (RSS)", "threads", "file descriptors"),
        (
            [f"{one.rss_kb / 1024:.1f} MB" for one in shown],
            [str(one.threads) for one in shown],
            [str(one.fds) for one in shown],
        ),
        growth(readings),
        strict=True,
    )
    heads = [f"after {one.at:g} s" for one in shown[:-1]]
    kept = " | ".join(str(one.http) for one in shown)
    about = (
        f"{report.machine()}; seed {weather.seed}, {weather.seconds:g} s, "
        f"{verdict.facts['said']} messages, {faults} faults, "
        f"{verdict.counts.total()} of what must be 0"
    )
    lines = [
        about,
        "",
        f"| | {' | '.join(heads)} | at the end | growth after {shown[1].at:g} s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {name} | {' | '.join(cells)} | {more:+.1%} |" for name, cells, more in rows]
    lines.append(f"| HTTP connections besides, kept for 90 s | {kept} | |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.storm.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.0, help="messages a second")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between faults")
    parser.add_argument("--keep", default="", help="folder for journal, log, data")
    parser.add_argument("--write", default="", help="file with markers to put the table into")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
