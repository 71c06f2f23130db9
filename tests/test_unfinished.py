"""What is shown of a text that is still being written is never taken back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dod.bridge.unfinished import finished
from tests.test_pages import MARKDOWN

TABLE = "Prices:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nDone [here](http://x/y)."


def test_a_table_shows_from_its_head_on_row_by_row() -> None:
    shown = {finished(TABLE[:end]) for end in range(len(TABLE) + 1)}
    assert not any(text.endswith(("| a | b |\n", "|---", "| a")) for text in shown)
    assert "Prices:\n\n| a | b |\n|---|---|\n" in shown
    assert "Prices:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n" in shown
    assert not any("[here" in text and "y)" not in text for text in shown)


def test_a_fence_is_never_half_there() -> None:
    text = "Run:\n\n```py\nprint(1)\n```\n"
    for end in range(len(text) + 1):
        shown = finished(text[:end])
        assert not shown.endswith(("\n`", "\n``")), shown
        assert "```p" not in shown or "```py\n" in shown


def test_marks_wait_for_what_they_mark() -> None:
    for half in ("- ", "1. ", "-", "##", "**", "> ", "1", "---", "["):
        assert finished("Title\n" + half) == "Title\n"
    assert finished("Title\n- x") == "Title\n- x"
    assert finished("a [1] b") == "a [1] b"


@settings(max_examples=150, deadline=None)
@given(st.one_of(MARKDOWN, st.just(TABLE)).map(lambda text: text[:300]))
def test_nothing_that_was_shown_is_taken_back(text: str) -> None:
    shown = 0
    for end in range(len(text) + 1):
        part = finished(text[:end])
        assert text.startswith(part)
        assert len(part) >= shown
        shown = len(part)
