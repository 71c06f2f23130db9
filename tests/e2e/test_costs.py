"""What an answer and an idle bot cost, in what is no noise: calls, connections, memory.

Times are ``make bench``'s business. The bounds of design §11 hold with room to spare, so that a
failure means a change of kind: a call, a connection or a TLS context more for each.
"""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dod.bridge.pacing import gaps
from tests.bench.bridges import Bridge, Kind, Running
from tests.bench.neighbours import Neighbours, Seen, Speech
from tests.tls import certificate

SPEECH = Speech(60, 0.02, 0.1)  # 1.3 s
FURTHER = 40  # bots beside the first


@contextmanager
def running(
    *names: str, kind: Kind = "dod", tls: bool = False, pace: str = "balanced"
) -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = certificate(folder) if tls else None
        with Neighbours(tls=files) as near:
            for one in names:
                near.add_bot(one, SPEECH)
            keys = {one: {"card_updates": pace} for one in names}
            bridge = Bridge(kind, names, workers=2, keys=keys, ca=files[0] if files else None)
            with Running(bridge, near, folder / "it") as it:
                yield it


def most_calls(seen: Seen) -> int:
    """Of a balanced card: creation, end, and the updates that fit between first text and end."""
    assert seen.first is not None
    assert seen.last is not None
    took = seen.last - seen.first
    due = itertools.accumulate(gaps("balanced"))
    return 2 + sum(1 for _ in itertools.takewhile(lambda at: at <= took, due))


def test_an_answer_takes_the_calls_of_its_pace_and_no_more() -> None:
    with running("it") as it:
        seen = it.crowd(1, 20)
        assert seen.whole == 1
        assert 3 <= seen.calls <= most_calls(seen.people[0])
    with running("it", pace="final") as it:
        assert it.crowd(1, 20).calls == 2


def test_a_connection_is_opened_for_the_first_and_used_for_the_next() -> None:
    with running("it") as it:
        assert it.crowd(1, 20).connections <= 2  # Dify; DingTalk's is there from the gateway
        assert it.crowd(1, 20).connections == 0


def test_a_crowd_opens_some_two_connections_each_and_uses_them_again() -> None:
    """One to Dify, one to DingTalk; a connection for each call would make a hundred of them."""
    with running("it") as it:
        first = it.crowd(20, 30)
        assert first.whole == 20
        assert 20 <= first.connections <= 50
        # One may be idle in a pool while another is looked for in the next.
        assert it.crowd(20, 30).connections <= 10


@pytest.mark.parametrize(("tls", "most"), [(True, 0.6), (False, 0.9)], ids=["wss", "ws"])
def test_an_idle_bot_takes_less_than_a_tls_context(*, tls: bool, most: float) -> None:
    """MB. 0.45 are the goal over wss, 0.33 were measured; a context or a buffer for each is more.

    Over plain ws the allocator's arenas make it uneven: 0.3 to 0.6 were measured.
    """
    names = [f"b{n:02}" for n in range(FURTHER + 1)]
    with running(names[0], tls=tls) as one, running(*names, tls=tls) as many:
        alone = one.memory()
        assert 25 < alone < 80
        assert (many.memory() - alone) / FURTHER < most


def test_the_least_bridge_is_whole_and_takes_three_calls() -> None:
    """What everything is compared with must itself do the work."""
    with running("it", kind="floor") as it:
        seen = it.crowd(3, 20)
        assert seen.whole == 3
        assert seen.calls == 9
