"""How many updates a pace spends."""

import itertools

import pytest

from dod.bridge.pacing import Pace, gaps


def updates(pace: Pace, seconds: float) -> int:
    moments = itertools.accumulate(itertools.islice(gaps(pace), 1000))
    return sum(moment <= seconds for moment in moments)


@pytest.mark.parametrize(
    ("pace", "seconds", "most"),
    [
        ("balanced", 10, 7),  # with creation and last frame: the 9 calls of design §11
        ("balanced", 180, 18),
        ("economical", 600, 2),
        ("final", 600, 0),
        ("smooth", 10, 26),
    ],
)
def test_updates_spent(pace: Pace, seconds: float, most: int) -> None:
    assert updates(pace, seconds) <= most


def test_the_first_text_is_shown_at_once() -> None:
    for pace in ("smooth", "balanced", "economical"):
        assert next(gaps(pace)) == 0.0
