"""Long texts on several cards: nothing lost, every page Markdown by itself."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dod.bridge.blocks import Line, open_fence, scan
from dod.bridge.dialects import card, message
from dod.bridge.pages import _Maker, longest, page, pages
from tests.plain import plain

# Markdown in pieces that hypothesis can put together in every wrong way.
ATOMS = st.sampled_from(
    [
        *"\n\n\n\n `~|-*#><&…\t\\",
        "```",
        "```py\n",
        "~~~\n",
        "\n```\n",
        "``` ",
        "````",
        "| a | b |\n|---|:-:|\n",
        "| 1 | <b>2</b> |\n",
        "|--|",
        "\n\n",
        "  \n",
        " \t\n",
        " \t\t\n",
        "    code\n",
        "- item\n",
        "  - inner\n",
        "1. one\n",
        "> quote\n",
        "# Title\n",
        "---\n",
        "<br>",
        "<br />",
        "<BR>\n",
        "<br>\n",
        "<div>",
        "&lt;div>",
        "&#60;p ",
        "<!-- x -->",
        "`<i>`",
        "![p](u)",
        "word ",
        "第一段。",
        "👨‍👩‍👧",
        "e\u0301",
        "\r\n",
        "long " * 12,
    ]
)
MARKDOWN = st.lists(ATOMS | st.text(max_size=6), max_size=120).map("".join)


@settings(max_examples=600, deadline=None)
@given(MARKDOWN, st.integers(min_value=400, max_value=1500))
@example("```\n" + "x" * 1000, 400)
@example("```\n" + "x\n" * 1000 + "``` ", 400)
@example("para\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 200, 400)
@example(" \n" * 900, 400)
@example("…\n" * 900, 400)
@example("a\n" * 900, 400)
def test_all_cards_turned_back_are_the_text(text: str, limit: int) -> None:
    cards = pages(text, limit)
    assert plain(cards, longest(limit)) == text
    assert all(len(card.encode()) <= limit for card in cards)
    assert not text or all(card.strip() for card in cards)


@settings(max_examples=100, deadline=None)
@given(MARKDOWN, st.integers(min_value=400, max_value=1500))
def test_every_page_closes_its_code(text: str, limit: int) -> None:
    for dialect_pages in (pages(text, limit), pages(text, limit, message)):
        for each in dialect_pages:
            assert len(each.encode()) <= limit
            assert open_fence(each) is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=3000), st.integers(min_value=400, max_value=1500))
def test_all_cards_of_any_text_turned_back_are_the_text(text: str, limit: int) -> None:
    assert plain(pages(text, limit), longest(limit)) == text


def test_short_texts_are_one_page() -> None:
    assert pages("hello") == ["hello"]
    assert pages("") == [""]


def test_fifty_thousand_characters_lose_nothing() -> None:
    block = (
        "第一段，有一些**文字**。\n第二行\n\n- 一\n- 二\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nx = 1\n```\n"
    )
    text = block * (50_000 // len(block) + 1)
    cards = pages(text)
    assert plain(cards, longest(9000)) == text
    assert len(cards) < 15


def test_code_that_spans_a_cut_is_closed_and_opened_again() -> None:
    text = "Code:\n\n```python\n" + "print('hello')\n" * 100 + "```\n\nDone."
    parts = pages(text, 600)
    assert len(parts) > 2
    for part in parts[:-1]:
        assert part.endswith("\n``` ")
    assert parts[1].startswith("```python\nprint")


def test_a_table_that_spans_a_cut_has_its_head_on_every_page() -> None:
    text = "| a | b |\n|---|---|\n" + "| one | two |\n" * 100
    parts = pages(text, 600)
    assert all(part.startswith("| a | b |\n|---|---|\n| one") for part in parts)
    assert all(part.endswith("|\n") for part in parts)


def test_a_page_ends_before_a_block_rather_than_inside() -> None:
    text = "word " * 60 + "\n\n```\n" + "code\n" * 60 + "```\n"
    assert pages(text, 500)[1].startswith("```\ncode")
    assert pages("word " * 70 + "\n\n# Title\ntext " * 20, 500)[1].startswith("# Title")


def test_letters_of_several_characters_stay_whole() -> None:
    family = "👨‍👩‍👧‍👦"
    for part in pages(family * 300, 1000):
        assert part.strip(family) == ""
        assert part[0] + part[-1] == "👨👦"


def test_a_page_of_a_growing_text_is_full_only_where_nothing_changes_any_more() -> None:
    text = "\n\n".join(f"Paragraph {n}:\n| a | b |\n|---|---|\n| 1 | {n} |" for n in range(60))
    final = page(text, 0, 800)
    for end in range(0, len(text), 7):
        part = page(text[:end], 0, 800, complete=False)
        assert not part.full or part == final


@pytest.mark.parametrize(
    "line", ['```{"rows": [' + "1, " * 7000 + "]}```", "`" * 20_000, "~~~" * 9000, "<div " * 5000]
)
def test_a_line_that_looks_like_markdown_makes_no_flood_of_cards(line: str) -> None:
    parts = pages("Here:\n\n" + line + "\n\nDone.")
    assert len(parts) <= 8
    assert all(len(part.encode()) <= 9000 for part in parts)


@settings(max_examples=300, deadline=None)
@given(MARKDOWN, st.integers(min_value=400, max_value=1500), st.booleans(), st.booleans())
def test_what_comes_far_behind_a_page_makes_no_difference_to_it(
    text: str, size: int, complete: bool, on_card: bool
) -> None:
    dialect = card if on_card else message
    start, full = 0, True
    while full:
        whole = _Maker(text, start, size, dialect, len(text)).make(complete=complete)
        assert page(text, start, size, dialect, complete=complete) == whole
        start, full = whole.end, whole.full


def test_a_page_of_a_very_long_text_looks_at_little_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for at each update: else nobody else's message is acknowledged meanwhile."""
    looked_at = []

    def scanned(text: str, longest: int) -> list[Line]:
        looked_at.append(len(text))
        return scan(text, longest)

    monkeypatch.setattr("dod.bridge.pages.scan", scanned)
    page("A line.\n" * 100_000, complete=False)
    assert sum(looked_at) < 20_000


def test_strange_texts_are_no_work() -> None:
    for piece in ("`", "<", "| ", "<br", "&#0", "`a", "-", "|-\n", "[", "\n", "*"):
        began = time.process_time()
        pages(piece * (50_000 // len(piece)))
        assert time.process_time() - began < 5  # a fraction of a second; minutes if quadratic
