"""The table of ``make bench`` says what was measured, and touches nothing else of its page."""

from pathlib import Path

import pytest

from tests.bench.report import BEGIN, END, PAGE, table, write_page
from tests.bench.scenarios import Row


def cells(row: Row) -> list[str]:
    line = table([row], ("floor", "dod")).splitlines()[2]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_median_spread_and_ratio() -> None:
    row = Row("first text", "s", "≤ 1.10 × floor", {"floor": [0.3, 0.31, 0.29], "dod": [0.33]})
    assert cells(row) == [
        "first text",
        "≤ 1.10 × floor",
        "0.3 s (0.29–0.31)",
        "0.33 s",
        "not measured",
        "1.10",
        "",
    ]


def test_what_is_too_small_has_no_ratio_and_what_is_missing_says_why() -> None:
    row = Row("late", "s", values={"floor": [0.001], "dod": [0.004]}, notes={"original": "no"})
    assert cells(row)[4:] == ["no", "", ""]
    assert cells(Row("calls", "calls", values={"dod": [3809.0]}))[2:4] == ["–", "3,809 calls"]


def test_only_what_stands_between_the_markers_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", "utf-8")
    write_page("new", page)
    assert page.read_text("utf-8") == f"above\n{BEGIN}\n\nnew\n{END}\nbelow\n"
    page.write_text("no markers\n", "utf-8")
    with pytest.raises(ValueError, match="lacks"):
        write_page("new", page)
    assert page.read_text("utf-8") == "no markers\n"


def test_the_page_has_its_markers() -> None:
    assert PAGE.read_text("utf-8").count(BEGIN) == PAGE.read_text("utf-8").count(END) == 1
