"""How often a card is updated: seconds before its first text, then between updates."""

import itertools
from collections.abc import Iterator
from typing import Literal

Pace = Literal["smooth", "balanced", "economical", "final"]

_NEVER = float("inf")
_LONGEST_GAP = 20.0  # seconds


def gaps(pace: Pace) -> Iterator[float]:
    """Endless. ``balanced`` spends 7 updates on 10 s and 16 on 3 min."""
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
        gap = min(gap * 1.25, _LONGEST_GAP)
        yield gap
