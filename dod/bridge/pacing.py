"""How often a card is updated: seconds before its first text, then between updates."""

import itertools
from collections.abc import Iterator
from typing import Literal

Pace = Literal["smooth", "balanced", "economical", "final"]

_NEVER = float("inf")
_GROWTH = 1.3
_LONGEST_GAP = 25.0  # seconds


def gaps(pace: Pace) -> Iterator[float]:
    """Endless. ``balanced`` spends 7 updates on 10 s, 18 on 3 min (docs/decisions/001)."""
    if pace == "smooth":
        return itertools.chain([0.0], itertools.repeat(0.4))
    if pace == "balanced":
        return _balanced()
    if pace == "economical":
        return itertools.chain([0.0, 4.0], itertools.repeat(_NEVER))
    return itertools.repeat(_NEVER)


def _balanced() -> Iterator[float]:
    gap = 2.2
    yield from (0.0, 0.6, 1.0, 1.4, 1.8, gap)
    while True:
        gap = min(gap * _GROWTH, _LONGEST_GAP)
        yield gap
