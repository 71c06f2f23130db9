"""How far DingTalk's month has gone, and what pace of calls its quota allows."""

from datetime import datetime, timedelta, timezone
from typing import Literal

Pace = Literal["balanced", "economical", "final", "webhook"]

# Quotas are DingTalk's, and so is the calendar.
CHINA = timezone(timedelta(hours=8))

# How far the spent share of the quota may run ahead of the elapsed share of the month. Of 5,000
# calls: up to 500 ahead an answer may cost 9 or more (balanced), up to 1,250 ahead about 4
# (economical), beyond that 2 or 3 (final), the least that still shows a card.
BALANCED_LEAD = 0.10
ECONOMICAL_LEAD = 0.25
# The last 2 % (100 calls of 5,000) are for finishing cards that are open already.
RESERVE = 0.02


def month(now: float) -> str:
    """The calendar month in China at ``now`` (epoch seconds), e.g. ``2026-11``."""
    return f"{_china(now):%Y-%m}"


def elapsed(now: float) -> float:
    """Share of China's calendar month that is over at ``now``: 0.0 to 1.0."""
    today = _china(now)
    first = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return (today - first) / (following - first)


def pace(spent: int, limit: int, elapsed: float) -> Pace:
    """How freely calls may be made. ``limit`` 0: unlimited; ``elapsed``: share of the month."""
    if limit <= 0:
        return "balanced"
    share = spent / limit
    lead = share - min(1.0, max(0.0, elapsed))
    if share >= 1.0 - RESERVE:
        return "webhook"
    if lead <= BALANCED_LEAD:
        return "balanced"
    return "economical" if lead <= ECONOMICAL_LEAD else "final"


def _china(now: float) -> datetime:
    # What no calendar knows (NaN, infinity, the year 10000) is taken to the nearest that one does.
    return datetime.fromtimestamp(min(now, 250e9) if now > 0 else 0.0, CHINA)
