"""Golden files: what Dify sends → what a card gets → what a message gets. Sources inside."""

from pathlib import Path

import pytest

from dod.bridge.dialects import message
from dod.bridge.pages import longest, pages
from tests.plain import plain

FILES = sorted((Path(__file__).parent / "markdown").glob("*.txt"))


def sections(path: Path) -> dict[str, str]:
    """``source``, ``input``, ``card`` and ``message`` of a golden file."""
    source, *rest = path.read_text("utf-8").removesuffix("\n").split("\n===== ")
    return {"source": source, **dict(part.split("\n", 1) for part in rest)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_file(path: Path) -> None:
    golden = sections(path)
    assert golden["source"]
    assert pages(golden["input"]) == [golden["card"]]
    assert pages(golden["input"], dialect=message) == [golden["message"]]
    assert plain([golden["card"]], longest(9000)) == golden["input"]


def test_every_golden_file_is_read() -> None:
    assert len(FILES) >= 19
