"""Thinking hidden while half written."""

import time

import pytest

from dod.bridge.thinking import hide_thinking

DETAILS = (
    '<details style="color:gray;background-color: #f8f8f8;padding: 8px;border-radius: 4px;" open> '
    "<summary> Thinking... </summary>let me see</details>"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a < b and b > c", "a < b and b > c"),
        ("<think>\nhm\n</think>\n\nYes.", "Yes."),
        (DETAILS + "\n\nYes.", "Yes."),
        ("<details><summary>Steps</summary>mine</details>", None),
        ("Before <think>a</think>after", "Before after"),
        ("<think>never closed", ""),
        ("", ""),
    ],
)
def test_reasoning_is_hidden_and_nothing_else(text: str, shown: str | None) -> None:
    assert hide_thinking(text, complete=True) == (text if shown is None else shown)


@pytest.mark.parametrize("text", ["<think>\nhm\n</think>\n\nYes.", DETAILS + "\n\nYes."])
def test_no_piece_of_reasoning_ever_shows(text: str) -> None:
    for end in range(len(text) + 1):
        assert hide_thinking(text[:end]).strip() in "Yes."


def test_the_tag_in_ordinary_text_swallows_nothing() -> None:
    text = "Use the `<think>` tag. And <think> again, never closed"
    assert hide_thinking(text, complete=True) == text


def test_many_tags_are_no_work() -> None:
    for piece in ("<details ", "<think>", "<details><summary>Thinking..."):
        began = time.process_time()
        hide_thinking(piece * 20_000)
        hide_thinking(piece * 20_000 + "</think></details>")
        assert time.process_time() - began < 5  # it took minutes when it was quadratic


def test_a_half_tag_that_stays_is_text() -> None:
    assert hide_thinking("see <th") == "see "
    assert hide_thinking("see <th", complete=True) == "see <th"
