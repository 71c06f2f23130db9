"""From rows to the table of docs/benchmarks.md, and to JSON. No measuring here."""

import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.bench.bridges import Kind
from tests.bench.scenarios import Row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
NUMBERS = ROOT / "docs" / "benchmarks.json"
BEGIN = "<!-- make bench: from here -->"
END = "<!-- make bench: to here -->"
_LEAST = {"s": 0.005}  # below this a ratio says nothing but how a clock is read


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model na")), "?")
    return (
        f"{os.cpu_count()} cores of {model}, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def table(rows: Sequence[Row], kinds: Sequence[Kind]) -> str:
    """Markdown: median (least–most) of each bridge, and two ratios of medians."""
    head = ["what", "goal", "floor", "dod", "original v0.1", "dod ÷ floor", "original ÷ dod"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row.what, row.goal, *(_cell(row, kind, kinds) for kind in _ORDER)]
        cells += [_ratio(row, "dod", "floor"), _ratio(row, "original", "dod")]
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


_ORDER: tuple[Kind, ...] = ("floor", "dod", "original")


def _cell(row: Row, kind: Kind, kinds: Sequence[Kind]) -> str:
    values, note = row.values.get(kind), row.notes.get(kind, "")
    if not values:
        return note or ("–" if kind in kinds else "not measured")
    middle, least, most = statistics.median(values), min(values), max(values)
    text = f"{_number(middle)} {row.unit}".rstrip()
    if _number(least) != _number(most):
        text += f" ({_number(least)}–{_number(most)})"
    return f"{text}, {note}" if note else text


def _number(value: float) -> str:
    """Three digits that count, no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 3)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ratio(row: Row, above: Kind, below: Kind) -> str:
    a, b = row.values.get(above), row.values.get(below)
    if not a or not b:
        return ""
    top, bottom = statistics.median(a), statistics.median(b)
    least = _LEAST.get(row.unit, 0.0)
    return f"{top / bottom:.2f}" if bottom > least and top > least else ""


def numbers(rows: Sequence[Row], seconds: float, runs: int) -> dict[str, object]:
    """What goes into benchmarks.json: every single value."""
    return {
        "machine": machine(),
        "runs": runs,
        "took_seconds": round(seconds),
        "rows": [asdict(row) for row in rows],
    }


def section(rows: Sequence[Row], kinds: Sequence[Kind], seconds: float, runs: int) -> str:
    said = (
        f"Measured on {machine()}, {runs} runs (more where they are short), median (least–most), "
        f"{seconds / 60:.1f} minutes in all.\n\n"
    )
    return said + table(rows, kinds)


def write_page(text: str, page: Path = PAGE) -> None:
    """Put ``text`` between the markers; the rest is a person's. Raises ValueError."""
    old = page.read_text("utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")
