"""The tables of docs/reliability.md."""

import os
import platform
from pathlib import Path

from tests.storm.judge import FAULTS
from tests.storm.storm import Outcome, Weather


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model na")), "?")
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}"


def counted(runs: list[tuple[Weather, Outcome]]) -> str:
    """What was counted, a column for each run."""
    heads = [f"seed {weather.seed}, {weather.seconds:g} s" for weather, _ in runs]
    lines = [f"| counted | {' | '.join(heads)} |", "|---|" + "---|" * len(runs)]
    for what in FAULTS:
        cells = (str(outcome.verdict.counts[what]) for _, outcome in runs)
        lines.append(f"| **{what}** | {' | '.join(cells)} |")
    facts = list(dict.fromkeys(fact for _, outcome in runs for fact in outcome.verdict.facts))
    for fact in facts:
        cells = (str(outcome.verdict.facts[fact]) for _, outcome in runs)
        lines.append(f"| {fact} | {' | '.join(cells)} |")
    settled = (_seconds(outcome.settled) for _, outcome in runs)
    lines.append(f"| all settled after the last fault | {' | '.join(settled)} |")
    return "\n".join(lines)


def injected(runs: list[tuple[Weather, Outcome]]) -> str:
    """How often each fault was made."""
    heads = [f"seed {weather.seed}" for weather, _ in runs]
    lines = [f"| fault | {' | '.join(heads)} |", "|---|" + "---|" * len(runs)]
    kinds = sorted({kind for _, outcome in runs for kind in outcome.faults})
    for kind in kinds:
        cells = (str(outcome.faults.get(kind, 0)) for _, outcome in runs)
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    totals = (str(sum(outcome.faults.values())) for _, outcome in runs)
    lines.append(f"| **all** | {' | '.join(totals)} |")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


def between(text: str, name: str, table: str) -> str:
    """``text`` with what stands between the markers of ``name`` replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = text.partition(begin)
    _, also, tail = rest.partition(end)
    if not found or not also:
        raise ValueError(f"no markers for {name}")
    return f"{head}{begin}\n{table}\n{end}{tail}"
