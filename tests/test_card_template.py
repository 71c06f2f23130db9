"""The contract with the template, as its two pages tell it."""

import re
from pathlib import Path

import pytest

from dod.dingtalk import presses

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("page", ["card-template.md", "card-template.zh-CN.md"])
def test_the_pages_name_every_action_and_variable(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    buttons, variables = (part.split("\n\n")[1] for part in text.split("\n## ")[2:4])
    first = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
    assert set(first.findall(buttons)) - {"action"} == set(presses._ACTIONS.values())
    assert set(first.findall(variables)) == {
        "content",
        presses.STOPPED,
        presses.RATING,
        presses.NOTICE,
    }
    for action in presses._ACTIONS:
        assert f"`{action}`" in text
