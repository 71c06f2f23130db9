"""docs/config-errors.md says what dod says."""

from tests.configs_page import PAGE, SECTIONS, page, wrong


def test_the_page_is_up_to_date() -> None:
    """Else: ``python -m tests.configs_page``, and read the diff."""
    assert PAGE.read_text("utf-8") == page()


def test_every_mistake_is_on_the_page_once() -> None:
    told = [stem for stems in SECTIONS.values() for stem in stems.split()]
    assert len(told) == len(set(told))
    assert set(told) == wrong()
