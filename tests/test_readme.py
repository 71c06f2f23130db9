"""What both READMEs say is true of this version."""

import json
import re
from pathlib import Path

import pytest

from dod.config.load import load

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(name), re.DOTALL)


def in_and_out(name: str) -> list[list[str]]:
    """The cells of the table of what goes in and out, without its head."""
    table = text(name).split("<!-- table: in and out -->\n")[1].split("\n\n")[0]
    return [row.strip("|").split("|") for row in table.splitlines()[2:]]


@pytest.mark.parametrize("name", READMES)
def test_the_example_is_complete_and_right(name: str, tmp_path: Path) -> None:
    bots, secrets = blocks(name, "yaml")
    (tmp_path / "bots.yaml").write_text(bots, "utf-8")
    (tmp_path / "secrets.yaml").write_text(secrets, "utf-8")
    loaded = load(tmp_path, {})
    assert loaded.verdict == "accepted", loaded.problems
    assert loaded.accepted == ("问答助手",)
    assert [problem for problem in loaded.problems if problem.severity == "error"] == []


def test_both_say_the_same_commands() -> None:
    english, chinese = (blocks(name, "sh") for name in READMES)
    assert len(english) == len(chinese)
    for ours, theirs in zip(english, chinese, strict=True):
        assert [line.split("#")[0].strip() for line in ours.splitlines()] == [
            line.split("#")[0].strip() for line in theirs.splitlines()
        ]


def test_both_tables_say_the_same_goes_in_and_out() -> None:
    english, chinese = (in_and_out(name) for name in READMES)
    assert len(english) > 15
    for ours, theirs in zip(english, chinese, strict=True):
        assert len(ours) == len(theirs) == 8
        for here, there in zip(ours[1:], theirs[1:], strict=True):
            assert _marks(here) == _marks(there), (ours, theirs)


def _marks(cell: str) -> list[str]:
    return re.findall(r"[✓–¹²³⁴⁵]|`[^`]+`", cell)


def test_figures_are_those_of_the_benchmarks() -> None:
    """``make bench`` writes that table; what the READMEs claim must not be better than it."""
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[4:6]]
        for line in text("docs/benchmarks.md").splitlines()
        if len(cells := line.split("|")) == 9
    }
    ours, originals = rows["10 s, balanced: DingTalk calls"]
    assert _most(ours) <= 9
    assert _least(originals) > 100
    ours, _ = rows["50 people at 20 QPS: calls refused"]
    assert _most(ours) == 0
    ours, originals = rows["50 people at 20 QPS: answers not whole"]
    assert _most(ours) == 0
    assert _least(originals) > 40
    for kind in ("wss", "ws"):
        ours, _ = rows[f"memory of each further of 200 idle bots, {kind}"]
        assert _most(ours) < 0.5
    for name in READMES:
        for figure in ("5,000", " 9 ", "100 ", "40 "):
            assert figure in text(name), figure


def _numbers(cell: str) -> list[float]:
    assert re.search(r"\d", cell), f"{cell}: make bench ORIGINAL=… ORIGINAL_PYTHON=…"
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell.replace(",", ""))]


def _most(cell: str) -> float:
    return max(_numbers(cell))


def _least(cell: str) -> float:
    return min(_numbers(cell))


def test_the_recordings_named_are_there() -> None:
    for version in json.loads(text("tests/recordings/expected.json")):
        for name in READMES:
            assert f"{version.removeprefix('dify-')}." in text(name), version
