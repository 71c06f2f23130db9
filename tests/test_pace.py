import math
from datetime import datetime, timedelta, timezone

import pytest

from dod.pace import elapsed, month, pace

CHINA = timezone(timedelta(hours=8))


def at(*when: int) -> float:
    return datetime(*when, tzinfo=CHINA).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("when", "name"),
    [
        (at(2026, 11, 1), "2026-11"),
        (at(2026, 11, 1) - 1, "2026-10"),
        (0.0, "1970-01"),
        (-1e18, "1970-01"),
        (math.nan, "1970-01"),
        (math.inf, "9892-03"),
    ],
)
def test_the_month_is_chinas_whatever_the_clock_says(when: float, name: str) -> None:
    assert month(when) == name
    assert 0.0 <= elapsed(when) <= 1.0


@pytest.mark.parametrize(
    ("when", "share"),
    [
        (at(2026, 11, 1), 0.0),
        (at(2026, 11, 16), 0.5),
        (at(2026, 12, 1) - 1e-3, 1.0),
        (at(2028, 2, 15, 12), 0.5),
        (at(2026, 12, 16, 12), 0.5),
    ],
)
def test_elapsed_is_the_share_of_the_calendar_month(when: float, share: float) -> None:
    assert elapsed(when) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(
    ("spent", "limit", "share", "expected"),
    [
        (0, 5000, 0.0, "balanced"),
        (500, 5000, 0.0, "balanced"),
        (501, 5000, 0.0, "economical"),
        (1250, 5000, 0.0, "economical"),
        (1251, 5000, 0.0, "final"),
        (3000, 5000, 0.5, "balanced"),
        (3001, 5000, 0.5, "economical"),
        (3751, 5000, 0.5, "final"),
        (4899, 5000, 1.0, "balanced"),
        (4900, 5000, 1.0, "webhook"),
        (5000, 5000, 1.0, "webhook"),
        (10**9, 5000, 1.0, "webhook"),
        (10**9, 0, 0.5, "balanced"),
        (10**9, -1, 0.5, "balanced"),
        (0, 1, -3.0, "balanced"),
        (1, 1, 7.0, "webhook"),
    ],
)
def test_pace(spent: int, limit: int, share: float, expected: str) -> None:
    assert pace(spent, limit, share) == expected
