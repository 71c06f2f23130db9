"""``python -m tests.storm --seconds 600 --seed 1 --seed 2``: exit 0 if everything is 0."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.storm import report
from tests.storm.judge import listed
from tests.storm.plan import WEIGHTS
from tests.storm.storm import Outcome, Storm, Weather


def main() -> int:
    options = _options()
    seeds = options.seed or [random.SystemRandom().randrange(100_000)]
    without = _without(options.only, options.without)
    runs: list[tuple[Weather, Outcome]] = []
    for seed in seeds:
        settle = max(90.0, min(300.0, options.seconds))
        weather = Weather(
            seed,
            options.seconds,
            rate=options.rate,
            every=options.every,
            settle=settle,
            without=without,
        )
        runs.append((weather, blow(weather, options.keep)))
    print(f"\n{report.machine()}\n\n{report.counted(runs)}\n\n{report.injected(runs)}")
    if options.write:
        file = Path(options.write)
        text = report.between(file.read_text("utf-8"), "storm", _tables(runs))
        file.write_text(text, "utf-8")
    return 0 if all(outcome.verdict.clean and outcome.settled for _, outcome in runs) else 1


def blow(weather: Weather, keep: str) -> Outcome:
    """One storm; its folder is kept if something is not 0, or under ``keep``."""
    parent = Path(keep) if keep else Path(tempfile.mkdtemp(prefix="dod-storm-"))
    folder = parent / f"seed{weather.seed}"
    print(f"== storm seed={weather.seed} seconds={weather.seconds:g} folder={folder}", flush=True)
    with Storm(weather, folder) as storm:
        storm.blow()
        outcome = storm.finish(storm.quiet())
    counts = {what: count for what, count in outcome.verdict.counts.items() if count}
    print(
        f"   {outcome.seconds:.0f} s, settled={outcome.settled}, status={outcome.status}, "
        f"faults={sum(outcome.faults.values())}, facts={dict(outcome.verdict.facts)}\n"
        f"   counts={counts or 'all 0'}\n{listed(outcome.verdict.cases)}",
        flush=True,
    )
    if outcome.verdict.clean and outcome.settled and not keep:
        shutil.rmtree(parent)
    return outcome


def _tables(runs: list[tuple[Weather, Outcome]]) -> str:
    return f"\n{report.machine()}\n\n{report.counted(runs)}\n\n{report.injected(runs)}\n"


def _without(only: list[str], without: list[str]) -> frozenset[str]:
    """Kinds to leave out, by parts of their names."""
    out = {kind for kind in WEIGHTS if any(word in kind for word in without)}
    if only:
        out |= {kind for kind in WEIGHTS if not any(word in kind for word in only)}
    return frozenset(out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of trouble, each")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated")
    parser.add_argument("--rate", type=float, default=6.0, help="messages a second")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between faults")
    parser.add_argument("--only", action="append", default=[], help="part of a fault's name")
    parser.add_argument("--without", action="append", default=[], help="part of a fault's name")
    parser.add_argument("--keep", default="", help="folder for journals, logs, data")
    parser.add_argument("--write", default="", help="file with markers to put the tables into")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
