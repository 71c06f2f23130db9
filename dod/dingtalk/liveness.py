"""Whether a connection that looks open still delivers: when the next one is opened unasked.

A link may answer every ping and deliver nothing (dingtalk-protocol §2.2), and nothing on the wire
tells. So a link is believed for a while only: after a sleep of the host, when DingTalk's own
``KEEPALIVE`` frames stay away, when no message has come by it for long, and when it is old.
The next one is opened first, so that a doubt without a ground costs one call that nobody counts.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dod.dingtalk.times import Times

CADENCE = 3.0  # so many intervals between KEEPALIVE frames may pass without one
MOST = 3  # times a grave doubt may be left open by a gateway that gives no other link


@dataclass(frozen=True, slots=True)
class Doubt:
    """``grave``: the link is most likely dead; it is given up if no other can be had."""

    reason: str
    grave: bool


@dataclass(slots=True)
class Life:
    """What is known of one link. All times are monotonic seconds.

    ``beats``: intervals between its KEEPALIVE frames. ``share``: how much of the longer times holds
    for this link, so that fifty bots of one office do not renew in lock-step.
    """

    opened_at: float
    heard_at: float = 0.0  # anything
    message_at: float = 0.0  # a bot message: proof that it delivers
    beat_at: float = 0.0
    beats: list[float] = field(default_factory=list)
    not_before: float = 0.0
    refusals: int = 0
    slept: bool = False
    share: float = field(default_factory=lambda: random.uniform(0.75, 1.0))  # noqa: S311 (chance)

    def hear(self, now: float, *, beat: bool = False, message: bool = False) -> None:
        """A frame has come."""
        self.heard_at = now
        if message:
            self.message_at = now
        if beat:
            if self.beat_at:
                self.beats = [*self.beats[-4:], now - self.beat_at]
            self.beat_at = now

    def doubt(self, now: float, times: Times, *, slept: bool = False) -> Doubt | None:
        """Why the next connection should be opened now, or None. ``slept``: see ``Sleep``."""
        if slept:
            self.slept, self.not_before = True, 0.0
        if now < self.not_before:
            return None
        if self.slept:
            return Doubt("this host slept, or its clock was set", grave=True)
        heard, proven = max(self.opened_at, self.heard_at), max(self.opened_at, self.message_at)
        if len(self.beats) > 1 and now - heard > max(times.missed, CADENCE * max(self.beats)):
            return Doubt("DingTalk's KEEPALIVE frames stay away", grave=True)
        if now - heard > times.silent * self.share:
            return Doubt("nothing has come by it for long", grave=False)
        if now - proven > times.unproven * self.share:
            return Doubt("no message has come by it for long", grave=False)
        if now - self.opened_at > times.renew * self.share and now - heard > times.quiet:
            return Doubt("it is old", grave=False)
        return None

    def put_off(self, now: float, seconds: float) -> None:
        """The next connection was refused: doubt again after so many seconds."""
        self.refusals += 1
        self.not_before = now + seconds


class Sleep:
    """Notices that the host slept: two clocks that went apart, or a long time without a look.

    The monotonic clock stands still while Linux sleeps, and timers with it; the wall clock does
    not. A clock that is set looks the same, which costs one spare connection.
    """

    def __init__(
        self,
        slept: float,
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """``slept``: seconds by which the clocks, or two looks, may lie apart."""
        self._slept = slept
        self._wall, self._steady = wall, steady
        self._seen = wall(), steady()

    def over(self, planned: float) -> bool:
        """Whether the host slept since the last look, which was to be ``planned`` seconds ago."""
        wall, steady = self._wall(), self._steady()
        by_wall, by_steady = wall - self._seen[0], steady - self._seen[1]
        self._seen = wall, steady
        return by_wall - by_steady > self._slept or by_steady - planned > self._slept
