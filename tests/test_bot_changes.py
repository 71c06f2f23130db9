"""A bot that is changed while it serves (design §6): nothing lost, nothing doubled, in order."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from dod.bridge import lines as lines_module
from dod.bridge.bot import Bot
from dod.bridge.claim import Claim
from dod.bridge.claims import Claims
from dod.config.spec import BotSpec, Config
from dod.messages import Finished, Message, Press, PressReply, Started, TextDelta
from dod.ports import Json, StateChange
from dod.texts import say
from tests.fakes import FakeChannel, MemoryStore, ScriptedApp, Step
from tests.scene import NOW, SPEC, FakeMeter, message

OTHER_SECRET = replace(SPEC, dingtalk_app_client_secret="new-secret")
WRONG_SECRET = replace(SPEC, dingtalk_app_client_secret="wrong-secret")
OTHER_APP = replace(SPEC, dify_app_api_key="app-other")


class RefusedChannel(FakeChannel):
    """Its credentials are wrong."""

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        del on_message, on_press
        on_state(StateChange("bad_credentials", "DingTalk refuses the AppSecret"))
        await self.left.wait()


@pytest.fixture(autouse=True)
def short_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "PROOF", 0.005)


class Office:
    """A bot whose neighbours are made as its specs ask."""

    def __init__(self, *script: Step, spec: BotSpec = SPEC) -> None:
        self.script = script or (Started("t", "c"), TextDelta("Hello"), Finished())
        self.channels: list[FakeChannel] = []
        self.make_channel_of: Callable[[], FakeChannel] = lambda: FakeChannel(now=NOW)
        self.apps: list[ScriptedApp] = []
        self.bot = Bot(
            spec,
            store=MemoryStore(),
            make_channel=self.make_channel,
            make_app=self.make_app,
            meter=FakeMeter("balanced"),
            config=Config,
        )

    def make_channel(self, spec: BotSpec) -> FakeChannel:
        wrong = spec.dingtalk_app_client_secret.startswith("wrong")
        channel = RefusedChannel(now=NOW) if wrong else self.make_channel_of()
        self.channels.append(channel)
        return channel

    def make_app(self, spec: BotSpec) -> ScriptedApp:
        app = ScriptedApp(self.script, fingerprint=spec.dify_app_api_key)
        self.apps.append(app)
        return app

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Office"]:
        running = asyncio.create_task(self.bot.run())
        try:
            await self.until(lambda: self.bot.snapshot().state == "connected")
            yield self
            await self.until(lambda: not self.bot._reception.tasks)
        finally:
            await self.bot.drain(time.monotonic() + 1.0)
            await asyncio.wait_for(running, 5)
            await self.bot.aclose()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.002)

    async def generation(self, number: int) -> None:
        await self.until(lambda: self.bot.snapshot().generation == number)


def ended(office: Office, card: str) -> bool:
    cards = office.channels[0].cards
    return card in cards and cards[card].ended


def run(scenario: Callable[[Office], Awaitable[None]], *script: Step) -> Office:
    async def scene() -> Office:
        office = Office(*script)
        async with office.open():
            await scenario(office)
        return office

    return asyncio.run(scene())


def test_an_equal_spec_changes_nothing() -> None:
    async def scenario(office: Office) -> None:
        office.bot.take(replace(SPEC))
        assert office.bot.snapshot().generation == 1

    office = run(scenario)
    assert len(office.channels) == 1
    assert len(office.apps) == 1


def test_live_keys_touch_neither_connection_nor_app() -> None:
    async def scenario(office: Office) -> None:
        office.bot.take(replace(SPEC, max_workers=5, name="it-2"))
        assert office.bot.snapshot().generation == 2
        assert office.bot.snapshot().name == "it-2"
        await office.channels[0].say(message(1))

    office = run(scenario)
    assert len(office.channels) == 1
    assert len(office.apps) == 1
    assert len(office.apps[0].questions) == 1


def test_a_turn_ends_with_the_app_it_began_with() -> None:
    gate = asyncio.Event()

    async def scenario(office: Office) -> None:
        await office.channels[0].say(message(1))
        await office.until(lambda: len(office.apps[0].questions) == 1)
        office.bot.take(OTHER_APP)
        await office.channels[0].say(message(2, chat=replace(message(1).chat, id="other")))
        await office.until(lambda: len(office.apps[1].questions) == 1)
        assert not office.apps[0].closed
        gate.set()
        await office.until(lambda: office.apps[0].closed)

    office = run(scenario, Started("t", "c"), gate, TextDelta("done"), Finished())
    assert {card.shown for card in office.channels[0].cards.values()} == {"done"}


def test_an_app_is_kept_while_any_older_turn_uses_it() -> None:
    gate = asyncio.Event()

    async def scenario(office: Office) -> None:
        await office.channels[0].say(message(1))
        await office.until(lambda: len(office.apps[0].questions) == 1)
        office.bot.take(replace(SPEC, max_workers=3))
        office.bot.take(OTHER_APP)
        await asyncio.sleep(0.02)
        assert not office.apps[0].closed
        gate.set()

    office = run(scenario, Started("t", "c"), gate, TextDelta("done"), Finished())
    assert office.channels[0].cards["msg-1/0"].shown == "done"
    assert office.apps[0].closed


def test_new_credentials_take_over_once_connected() -> None:
    gate = asyncio.Event()

    async def scenario(office: Office) -> None:
        await office.channels[0].say(message(1))
        await office.until(lambda: len(office.apps[0].questions) == 1)
        office.bot.take(OTHER_SECRET)
        await office.generation(2)
        await office.until(office.channels[0].left.is_set)
        await office.channels[1].say(message(2))  # the same conversation: waits for the first
        assert office.bot.snapshot().turns.waiting == 1
        assert not office.channels[0].closed
        gate.set()
        await office.until(lambda: office.channels[0].closed)

    office = run(scenario, Started("t", "c"), gate, TextDelta("done"), Finished())
    assert office.channels[0].cards["msg-1/0"].shown == "done"
    assert office.channels[1].cards["msg-2/0"].shown == "done"
    assert [question.text for question in office.apps[0].questions] == ["question", "question"]
    assert office.bot.snapshot().connections == 2


def test_a_wrong_new_secret_leaves_the_old_channel_serving_and_says_so() -> None:
    async def scenario(office: Office) -> None:
        office.bot.take(WRONG_SECRET)
        await office.until(lambda: office.bot.snapshot().verdict == "running_old")
        told = office.bot.snapshot()
        assert told.state == "connected"
        assert told.generation == 1
        assert "AppSecret" in told.last_error
        await office.channels[0].say(message(1))
        await office.until(lambda: ended(office, "msg-1/0"))
        office.bot.take(OTHER_SECRET)  # mended
        await office.generation(2)
        assert office.bot.snapshot().verdict == "running"
        assert office.bot.snapshot().last_error == ""
        await office.until(lambda: office.channels[1].closed)

    office = run(scenario)
    assert [channel.left.is_set() for channel in office.channels] == [True, True, True]


def test_going_back_to_the_old_credentials_drops_the_new_ones() -> None:
    async def scenario(office: Office) -> None:
        office.bot.take(WRONG_SECRET)
        await office.until(lambda: office.bot.snapshot().verdict == "running_old")
        office.bot.take(SPEC)
        assert office.bot.snapshot().verdict == "running"
        assert office.bot.snapshot().generation == 1
        await office.until(lambda: office.channels[1].closed)

    office = run(scenario)
    assert not office.channels[0].replies


def test_another_save_while_new_credentials_wait_is_not_lost() -> None:
    async def scenario(office: Office) -> None:
        office.bot.take(WRONG_SECRET)
        office.bot.take(replace(WRONG_SECRET, max_workers=7))
        await asyncio.sleep(0.01)
        assert len(office.channels) == 2
        office.bot.take(replace(OTHER_SECRET, max_workers=7))
        await office.generation(2)
        assert office.bot.spec.max_workers == 7

    run(scenario)


def test_a_message_seen_on_the_old_channel_is_not_answered_again_on_the_new_one() -> None:
    async def scenario(office: Office) -> None:
        await office.channels[0].say(message(1))
        office.bot.take(OTHER_SECRET)
        await office.generation(2)
        await office.channels[1].say(message(1))

    assert len(run(scenario).apps[0].questions) == 1


def test_another_client_id_is_another_app_with_other_people() -> None:
    async def scenario(office: Office) -> None:
        await office.channels[0].say(message(1))
        await office.until(lambda: ended(office, "msg-1/0"))
        office.bot.take(replace(SPEC, dingtalk_app_client_id="ding-other"))
        await office.generation(2)
        await office.channels[1].say(message(1))

    office = run(scenario)
    assert [question.conversation_id for question in office.apps[0].questions] == ["", ""]


def test_more_room_lets_people_in_at_once() -> None:
    gate = asyncio.Event()

    async def scenario(office: Office) -> None:
        people = [message(n, chat=replace(message(1).chat, id=f"c{n}")) for n in range(33)]
        for each in people:
            await office.channels[0].say(each)
        assert office.bot.snapshot().turns.waiting == 1
        office.bot.take(replace(SPEC, max_workers=3))
        assert office.bot.snapshot().turns.waiting == 0
        gate.set()

    run(scenario, Started("t", "c"), gate, TextDelta("done"), Finished())


def test_draining_takes_no_more_changes() -> None:
    async def scenario() -> None:
        office = Office()
        running = asyncio.create_task(office.bot.run())
        await office.until(lambda: office.bot.snapshot().state == "connected")
        await office.bot.drain(time.monotonic() + 1)
        office.bot.take(OTHER_SECRET)
        await running
        await office.bot.aclose()
        assert len(office.channels) == 1

    asyncio.run(scenario())


def test_a_patient_drain_serves_who_waits() -> None:
    gate = asyncio.Event()

    async def scenario() -> None:
        office = Office(Started("t", "c"), gate, TextDelta("done"), Finished())
        running = asyncio.create_task(office.bot.run())
        await office.until(lambda: office.bot.snapshot().state == "connected")
        await office.channels[0].say(message(1))
        await office.channels[0].say(message(2))
        draining = asyncio.create_task(office.bot.drain(time.monotonic() + 60, patient=True))
        await office.until(office.channels[0].left.is_set)
        gate.set()
        await asyncio.wait_for(draining, 10)
        await running
        await office.bot.aclose()
        assert [card.shown for card in office.channels[0].cards.values()] == ["done", "done"]

    asyncio.run(scenario())


# -- what an attack found


class SlowToLeave(FakeChannel):
    """Hands over a last message while it leaves."""

    def __init__(self) -> None:
        super().__init__(now=NOW)
        self.gate = asyncio.Event()

    async def leave(self) -> None:
        await self.gate.wait()
        await super().leave()


def test_an_idle_old_channel_is_closed_only_when_it_has_left() -> None:
    async def scenario(office: Office) -> None:
        slow = SlowToLeave()
        office.bot._lines.current.channel.leave = slow.leave  # type: ignore[method-assign]
        office.bot.take(OTHER_SECRET)
        await office.generation(2)
        await asyncio.sleep(0.02)
        assert not office.channels[0].closed
        await office.channels[0].say(message(7))
        await office.until(lambda: ended(office, "msg-7/0"))
        slow.gate.set()
        office.channels[0].left.set()
        await office.until(lambda: office.channels[0].closed)

    office = run(scenario)
    assert office.channels[0].cards["msg-7/0"].shown == "Hello"
    assert "msg-7/0" not in office.channels[1].cards


def test_what_is_being_closed_when_everything_ends_is_closed_to_the_end() -> None:
    """The end comes while an old app hangs up: its channel is still to be closed after it."""

    async def scenario() -> Office:
        office = Office()
        running = asyncio.create_task(office.bot.run())
        await office.until(lambda: office.bot.snapshot().state == "connected")
        hanging_up, gate = asyncio.Event(), asyncio.Event()

        async def aclose() -> None:
            hanging_up.set()
            await gate.wait()
            office.apps[0].closed = True

        office.apps[0].aclose = aclose  # type: ignore[method-assign]
        office.bot.take(replace(OTHER_SECRET, dify_app_api_key="app-other"))
        await hanging_up.wait()
        closing = asyncio.create_task(office.bot.aclose())
        await asyncio.sleep(0.01)
        gate.set()
        await closing
        running.cancel()
        await asyncio.wait({running})
        return office

    office = asyncio.run(scenario())
    assert [app.closed for app in office.apps] == [True, True]
    assert [channel.closed for channel in office.channels] == [True, True]


def test_live_keys_do_not_wait_for_credentials() -> None:
    async def scenario(office: Office) -> None:
        office.bot.take(replace(WRONG_SECRET, dify_app_api_key="app-other"))
        await office.until(lambda: office.bot.snapshot().verdict == "running_old")
        await office.channels[0].say(message(1))
        await office.until(lambda: ended(office, "msg-1/0"))
        assert len(office.apps[1].questions) == 1
        assert office.bot.spec.dingtalk_app_client_secret == SPEC.dingtalk_app_client_secret

    run(scenario)


def test_a_save_between_claim_and_turn_closes_nothing_under_it() -> None:
    async def scenario(office: Office) -> None:
        saying = asyncio.create_task(office.channels[0].say(message(1)))
        for _ in range(4):
            await asyncio.sleep(0)
            office.bot.take(replace(OTHER_APP, max_workers=3))
            office.bot.take(SPEC)
        await saying
        await office.until(lambda: ended(office, "msg-1/0"))

    office = run(scenario)
    assert office.channels[0].cards["msg-1/0"].shown == "Hello"
    assert sum(len(app.questions) for app in office.apps) == 1


def test_a_crash_leaves_its_promises_on_disk_and_the_next_run_keeps_them() -> None:
    async def scenario() -> None:
        first = Office(Started("t", "c"), TextDelta("Half"), asyncio.Event())
        running = asyncio.create_task(first.bot.run())
        await first.until(lambda: first.bot.snapshot().state == "connected")
        await first.channels[0].say(message(1))
        await first.channels[0].say(message(2))
        cards = first.channels[0].cards
        await first.until(lambda: "msg-1/0" in cards and cards["msg-1/0"].shown == "Half")
        running.cancel()
        await first.bot.aclose()  # as the thread does when it dies
        assert not cards["msg-1/0"].ended
        rows = await first.bot._promises.store.items("claim/")
        states = {key[-5:]: row["state"] for key, row in rows}
        assert states == {"msg-1": "asked", "msg-2": "taken"}

    asyncio.run(scenario())


def test_what_a_living_thread_has_promised_is_no_leftover() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        old = Claims("ding-it", store, owner="old")
        assert await old.take(message(1)) is not None
        assert await Claims("ding-it", store, owner="new", alive={"old"}.__contains__).load() == []
        (claim,) = await Claims("ding-it", store, owner="new").load()
        assert claim.owner == "new"

    asyncio.run(scenario())


def test_what_a_crash_left_at_another_app_is_taken_up_when_that_app_is_back() -> None:
    """The file named another client id in between: its cards cannot end before it is back."""

    async def scenario(office: Office) -> None:
        store = office.bot._promises.store
        before = replace(SPEC, dingtalk_app_client_id="ding-before")
        claim = Claim(before.dingtalk_app_client_id, message(1), store)
        assert await claim.add()
        await claim.asked(cards=1)
        waiting = Claim(before.dingtalk_app_client_id, message(2), store)
        assert await waiting.add()
        office.bot.take(before)
        await office.generation(2)
        await office.channels[1].say(message(3))
        await office.until(lambda: len(office.channels[1].cards) == 3)
        await office.until(lambda: all(card.ended for card in office.channels[1].cards.values()))

    office = run(scenario)
    kinds = {card.frames[-1][0] for card in office.channels[1].cards.values()}
    assert kinds == {"finish", "fail"}
    assert [question.text for question in office.apps[0].questions] == ["question", "question"]


def left_at(spec: BotSpec, office: Office) -> Awaitable[object]:
    """A crash in mid-answer, and one before the answer."""

    async def crash() -> None:
        for number in (1, 2):
            claim = Claim(spec.dingtalk_app_client_id, message(number), office.bot._promises.store)
            assert await claim.add()
            claim.style = spec.card_style
            if number == 1:
                await claim.asked(cards=1)

    return crash()


def opened_with(spec: BotSpec, scenario: Callable[[Office], Awaitable[None]]) -> Office:
    """A crash's rest lies at the usual app, and the bot begins with ``spec``."""

    async def scene() -> Office:
        office = Office(spec=spec)
        await left_at(SPEC, office)
        running = asyncio.create_task(office.bot.run())
        try:
            await scenario(office)
            await office.until(lambda: not office.bot._reception.tasks)
        finally:
            await office.bot.drain(time.monotonic() + 1.0)
            await asyncio.wait_for(running, 5)
            await office.bot.aclose()
        return office

    return asyncio.run(scene())


def test_what_a_crash_left_waits_for_the_right_secret() -> None:
    async def scenario(office: Office) -> None:
        await office.until(lambda: office.bot.snapshot().state == "bad_credentials")
        office.bot.take(SPEC)
        await office.generation(2)

    office = opened_with(WRONG_SECRET, scenario)
    assert {name: card.ended for name, card in office.channels[1].cards.items()} == {
        "msg-1/0": True,
        "msg-2/0": True,
    }
    assert [question.text for question in office.apps[0].questions] == ["question"]


def test_what_a_crash_left_is_not_taken_up_by_another_app() -> None:
    """Its cards are no cards of the other one: they would spin for ever, and be taken for ended."""
    other = replace(SPEC, dingtalk_app_client_id="ding-other")

    async def scenario(office: Office) -> None:
        await office.until(lambda: office.bot.snapshot().state == "bad_credentials")
        office.bot.take(other)
        await office.generation(2)
        await office.until(lambda: len(office.channels[1].replies) == 2)
        assert office.channels[1].cards == {}
        office.bot.take(SPEC)
        await office.generation(3)
        cards = office.channels[2].cards
        await office.until(lambda: "msg-1/0" in cards and cards["msg-1/0"].ended)

    office = opened_with(WRONG_SECRET, scenario)
    assert list(office.channels[2].cards) == ["msg-1/0"]
    assert office.apps[0].questions == []


def test_what_a_crash_left_at_an_app_that_is_tried_in_vain_is_read_again_later() -> None:
    other = replace(SPEC, dingtalk_app_client_id="ding-other")

    async def scenario(office: Office) -> None:
        await office.until(lambda: len(office.channels[0].replies) == 2)  # see ``orphans``
        for _ in range(2):
            office.bot.take(WRONG_SECRET)
            await office.until(lambda: "refuses" in office.bot.snapshot().last_error)
            office.bot.take(other)
        office.bot.take(SPEC)
        await office.generation(2)
        cards = office.channels[-1].cards
        await office.until(lambda: "msg-1/0" in cards and cards["msg-1/0"].ended)

    office = opened_with(other, scenario)
    assert office.channels[0].cards == {}
    (card,) = office.channels[-1].cards.values()
    assert card.shown == say("answered_below", "en")


def slow_reading(office: Office) -> asyncio.Event:
    """Until it is set, the store does not tell what there is."""
    gate, store = asyncio.Event(), office.bot._promises.store
    items = store.items

    async def slow(prefix: str) -> list[tuple[str, Json]]:
        await gate.wait()
        return await items(prefix)

    store.items = slow  # type: ignore[method-assign]
    return gate


def test_what_a_crash_left_is_taken_up_though_its_app_was_dropped_while_it_was_read() -> None:
    """Saved to and fro while the disk is slow: the first reading is the only one."""
    other = replace(SPEC, dingtalk_app_client_id="ding-other")

    async def scenario(office: Office) -> None:
        await office.until(lambda: len(office.channels[0].replies) == 2)  # see ``orphans``
        gate = slow_reading(office)
        office.bot.take(SPEC)
        await asyncio.sleep(0)
        office.bot.take(other)
        office.bot.take(SPEC)
        await office.generation(2)
        gate.set()
        cards = office.channels[-1].cards
        await office.until(lambda: "msg-1/0" in cards and cards["msg-1/0"].ended)

    opened_with(other, scenario)


class FlightyChannel(FakeChannel):
    """A suspended app: each connection is accepted and closed at once."""

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        del on_message, on_press
        while not self.left.is_set():
            on_state(StateChange("connected"))
            on_state(StateChange("retrying", "DingTalk closed the connection (code 1000)"))
            self.connections += 1
            await asyncio.sleep(0.001)


class PromptChannel(FakeChannel):
    """Its first message comes with the connection."""

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        on_state(StateChange("connected"))
        await on_message(message("prompt"))
        await super().run(on_message, on_state, on_press)


def test_what_a_crash_left_is_taken_up_however_late_the_store_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bot serves by its new app before it is known what was promised there."""
    monkeypatch.setattr("dod.bridge.promises.LOADING", 0.01)
    other = replace(SPEC, dingtalk_app_client_id="ding-other")

    async def scenario(office: Office) -> None:
        await office.until(lambda: len(office.channels[0].replies) == 2)  # see ``orphans``
        gate = slow_reading(office)
        office.bot.take(SPEC)
        await office.generation(2)
        await office.channels[-1].say(message(3))
        cards = office.channels[-1].cards
        await office.until(lambda: "msg-3/0" in cards and cards["msg-3/0"].ended)
        assert "msg-1/0" not in cards
        gate.set()
        await office.until(lambda: "msg-1/0" in cards and cards["msg-1/0"].ended)

    office = opened_with(other, scenario)
    assert office.channels[-1].cards["msg-1/0"].shown == say("answered_below", "en")


def test_what_a_crash_left_is_taken_up_however_late_the_counts_of_calls_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are read first, and the bot serves meanwhile."""
    monkeypatch.setattr("dod.bridge.promises.LOADING", 0.01)
    gate = asyncio.Event()

    async def slow(_meter: FakeMeter) -> None:
        await gate.wait()

    monkeypatch.setattr(FakeMeter, "load", slow)

    async def scenario(office: Office) -> None:
        cards = office.channels[0].cards
        await office.channels[0].say(message(3))
        await office.until(lambda: "msg-3/0" in cards and cards["msg-3/0"].ended)
        gate.set()
        await office.until(lambda: "msg-1/0" in cards and cards["msg-1/0"].ended)

    opened_with(SPEC, scenario)


def test_a_connection_that_is_closed_at_once_replaces_none_that_works() -> None:
    async def scenario(office: Office) -> None:
        office.make_channel_of = lambda: FlightyChannel(now=NOW)
        office.bot.take(OTHER_SECRET)
        await office.until(lambda: office.channels[-1].connections > 30)
        told = office.bot.snapshot()
        assert (told.state, told.verdict) == ("connected", "running_old")
        assert "code 1000" in told.last_error
        await office.channels[0].say(message(1))
        await office.until(lambda: ended(office, "msg-1/0"))
        office.bot.take(SPEC)

    run(scenario)


def test_a_message_by_the_new_channel_is_answered_there_at_once() -> None:
    async def scenario(office: Office) -> None:
        office.make_channel_of = lambda: PromptChannel(now=NOW)
        office.bot.take(OTHER_SECRET)
        await office.generation(2)
        cards = office.channels[1].cards
        await office.until(lambda: "msg-prompt/0" in cards and cards["msg-prompt/0"].ended)
        assert office.channels[0].cards == {}

    run(scenario)
