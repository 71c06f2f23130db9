"""A connection that looks open and delivers nothing is replaced, and nobody notices."""

import asyncio
import logging
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from dod.dingtalk.channel import DingTalkChannel
from dod.dingtalk.liveness import Doubt, Life, Sleep
from dod.dingtalk.states import States
from dod.dingtalk.times import USUAL, Backoff, Times
from dod.messages import Message
from dod.ports import StateChange
from dod.sim.dingtalk.faults import GatewayFault, Refusal, Switches
from dod.sim.dingtalk.world import SimMessage
from tests.test_dingtalk_channel import ID, QUICK, Scene, scene

LOOKING = replace(QUICK, look=0.01, put_off=Backoff(0.01, 0.02), apart=Backoff(0.01, 0.01))


def doubted(life: Life, now: float, times: Times = USUAL, *, slept: bool = False) -> str:
    doubt = life.doubt(now, times, slept=slept)
    return doubt.reason if doubt else ""


# -- what is believed of a link: no clock but the arguments


def test_a_link_that_delivers_is_believed() -> None:
    life = Life(opened_at=1000.0, share=1.0)
    for now in range(1000, 15_000, 300):
        life.hear(now, message=True)
        assert doubted(life, now + 299.0) == ""


def test_keepalive_frames_that_stay_away_are_a_grave_doubt() -> None:
    life = Life(opened_at=0.0, share=1.0)
    for now in (1.0, 26.0, 51.0, 76.0):
        life.hear(now, beat=True)
        assert doubted(life, now + 74.0) == ""
    assert life.doubt(152.0, USUAL) == Doubt("DingTalk's KEEPALIVE frames stay away", grave=True)
    life.hear(152.0)
    assert doubted(life, 153.0) == "", "any frame is a sign of life"


def test_without_a_cadence_a_missing_keepalive_means_nothing() -> None:
    life = Life(opened_at=0.0, share=1.0)
    life.hear(1.0, beat=True)
    life.hear(2.0, beat=True)
    assert doubted(life, 500.0) == ""
    assert "nothing has come" in doubted(life, 603.0)


def test_a_slow_cadence_is_learnt() -> None:
    life = Life(opened_at=0.0, share=1.0)
    for now in (100.0, 200.0, 300.0):
        life.hear(now, beat=True)
    assert doubted(life, 599.0) == ""
    assert "KEEPALIVE" in doubted(life, 601.0)


def test_silence_is_bounded_and_so_is_keepalive_without_messages() -> None:
    assert doubted(Life(opened_at=0.0, share=1.0), 599.0) == ""
    assert "nothing has come" in doubted(Life(opened_at=0.0, share=1.0), 601.0)
    life = Life(opened_at=0.0, share=1.0)
    for now in range(0, 1810, 30):
        life.hear(now, beat=True)
    assert "no message" in doubted(life, 1810.0)


def test_an_old_link_is_renewed_at_a_quiet_moment_only() -> None:
    life = Life(opened_at=0.0, share=1.0)
    life.hear(14_450.0, message=True)
    assert doubted(life, 14_500.0) == ""
    assert doubted(life, 14_511.0) == "it is old"


def test_a_refused_successor_is_asked_for_again_only_later() -> None:
    life = Life(opened_at=0.0, share=1.0)
    life.put_off(700.0, 60.0)
    assert doubted(life, 759.0) == ""
    assert doubted(life, 761.0) != ""
    assert "slept" in doubted(life, 700.0, slept=True), "a sleep is not put off"
    assert "slept" in doubted(life, 701.0), "nor forgotten"


@pytest.mark.parametrize(
    ("wall", "steady", "slept"),
    [
        (5.0, 5.0, False),
        (3600.0, 5.0, True),  # Linux asleep: the monotonic clock stood still
        (3600.0, 3600.0, True),  # a paused container or virtual machine: both went on
        (365 * 86400.0, 5.0, True),  # a clock that is set looks like a sleep
        (-365 * 86400.0, 5.0, False),
        (14.0, 9.0, False),  # a busy machine
    ],
)
def test_sleep_shows_in_the_clocks(wall: float, steady: float, slept: bool) -> None:
    clocks = {"wall": 1_700_000_000.0, "steady": 100.0}
    sleep = Sleep(15.0, wall=lambda: clocks["wall"], steady=lambda: clocks["steady"])
    clocks["wall"] += wall
    clocks["steady"] += steady
    assert sleep.over(5.0) == slept
    assert not sleep.over(5.0), "only once"


# -- links


async def deaf_then_heard(it: Scene) -> None:
    """The link is deaf; whoever speaks after it was replaced is heard."""
    await it.connect()
    await it.sim.deafen(ID)
    await it.connected_after(1)
    await it.hear("is anybody there?")


def test_a_deaf_link_whose_keepalive_stops_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        times = replace(LOOKING, missed=0.05)
        async with scene(times=times, switches=Switches(keepalive=0.01)) as it:
            await it.connect()
            await it.until(lambda: len(it.channel._stream._link.life.beats) > 1)  # type: ignore[union-attr]
            await it.sim.deafen(ID)
            await it.connected_after(1)
            await it.hear("is anybody there?")
            assert it.words == ["connecting", "connected"], "nobody was ever without a connection"
            await it.until(lambda: len(it.sim.connections(ID)) == 1)

    asyncio.run(act())
    assert "KEEPALIVE" in caplog.text


def test_a_deaf_link_that_is_merely_silent_is_replaced() -> None:
    async def act() -> None:
        async with scene(times=replace(LOOKING, silent=0.05)) as it:
            await deaf_then_heard(it)
            assert it.words == ["connecting", "connected"]

    asyncio.run(act())


def test_a_deaf_link_that_goes_on_sending_keepalive_is_replaced() -> None:
    async def act() -> None:
        times = replace(LOOKING, unproven=0.1)
        async with scene(times=times, switches=Switches(keepalive=0.01)) as it:
            await it.connect()
            await it.connected_after(1)
            await it.hear()

    asyncio.run(act())


def test_a_host_that_slept_opens_the_next_connection_first() -> None:
    async def act() -> None:
        asleep = 0.0
        async with scene(times=LOOKING, wall=lambda: 1e9 + asleep) as it:
            await it.connect()
            live: list[int] = []
            it.sim.subscribe(lambda _: live.append(it.sim.live_connections(ID)))
            asleep = 8 * 3600.0
            await it.connected_after(1)
            await it.until(lambda: it.sim.live_connections(ID) == 1)
            assert 0 not in live
            assert it.words == ["connecting", "connected"]
            await it.hear()

    asyncio.run(act())


def test_renewing_under_load_loses_nothing() -> None:
    """Pushed after our close and read before theirs: unacknowledged, so it comes again."""

    async def act() -> None:
        times = replace(LOOKING, renew=0.03, quiet=0.0, overlap=1.0)
        async with scene(times=times, switches=Switches(ack_deadline=0.2)) as it:
            await it.connect()
            said: list[SimMessage] = []
            while it.channel.connections < 8:
                said.append(await it.sim.say(ID, it.single, it.ann, f"m{len(said)}"))
                await asyncio.sleep(0.002)
            await it.until(lambda: all(message.acks for message in said))
            texts = Counter(message.text for message in it.messages)
            assert texts.keys() == {message.text for message in said}
            again = [message for message in said if len(message.pushes) > 1]
            assert texts.total() <= len(said) + len(again)
            assert it.sim.complaints == []
            assert it.words == ["connecting", "connected"]

    asyncio.run(act())


def test_what_is_owed_on_the_old_link_is_acknowledged_before_it_closes() -> None:
    async def act() -> None:
        asleep = 0.0
        times = replace(LOOKING, ack=5.0)
        async with scene(times=times, wall=lambda: 1e9 + asleep) as it:
            claimed = asyncio.Event()

            async def claim(_: Message) -> None:
                await claimed.wait()

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: it.messages)
            asleep = 3600.0
            await it.connected_after(1)
            assert len(it.sim.connections(ID)) == 2
            claimed.set()
            await it.until(lambda: said.acks)
            assert said.acks[0].connection == said.pushes[0].connection
            await it.until(lambda: len(it.sim.connections(ID)) == 1)

    asyncio.run(act())


@pytest.mark.parametrize("fault", ["unavailable", "html", "hang", "close"])
def test_a_good_link_stays_while_no_other_is_to_be_had(fault: GatewayFault) -> None:
    async def act() -> None:
        times = replace(LOOKING, silent=0.05, handshake=0.05)
        async with scene(times=times) as it:
            await it.connect()
            it.sim.faults.gateway = fault
            await it.until(lambda: it.sim.refused.total() > 2 or fault == "close")
            if fault != "close":
                assert it.sim.live_connections(ID) == 1
                await it.hear("still the old one")
                assert it.channel.connections == 1
                assert set(it.words) == {"connecting", "connected"}
            it.sim.faults.gateway = ""
            await it.connected_after(1)
            await it.until(lambda: it.state == "connected")

    asyncio.run(act())


def test_a_secret_that_was_reset_is_told_while_the_old_link_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act() -> None:
        async with scene(times=replace(LOOKING, silent=0.02)) as it:
            await it.connect()
            it.sim.apps[ID].client_secret = "reset in the console"
            await it.until(lambda: "this one goes on" in it.states[-1].error)
            assert it.state == "connected"
            assert "client secret" in it.states[-1].error
            tried = it.sim.refused.total()
            await it.until(lambda: it.sim.refused.total() > tried + 3)
            await it.hear("still the old one")
            assert it.channel.connections == 1

    with caplog.at_level(logging.INFO, "dod"):
        asyncio.run(act())
    assert caplog.text.count("this one goes on") == 1, "one line, not one per attempt"


def test_a_most_likely_dead_link_is_given_up_after_three_refusals() -> None:
    async def act() -> None:
        asleep = 0.0
        async with scene(times=LOOKING, wall=lambda: 1e9 + asleep) as it:
            await it.connect()
            await it.sim.deafen(ID)
            it.sim.faults.next("gateway", Refusal(503, "ServiceUnavailable", "busy"), times=3)
            asleep = 3600.0
            await it.until(lambda: "retrying" in it.words)
            assert "most likely dead" in it.states[-1].error or it.state == "connected"
            await it.connected_after(1)
            await it.hear()

    asyncio.run(act())


def test_an_app_with_room_for_one_connection_is_replaced_too() -> None:
    async def act() -> None:
        asleep = 0.0
        switches = Switches(max_connections=1)
        async with scene(times=LOOKING, wall=lambda: 1e9 + asleep, switches=switches) as it:
            await it.connect()
            await it.sim.deafen(ID)
            asleep = 3600.0
            await it.connected_after(1)
            await it.hear()

    asyncio.run(act())


def test_leaving_in_the_middle_of_a_renewal_is_bounded() -> None:
    async def act() -> None:
        times = replace(LOOKING, silent=0.02, handshake=60.0)
        async with scene(times=times) as it:
            await it.connect()
            it.sim.faults.gateway = "hang"
            await it.until(lambda: it.sim.refused[ID, "gateway", "hang"])
            await asyncio.wait_for(it.channel.leave(), 2)
            assert it.state == "stopped"
            assert it.sim.live_connections(ID) == 0

    asyncio.run(act())


def test_the_age_of_the_connection_is_told() -> None:
    async def act() -> None:
        async with scene() as it:
            assert it.channel.connection is None
            await it.connect()
            connection = it.channel.connection
            assert connection is not None
            assert connection.message_at == 0.0
            await it.hear()
            connection = it.channel.connection
            assert connection is not None
            assert connection.message_at == connection.heard_at >= connection.opened_at
            await it.channel.leave()
            assert it.channel.connection is None

    asyncio.run(act())


# -- what is told


def test_one_line_per_change_not_per_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand attempts whose causes take turns: six lines; the page has the newest cause."""
    told: list[StateChange] = []
    states = States("it")
    states.on_state = told.append
    with caplog.at_level(logging.INFO, "dod"):
        states.tell(StateChange("connected"))
        for number in range(10_000):
            states.tell(StateChange("retrying", f"cause {number % 9}"))
        assert len(caplog.records) == 1 + 5
        assert told[-1].error == "cause 0"
        states.tell(StateChange("connected"))
        states.tell(StateChange("retrying", "cause 1"))
        assert len(caplog.records) == 1 + 5 + 2, "the next outage speaks again"


def test_a_gateway_that_accepts_and_hangs_up_is_not_called_connected_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act() -> None:
        async with scene(times=LOOKING) as it:
            it.sim.faults.gateway = "close"
            await it.start()
            await it.connected_after(19)
            assert it.words.count("connected") <= 2
            assert it.state == "retrying"
            assert "1000" in it.states[-1].error
            it.sim.faults.gateway = ""
            await it.until(lambda: it.sim.live_connections(ID))
            await it.hear("a message proves it")
            await it.until(lambda: it.state == "connected")

    with caplog.at_level(logging.INFO, "dod"):
        asyncio.run(act())
    lines = [line for line in caplog.messages if "channel bot=" in line]
    assert len(lines) <= 8


def test_it_is_called_connected_once_it_lasts() -> None:
    async def act() -> None:
        async with scene(times=replace(LOOKING, settled=0.2)) as it:
            it.sim.faults.gateway = "close"
            await it.start()
            await it.connected_after(4)
            it.sim.faults.gateway = ""
            await it.until(lambda: it.state == "connected")
            assert it.sim.live_connections(ID) == 1

    asyncio.run(act())


# -- many bots


def test_fifty_bots_spread_their_attempts() -> None:
    """After a power cut: no tenth of the time gets more than a quarter of them, at any attempt."""
    random.seed(50)
    for failures in range(8):
        longest = min(60.0, 2.0**failures)
        tenths = Counter(int(10 * Backoff().delay(failures) / longest) for _ in range(50))
        assert max(tenths.values()) <= 13, (failures, tenths)
        assert len(tenths) >= 8


def test_fifty_bots_do_not_stay_together() -> None:
    """Whoever fails again and again in one building: their n-th attempts drift apart."""
    random.seed(51)
    at = [0.0] * 50
    for failures in range(10):
        at = [moment + Backoff().delay(failures) for moment in at]
    whole_seconds = Counter(map(int, at))
    assert max(whole_seconds.values()) <= 5
    assert max(at) - min(at) > 60


def test_fifty_bots_renew_at_different_times() -> None:
    random.seed(52)

    def doubted_at(life: Life) -> int:
        return next(now for now in range(100_000) if life.doubt(now, USUAL))

    moments = Counter(doubted_at(Life(opened_at=0.0)) // 10 for _ in range(50))
    assert max(moments.values()) <= 10
    assert len(moments) >= 10


@pytest.mark.parametrize("asleep", [0.0, 3600.0], ids=["cut", "slept"])
def test_fifty_bots_cut_at_once_come_back_apart(asleep: float) -> None:
    """The same on the wire: as many waits as bots, no two alike, and all are back.

    Also when their host wakes: 20 bots asked for their next links within 0.1 s.
    """

    async def act() -> None:
        clock = [1e9]
        async with scene() as it:
            waits: dict[str, list[float]] = {f"ding-{n}": [] for n in range(50)}

            @dataclass(frozen=True)
            class Noted(Backoff):
                whose: str = ""

                def delay(self, failures: int) -> float:
                    waits[self.whose].append(super().delay(failures))
                    return waits[self.whose][-1]

            channels = [
                DingTalkChannel(
                    client_id=it.sim.add_app(client_id, "secret").client_id,
                    client_secret="secret",
                    openapi=it.sim.url,
                    qps=lambda: 0,
                    spend=lambda _: None,
                    push=lambda _: None,
                    backoff=Noted(0.2, 0.2, whose=client_id),
                    times=replace(
                        QUICK,
                        handshake=10.0,
                        answer=10.0,
                        look=0.05,
                        slept=60.0,
                        apart=Noted(0.2, 0.2, whose=client_id),
                    ),
                    wall=lambda: clock[0],
                )
                for client_id in waits
            ]
            runs = [asyncio.create_task(each.run(it._receive, lambda _: None)) for each in channels]
            await it.until(lambda: all(each.connections for each in channels), 20)
            clock[0] += asleep
            for client_id in waits if not asleep else ():
                await it.sim.cut(client_id)
            await it.until(lambda: all(each.connections > 1 for each in channels), 20)
            first = [noted[0] for noted in waits.values()]
            assert len(set(first)) == 50
            tenths = Counter(int(wait * 50) for wait in first)
            assert max(tenths.values()) <= 15
            await asyncio.gather(*(each.aclose() for each in channels))
            await asyncio.gather(*runs, return_exceptions=True)

    random.seed(53)
    asyncio.run(act())
