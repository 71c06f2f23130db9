"""How long the DingTalk edge waits for what: one frozen place, so that tests can be quick."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing waits between attempts, in seconds: ``first``, doubled each time, at most ``most``.

    ``jitter``: the share of a wait that chance may take away. 1.0 is full jitter, which keeps fifty
    bots of one office from calling in lock-step after a power cut (dingtalk-protocol §10.4).
    """

    first: float = 1.0
    most: float = 60.0
    jitter: float = 1.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after that many earlier failures in a row (0 = this was the first)."""
        longest = min(self.most, self.first * 2.0 ** min(failures, 30))
        return longest * (1.0 - self.jitter * random.random())  # noqa: S311 (chance, no secret)


# A wrong secret needs a person; asking again every second would only get the address banned.
CALM = Backoff(first=60.0, most=600.0, jitter=0.1)
EAGER = Backoff()


@dataclass(frozen=True, slots=True)
class Times:
    """All in seconds.

    ``ack``: a message is acknowledged after this in any case, ``press``: a button. ``leave``: bound
    of leaving. ``overlap``: an old connection is read for so long after ``disconnect``; DingTalk
    drops it after 10 s (dingtalk-protocol §2.1). ``settled``: a connection that lived so long
    resets the back-off.
    ``ping``/``pong``: a link that answers no ping for ``pong`` is dead. ``handshake``: for the
    gateway's answer and for the websocket, each. ``answer``: silence after which a call is lost,
    ``whole``: its length in all, however much has come.
    ``look``: how often a link is doubted (see ``liveness``): ``slept`` by a sleeping host,
    ``missed`` (at least) without its KEEPALIVE, ``silent`` without any frame, ``unproven`` without
    a message, ``renew``: its age, if ``quiet`` for so long; ``put_off``: after a refusal.
    ``apart``: fifty bots wake at the same moment, and ask for their next links within so long.
    ``window``, ``in_flight``, ``pause``: see ``Bucket``. ``patience``: for so long a throttled
    creation or ending of a card is repeated. ``again``: before the one repetition of a lost call.
    """

    ack: float = 1.0
    press: float = 1.5
    leave: float = 3.0
    overlap: float = 10.0
    settled: float = 30.0
    look: float = 5.0
    slept: float = 15.0
    missed: float = 75.0
    unproven: float = 1800.0
    silent: float = 600.0
    renew: float = 14_400.0
    quiet: float = 60.0
    apart: Backoff = Backoff(3.0, 3.0)
    put_off: Backoff = CALM
    ping: float = 20.0
    pong: float = 20.0
    handshake: float = 10.0
    close: float = 2.0
    answer: float = 15.0
    whole: float = 40.0
    window: float = 1.0
    in_flight: float = 2.0
    pause: float = 1.0
    patience: float = 15.0
    again: float = 0.2
    credentials: Backoff = CALM


USUAL = Times()
