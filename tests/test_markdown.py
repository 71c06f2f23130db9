"""Thinking hidden while half written; long texts cut where Markdown allows."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dod.bridge.markdown import cut, hide_thinking

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


@pytest.mark.parametrize(
    "line", ['```{"rows": [' + "1, " * 7000 + "]}```", "`" * 20_000, "~~~" * 9000]
)
def test_a_line_that_looks_like_a_fence_makes_no_flood_of_cards(line: str) -> None:
    parts = cut("Here:\n\n" + line + "\n\nDone.", 9000)
    assert len(parts) <= 4
    assert all(len(part.encode()) <= 9000 for part in parts)


def test_a_half_tag_that_stays_is_text() -> None:
    assert hide_thinking("see <th") == "see "
    assert hide_thinking("see <th", complete=True) == "see <th"


def test_short_texts_are_not_cut() -> None:
    assert cut("hello") == ["hello"]
    assert cut("") == [""]


def test_parts_keep_to_the_limit_in_bytes_and_lose_nothing() -> None:
    text = "第一段。" * 300 + "\n\n" + "Second paragraph. " * 200
    parts = cut(text, 1000)
    assert all(len(part.encode()) <= 1000 for part in parts)
    assert "".join(parts).replace("\n", "") == text.replace("\n", "")


def test_a_fence_that_spans_a_cut_is_closed_and_opened_again() -> None:
    text = "Code:\n\n```python\n" + "print('hello')\n" * 100 + "```\n\nDone."
    parts = cut(text, 600)
    assert len(parts) > 2
    for part in parts:
        assert part.count("```") % 2 == 0
    assert parts[1].startswith("```python\n")


def test_earlier_parts_do_not_change_while_the_text_grows() -> None:
    text = "\n\n".join(f"Paragraph {n}: " + "word " * 40 for n in range(30))
    final = cut(text, 800)
    for end in range(0, len(text), 97):
        parts = cut(text[:end], 800)
        assert parts[:-1] == final[: len(parts) - 1]


@given(st.text(min_size=0, max_size=3000), st.integers(min_value=200, max_value=900))
def test_any_text_is_cut_within_the_limit(text: str, limit: int) -> None:
    for part in cut(text, limit):
        assert len(part.encode()) <= limit
