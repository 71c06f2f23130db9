"""``make bench``: every number of design §11 beside the floor and, if given, the original.

``ORIGINAL=checkout ORIGINAL_PYTHON=interpreter make bench`` measures zfanswer/dify-on-dingtalk
v0.1, too. Rewrites the table of docs/benchmarks.md and docs/benchmarks.json, unless only some
scenarios were asked for. A scenario that breaks is tried once more; then its rows are missing, and
the exit status is 1.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.bench import report, scenarios
from tests.bench.bridges import Kind
from tests.bench.scenarios import Plan, Row

Scenario = Callable[[Plan], list[Row]]

# One after the other: these are about milliseconds.
QUIET: dict[str, Scenario] = {
    "one": scenarios.one_person,
    "50": scenarios.crowd_50,
    "200": scenarios.crowd_200,
    "50-qps": lambda plan: scenarios.throttled(plan, 50, _but_original(plan)),
    "200-qps": lambda plan: scenarios.throttled(plan, 200, _but_original(plan)),
    "book": scenarios.book,
    "start": scenarios.start_up,
    "reload": scenarios.reload_one,
}
# Side by side: memory, and what is counted in calls and whole seconds. The original does not know
# of a rate limit: what it loses is counted, not timed.
TOGETHER: dict[str, Scenario] = {
    "50-qps": lambda plan: scenarios.throttled(plan, 50, _original(plan)),
    "200-qps": lambda plan: scenarios.throttled(plan, 200, _original(plan)),
    "idle": scenarios.idle,
    "pacing": scenarios.pacing,
}


def _but_original(plan: Plan) -> tuple[Kind, ...]:
    return tuple(kind for kind in plan.kinds if kind != "original")


def _original(plan: Plan) -> tuple[Kind, ...]:
    return tuple(kind for kind in plan.kinds if kind == "original")


class Bench:
    """Lifecycle: ``run`` once."""

    def __init__(self, plan: Plan, only: frozenset[str]) -> None:
        self._plan = plan
        self._only = only
        self._rows: dict[str, Row] = {}
        self.broken: list[str] = []

    @property
    def rows(self) -> list[Row]:
        return [row for row in self._rows.values() if row.values or row.notes]

    def run(self) -> None:
        for name, work in QUIET.items():
            self._do(name, work)
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(self._do, name, work) for name, work in TOGETHER.items()]
        for job in jobs:
            job.result()

    def _do(self, name: str, work: Scenario) -> None:
        if self._only and name not in self._only:
            return
        began = time.monotonic()
        for again in (True, False):
            try:
                rows = work(self._plan)
            except Exception:  # noqa: BLE001  the rim of one scenario: the others go on
                traceback.print_exc()
                if not again:
                    self.broken.append(name)
            else:
                self._take(rows)
                break
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    def _take(self, rows: list[Row]) -> None:
        for row in rows:
            known = self._rows.setdefault(row.what, replace(row, values={}, notes={}))
            known.values |= row.values
            known.notes |= row.notes


def main() -> int:
    names = [*dict.fromkeys((*QUIET, *TOGETHER))]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"of {' '.join(names)}; default: all, and write")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], choices=("floor", "original"))
    given = parser.parse_args()
    if unknown := set(given.only) - set(names):
        parser.error(f"no such scenario: {' '.join(sorted(unknown))}")
    kinds: list[Kind] = ["floor", "dod"]
    if os.environ.get("ORIGINAL") and os.environ.get("ORIGINAL_PYTHON"):
        kinds.append("original")
    else:
        print("the original is not measured: set ORIGINAL and ORIGINAL_PYTHON", file=sys.stderr)
    plan = Plan(tuple(kind for kind in kinds if kind not in given.without), max(1, given.runs))
    began, load = time.monotonic(), os.getloadavg()[0]
    bench = Bench(plan, frozenset(given.only))
    bench.run()
    took = time.monotonic() - began
    text = report.section(bench.rows, plan.kinds, took, plan.runs)
    if load > 0.5:  # of what ran before: these times are not worth much
        text = f"**The machine was not idle: load {load:.1f} at the beginning.** {text}"
    print(text)
    if not given.only:
        report.write_page(text)
        told = json.dumps(report.numbers(bench.rows, took, plan.runs), ensure_ascii=False, indent=1)
        report.NUMBERS.write_text(told + "\n", "utf-8")
    if bench.broken:
        print(f"broken: {' '.join(bench.broken)}", file=sys.stderr)
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
