"""A connection that stays: every way in which the gateway or the link can misbehave."""

import asyncio
import json
import logging
import socket
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from dod.dingtalk.times import CALM, Backoff
from dod.messages import Message
from dod.sim.dingtalk.faults import GatewayFault, Mishap
from tests.test_dingtalk_channel import ID, OWN, QUICK, scene

PATIENT = replace(QUICK, ack=5.0)


@dataclass(frozen=True)
class Noted(Backoff):
    """Waits next to nothing, and notes how many failures it was asked about."""

    asked: list[int] = field(default_factory=list)

    def delay(self, failures: int) -> float:
        self.asked.append(failures)
        return 0.001


# -- connecting


def test_connecting_then_connected_and_one_log_line_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            assert it.words == ["connecting", "connected"]
            assert it.sim.connections_opened == {ID: 1}

    with caplog.at_level(logging.INFO, "dod"):
        asyncio.run(act())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("dod.")]
    assert said == [
        "channel bot=dingabcd state=connecting",
        "channel bot=dingabcd state=connected",
        "channel bot=dingabcd state=stopped",
    ]


def test_a_wrong_secret_is_bad_credentials_retried_calmly_until_it_is_right() -> None:
    async def act() -> None:
        calm = Noted()
        async with scene(secret="wrong-one", times=replace(QUICK, credentials=calm)) as it:
            await it.start()
            await it.until(lambda: len(calm.asked) >= 3)
            assert it.words == ["connecting", "bad_credentials"]
            assert "client id" in it.states[-1].error
            assert "401" in it.states[-1].error
            assert calm.asked[:3] == [0, 1, 2]
            it.sim.apps[ID].client_secret = "wrong-one"
            await it.until(lambda: it.state == "connected")

    asyncio.run(act())


def test_calm_retries_take_a_minute_and_grow_to_ten() -> None:
    assert all(54 <= CALM.delay(0) <= 60 for _ in range(100))
    assert all(540 <= CALM.delay(9) <= 600 for _ in range(100))


def test_eager_retries_have_full_jitter_and_a_ceiling() -> None:
    delays = [Backoff().delay(0) for _ in range(200)]
    assert min(delays) < 0.2
    assert 0.8 < max(delays) <= 1.0
    assert 30 < max(Backoff().delay(100) for _ in range(200)) <= 60


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("not_ready", "not published"),
        ("html", "web page"),
        ("unavailable", "503"),
        ("hang", "did not answer in time"),
    ],
)
def test_a_gateway_in_trouble_is_one_sentence_and_is_survived(
    fault: GatewayFault, words: str
) -> None:
    async def act() -> None:
        noted = Noted()
        async with scene(backoff=noted, times=replace(QUICK, handshake=0.05)) as it:
            it.sim.faults.gateway = fault
            await it.start()
            await it.until(lambda: len(noted.asked) >= 3)
            assert it.words == ["connecting", "retrying"]
            assert words in it.states[-1].error
            assert "\n" not in it.states[-1].error
            it.sim.faults.gateway = ""
            await it.until(lambda: it.state == "connected")

    asyncio.run(act())


@pytest.mark.parametrize(("fault", "words"), [("drip", "in time"), ("endless", "no JSON")])
def test_a_gateway_whose_answer_never_ends_is_given_up(fault: Mishap, words: str) -> None:
    """Byte by byte it never is silent for long, and it may come faster than memory is there."""

    async def act() -> None:
        async with scene(times=replace(QUICK, handshake=5.0, whole=0.2)) as it:
            await it.connect()
            it.sim.faults.down["gateway"] = fault
            await it.sim.cut(ID)
            await it.until(lambda: words in it.states[-1].error, 20.0)
            assert it.state == "retrying"
            it.sim.faults.down.clear()
            await it.until(lambda: it.state == "connected", 20.0)
            await it.hear()

    asyncio.run(act())


def test_an_unknown_host_and_a_closed_port_are_told_apart() -> None:
    async def act(url: str) -> str:
        async with scene(openapi=url) as it:
            await it.start()
            await it.until(lambda: it.state == "retrying")
            return it.states[-1].error

    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        assert "cannot be reached" in asyncio.run(act(f"http://127.0.0.1:{port}"))
    assert "DNS" in asyncio.run(act("http://no-such-host.invalid"))


async def _gateway(answer: dict[str, object]) -> tuple[web.AppRunner, str]:
    """A gateway that always answers this; port 0."""

    async def open_(_: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/v1.0/gateway/connections/open", open_)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "without an endpoint"),
        ({"endpoint": "http://x", "ticket": "tick-et"}, "address or the proxy is not usable"),
        ({"endpoint": "wss:// x", "ticket": "tick-et"}, "DNS"),
        ({"endpoint": "ws://127.0.0.1:9/connect", "ticket": "tick-et"}, "cannot be reached"),
    ],
)
def test_a_nonsensical_endpoint_is_a_sentence_without_the_ticket(
    answer: dict[str, object], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        runner, url = await _gateway(answer)
        try:
            async with scene(openapi=url) as it:
                await it.start()
                await it.until(lambda: it.state == "retrying")
                assert words in it.states[-1].error
                assert "tick-et" not in it.states[-1].error
        finally:
            await runner.cleanup()

    with caplog.at_level(logging.DEBUG, "dod"):
        asyncio.run(act())
    assert "tick-et" not in caplog.text


def test_a_refused_ticket_is_a_retry() -> None:
    async def act() -> None:
        async with scene() as it:
            it.sim.switches.ticket_lifetime = -1.0
            await it.start()
            await it.until(lambda: it.state == "retrying")
            assert "refused the websocket (HTTP 401)" in it.states[-1].error
            it.sim.switches.ticket_lifetime = 90.0
            await it.until(lambda: it.state == "connected")

    asyncio.run(act())


def test_a_gateway_that_accepts_and_hangs_up_meets_a_growing_back_off() -> None:
    async def act() -> None:
        noted = Noted()
        async with scene(backoff=noted) as it:
            it.sim.faults.gateway = "close"
            await it.start()
            await it.until(lambda: len(noted.asked) >= 6)
            assert noted.asked[:6] == [0, 1, 2, 3, 4, 5]
            assert "1000" in it.states[-1].error or it.state == "connected"

    asyncio.run(act())


def test_a_gateway_that_says_disconnect_at_once_again_and_again_meets_it_too() -> None:
    async def act() -> None:
        noted = Noted()
        async with scene(backoff=noted) as it:
            await it.connect()
            for number in range(1, 5):
                await it.sim.disconnect(ID)
                await it.connected_after(number)
            assert noted.asked == [0, 1, 2]  # the first time at once

    asyncio.run(act())


def test_a_connection_that_lived_a_while_resets_the_back_off() -> None:
    async def act() -> None:
        noted = Noted()
        async with scene(backoff=noted, times=replace(QUICK, settled=0.0)) as it:
            await it.connect()
            for number in range(1, 4):
                await it.sim.cut(ID)
                await it.connected_after(number)
            assert noted.asked == [0, 0, 0]

    asyncio.run(act())


# -- links that end


def test_disconnect_opens_the_next_connection_first_and_loses_nothing() -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, overlap=5.0)) as it:
            await it.connect()
            live: list[int] = []
            it.sim.subscribe(lambda _: live.append(it.sim.live_connections(ID)))
            await it.sim.disconnect(ID)
            await it.until(lambda: it.channel.connections == 2)
            await it.until(lambda: it.sim.live_connections(ID) == 2)
            assert 0 not in live
            await it.hear("on the new one")
            [old] = [one for one in it.sim.connections(ID) if one.leaving]
            late = {"conversationId": "cid", "senderId": "x", "msgId": "late"}
            head = {"topic": "/v1.0/im/bot/messages/get", "messageId": "frame"}
            frame = {"type": "CALLBACK", "headers": head, "data": json.dumps(late)}
            await old.send(json.dumps(frame))
            await it.until(lambda: len(it.messages) == 2)
            assert it.messages[1].id == "late"
            assert it.words == ["connecting", "connected"]

    asyncio.run(act())


def test_the_old_connection_is_closed_after_the_overlap() -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, overlap=0.05)) as it:
            await it.connect()
            await it.sim.disconnect(ID)
            await it.until(lambda: it.channel.connections == 2)
            await it.until(lambda: len(it.sim.connections(ID)) == 1)
            assert not it.sim.connections(ID)[0].leaving

    asyncio.run(act())


def test_a_link_cut_in_the_middle_is_replaced() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            await it.sim.cut(ID)
            await it.until(lambda: it.words[-2:] == ["retrying", "connected"])
            assert "broke off" in it.states[-2].error
            await it.hear()

    asyncio.run(act())


def test_a_link_that_is_closed_but_for_tcp_is_not_waited_for() -> None:
    """A proxy may keep TCP open behind a close frame; only the next ping would have noticed."""

    async def act() -> None:
        times = replace(QUICK, ping=60.0, pong=60.0, look=0.02, close=0.03)
        async with scene(times=times) as it:
            await it.connect()
            await it.sim.half_close(ID)
            await it.until(lambda: it.channel.connections == 2)
            assert "code 1012" in it.states[2].error
            await it.hear()

    asyncio.run(act())


def test_a_half_open_link_is_found_by_the_unanswered_ping() -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, ping=0.03, pong=0.03, close=0.03)) as it:
            await it.connect()
            await it.sim.half_open(ID)
            await it.until(lambda: it.channel.connections == 2)
            assert "ping was not answered" in it.states[2].error
            await it.hear()

    asyncio.run(act())


# -- frames


def test_system_frames_are_answered_or_left_alone() -> None:
    async def act() -> None:
        async with scene() as it:
            it.sim.switches.registered_frames = True
            it.sim.switches.keepalive = 0.005
            await it.connect()
            await it.sim.ping(ID)
            await it.until(lambda: it.sim.connections(ID)[0].pongs == 1)
            await it.hear()
            assert it.sim.complaints == []
            assert it.words == ["connecting", "connected"]

    asyncio.run(act())


def test_garbage_is_a_line_of_each_kind_and_the_connection_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A gateway may send a kind of frame that nobody knows yet, every twenty seconds."""
    garbage = ("no json", "[]", "{}", '{"type":"CALLBACK"}', '{"type":"EVENT","headers":7}')

    async def act() -> None:
        async with scene() as it:
            await it.connect()
            for text in garbage * 20:
                await it.sim.send_raw(ID, text)
            for number in range(100):
                text = json.dumps({"type": "SYSTEM", "headers": {"topic": f"news {number}"}})
                await it.sim.send_raw(ID, text)
            await it.hear()
            assert it.channel.connections == 1

    with caplog.at_level(logging.WARNING, "dod"):
        asyncio.run(act())
    assert len(caplog.records) == 20  # an event is nothing to warn of
    kinds = [record.getMessage() for record in caplog.records]
    assert len(set(kinds)) == 20
    assert "no JSON" in kinds[0]
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_events_callbacks_and_unknown_topics_are_acknowledged_each_in_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            heard: list[dict[str, object]] = []

            def hear(_: object, text: str) -> None:
                heard.append(json.loads(text))

            monkeypatch.setattr(it.sim.stream, "_hear", hear)
            for kind, topic in (
                ("EVENT", "*"),
                ("CALLBACK", "/v1.0/card/instances/callback"),
                ("CALLBACK", "/v1.0/graph/api/invoke"),
                ("SYSTEM", "news"),
            ):
                head = {"topic": topic, "messageId": topic}
                await it.sim.send_raw(ID, json.dumps({"type": kind, "headers": head, "data": "{}"}))
            await it.until(lambda: len(heard) == 4)
            by_id = {frame["headers"]["messageId"]: frame for frame in heard}  # type: ignore[index]
            assert json.loads(str(by_id["*"]["data"]))["status"] == "SUCCESS"
            assert by_id["/v1.0/card/instances/callback"]["code"] == 200
            assert by_id["/v1.0/card/instances/callback"]["data"] == '{"response": {}}'
            assert by_id["/v1.0/graph/api/invoke"]["code"] == 404
            assert by_id["news"]["code"] == 404

    asyncio.run(act())


def test_a_pressed_button_is_answered() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            message = await it.hear()
            await it.channel.card(message, OWN).open()
            press = await it.sim.press(it.sim.cards[it.channel.card(message, OWN).id], it.ann, "1")
            await it.until(lambda: press.answer is not None)
            assert press.answer == {}

    asyncio.run(act())


# -- acknowledgement


def test_the_ack_follows_the_claim() -> None:
    async def act() -> None:
        async with scene(times=PATIENT) as it:
            claimed = asyncio.Event()

            async def claim(_: Message) -> None:
                await claimed.wait()

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: it.messages)
            await it.sim.ping(ID)
            await it.until(lambda: it.sim.connections(ID)[0].pongs)  # the socket is not blocked
            assert said.acks == []
            claimed.set()
            await it.until(lambda: said.acks)
            assert said.acks[0].code == 200

    asyncio.run(act())


def test_a_slow_claim_is_acknowledged_anyway_and_runs_to_its_end() -> None:
    async def act() -> None:
        async with scene() as it:
            claimed, done = asyncio.Event(), asyncio.Event()

            async def claim(_: Message) -> None:
                await claimed.wait()
                done.set()

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: said.acks)
            assert not done.is_set()
            claimed.set()
            await asyncio.wait_for(done.wait(), 2)
            assert len(said.acks) == 1

    asyncio.run(act())


def test_a_failing_claim_is_logged_with_its_traceback_and_acknowledged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act() -> None:
        async with scene() as it:

            async def claim(_: Message) -> None:
                raise RuntimeError("disk on fire")

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: said.acks)

    asyncio.run(act())
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert "disk on fire" in str(record.exc_info[1])


def test_the_ack_goes_to_the_socket_of_its_frame() -> None:
    async def act() -> None:
        async with scene(times=replace(PATIENT, overlap=5.0)) as it:
            claimed = asyncio.Event()

            async def claim(_: Message) -> None:
                await claimed.wait()

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: it.messages)
            await it.sim.disconnect(ID)
            await it.until(lambda: it.sim.live_connections(ID) == 2)
            claimed.set()
            await it.until(lambda: said.acks)
            assert said.acks[0].connection == said.pushes[0].connection
            assert it.sim.complaints == []

    asyncio.run(act())


def test_an_ack_for_a_link_that_is_gone_is_only_noted() -> None:
    async def act() -> None:
        async with scene(times=PATIENT) as it:
            claimed = asyncio.Event()

            async def claim(_: Message) -> None:
                await claimed.wait()

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: it.messages)
            await it.sim.cut(ID)
            await it.until(lambda: it.channel.connections == 2)
            claimed.set()
            it.on_message = None
            await it.hear()
            assert said.acks == []
            assert it.sim.complaints == []

    asyncio.run(act())


def test_messages_are_handed_over_in_the_order_of_their_frames() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.connect()
            for number in range(50):
                await it.sim.say(ID, it.single, it.ann, str(number))
            await it.until(lambda: len(it.messages) == 50)
            assert [message.text for message in it.messages] == [str(n) for n in range(50)]
            assert it.pushed == {"dingcorp1": 50}

    asyncio.run(act())


# -- leaving


def test_leaving_hands_over_and_acknowledges_what_was_received() -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, ack=0.5, leave=2.0)) as it:
            handed_over: list[str] = []
            slow = asyncio.Event()

            async def claim(message: Message) -> None:
                await slow.wait()
                handed_over.append(message.text)

            it.on_message = claim
            await it.connect()
            said = await it.sim.say(ID, it.single, it.ann, "last words")
            await it.until(lambda: it.messages)
            leaving = asyncio.create_task(it.channel.leave())
            await asyncio.sleep(0.01)
            assert not leaving.done()
            slow.set()
            await leaving
            assert handed_over == ["last words"]
            assert it.running is not None
            await it.running
            assert len(said.acks) == 1
            assert it.sim.live_connections(ID) == 0
            assert it.state == "stopped"

    asyncio.run(act())


def test_leaving_is_bounded_when_a_claim_or_the_gateway_hangs() -> None:
    async def act() -> None:
        quick = replace(QUICK, ack=0.01, leave=0.05)
        async with scene(times=quick) as it:

            async def claim(_: Message) -> None:
                await asyncio.sleep(60)

            it.on_message = claim
            await it.connect()
            await it.sim.say(ID, it.single, it.ann, "hi")
            await it.until(lambda: it.messages)
            await it.sim.half_open(ID)
            await asyncio.wait_for(it.channel.leave(), 2)
            assert it.state == "stopped"
        async with scene(times=replace(QUICK, handshake=60.0)) as it:
            it.sim.faults.gateway = "hang"
            await it.start()
            await it.until(lambda: it.words == ["connecting"])
            await asyncio.wait_for(it.channel.leave(), 2)

    asyncio.run(act())


def test_leaving_does_not_wait_for_the_next_retry() -> None:
    async def act() -> None:
        async with scene(backoff=Backoff(60.0, 60.0, 0.0)) as it:
            it.sim.faults.gateway = "unavailable"
            await it.start()
            await it.until(lambda: it.state == "retrying")
            await asyncio.wait_for(it.channel.leave(), 2)
            assert it.running is not None
            await asyncio.wait_for(it.running, 2)

    asyncio.run(act())


def test_cancelled_at_the_moment_of_connecting_it_leaves_no_connection_behind() -> None:
    async def act() -> None:
        async with scene() as it:
            at = 0  # turns of the loop between the websocket's opening and the end
            while at < 12:
                await it.start()
                await it.until(lambda: it.sim.live_connections(ID) == 1)
                for _ in range(at):
                    await asyncio.sleep(0)
                assert it.running is not None
                it.running.cancel()
                await asyncio.gather(it.running, return_exceptions=True)
                await it.until(lambda: it.sim.live_connections(ID) == 0)
                at += 1

    asyncio.run(act())


@pytest.mark.parametrize("fault", ["", "hang", "unavailable", "close"])
def test_run_can_be_cancelled_at_any_time(fault: GatewayFault) -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, handshake=60.0)) as it:
            it.sim.faults.gateway = fault
            await it.start()
            await it.until(lambda: it.states)
            await asyncio.sleep(0.02)
            assert it.running is not None
            it.running.cancel()
            [end] = await asyncio.wait_for(
                asyncio.gather(it.running, return_exceptions=True), timeout=2
            )
            assert isinstance(end, asyncio.CancelledError)
            await it.until(lambda: it.sim.live_connections(ID) == 0)

    asyncio.run(act())
