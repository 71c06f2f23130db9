"""What a crash left of apps that no bot has any more."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dod.bridge.claim import KEEP, Claim
from dod.config.spec import Config
from dod.errors import DingTalkBusy
from dod.messages import Message
from dod.store.disk import DiskStore
from dod.texts import say
from tests.fakes import FakeChannel, MemoryStore
from tests.scene import NOW, SPEC, Scene, message, play

HR = replace(SPEC, name="hr", dingtalk_app_client_id="ding-hr")
LOST = "⚠️ " + say("restarted", "en")
CUT = say("cut_off", "en", reason=say("restarted", "en"))
BUSY = DingTalkBusy("a proxy's page")
BUSY.not_done = True


def left(
    message: Message = message(1),  # noqa: B008  (frozen)
    *,
    bot: str = "it",
    cards: int = 1,
    text: str = "Half",
    client_id: str = "ding-old",
    owner: str = "",
) -> MemoryStore:
    """A store after a crash in mid-answer."""

    async def crash() -> MemoryStore:
        store = MemoryStore()
        claim = Claim(client_id, message, store, owner=owner, bot=bot)
        await claim.add()
        claim.style = SPEC.card_style
        claim.text = text
        await claim.asked(cards=cards)
        return store

    return asyncio.run(crash())


def state(store: MemoryStore, client_id: str = "ding-old") -> str:
    record = asyncio.run(store.get(f"claim/{client_id}/msg-1"))
    return str(record["state"]) if record else ""


def test_a_card_of_the_former_app_is_made_up_for_by_the_webhook(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = play(Scene(store=left()))
    ((name, text),) = scene.channel.replies
    assert name == "msg-1"
    assert text.startswith("Half")
    assert say("restarted", "en") in text
    assert scene.channel.cards == {}
    assert scene.app.questions == []
    assert "client id ding-old, which no bot has any more" in caplog.text
    assert state(scene.store) == "finishing", "should the app come back, its card says so"


def test_it_is_said_once_however_often_dod_starts() -> None:
    store = left()
    assert len(play(Scene(store=store)).channel.replies) == 1
    assert play(Scene(store=store)).channel.replies == []


def test_the_app_that_comes_back_ends_its_card() -> None:
    store = left()
    play(Scene(store=store))
    back = replace(SPEC, dingtalk_app_client_id="ding-old")
    scene = play(Scene(store=store, spec=back))
    assert scene.card(1).frames == [("finish", say("answered_below", "en"))]
    assert scene.channel.replies == []
    assert state(store) == "done"


@pytest.mark.parametrize("cards", [0, 1])
def test_it_is_insisted_upon_and_never_by_the_robot_of_another_app(
    cards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The robot of the new app speaks in another chat; the webhook may work in a moment."""
    monkeypatch.setattr("dod.bridge.orphans.INSIST", (0.01, 0.01, 0.01))
    scene = Scene(store=left(cards=cards))
    scene.channel.faults.on("reply", 1, BUSY)
    scene.channel.faults.on("reply", 2, BUSY)

    async def act() -> None:
        async with scene.running():
            await scene.until(lambda: bool(scene.channel.replies))

    asyncio.run(act())
    assert [text for _, text in scene.channel.replies] == ["Half\n\n" + CUT]
    assert scene.channel.foreign == ["msg-1"]


def test_what_could_not_be_told_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.bridge.orphans.INSIST", (0.01,))
    store = left()
    before = asyncio.run(store.items("claim/"))
    scene = Scene(store=store)
    scene.channel.faults.on("reply", 0, BUSY)
    play(scene)
    assert asyncio.run(store.items("claim/")) == before
    back = replace(SPEC, dingtalk_app_client_id="ding-old")
    assert play(Scene(store=store, spec=back)).card(1).shown == "Half\n\n" + CUT


def test_the_app_that_comes_back_meanwhile_is_not_forestalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dod.bridge.orphans.INSIST", (0.01, 0.01, 0.01))
    """Its own bot goes on with what it finds: two must not say it."""
    config = [Config(bots=(SPEC,))]
    scene = Scene(store=left())
    scene.bot._promises.config = lambda: config[0]
    scene.channel.faults.on("reply", 1, BUSY)

    async def act() -> None:
        async with scene.running():
            await scene.until(lambda: scene.channel.faults.counts.get("reply") == 1)
            back = replace(HR, dingtalk_app_client_id="ding-old")
            config[0] = Config(bots=(SPEC, back))

    asyncio.run(act())
    assert scene.channel.replies == []
    assert state(scene.store) == "asked"


def test_a_crash_while_it_is_told_is_owned_up_to() -> None:
    """Nobody knows whether it was sent: it is not sent twice, and the card does not promise it."""
    first = Scene(store=left())
    hangs = asyncio.Event()

    async def crash() -> None:
        async def reply(*_: object, **_how: object) -> None:
            hangs.set()
            await asyncio.Event().wait()

        first.channel.reply = reply  # type: ignore[method-assign]
        task = asyncio.create_task(first.bot.run())
        await hangs.wait()
        await first.bot.aclose()
        await asyncio.wait({task})

    asyncio.run(crash())
    store = first.store
    assert play(Scene(store=store)).channel.replies == [("msg-1", say("unconfirmed", "en"))]
    back = replace(SPEC, dingtalk_app_client_id="ding-old")
    assert play(Scene(store=store, spec=back)).card(1).shown == say("answered_below", "en")


def test_what_was_told_keeps_neither_text_nor_webhook() -> None:
    store = left(message(1, "a question", quote="what it quotes"))
    play(Scene(store=store))
    ((_, row),) = asyncio.run(store.items("claim/"))
    assert "https://hook" not in str(row)
    assert "a question" not in str(row)
    assert "what it quotes" not in str(row)


def test_a_message_without_a_card_is_said_to_be_lost_and_done() -> None:
    store = left(cards=0, text="")
    assert play(Scene(store=store)).channel.replies == [("msg-1", LOST)]
    assert state(store) == "done"


def test_who_is_being_told_at_a_drain_is_told() -> None:
    async def act() -> Scene:
        scene = Scene(store=store)
        running = asyncio.create_task(scene.bot.run())
        async with asyncio.timeout(10):
            while (await store.get("claim/ding-old/msg-1") or {}).get("state") != "replying":  # noqa: ASYNC110
                await asyncio.sleep(0)
        await scene.bot.drain(time.monotonic() + 10)
        await running
        await scene.bot.aclose()
        return scene

    store = left(cards=0, text="")
    assert asyncio.run(act()).channel.replies == [("msg-1", LOST)]
    assert state(store) == "done"


@pytest.mark.parametrize("known", [False, True])
def test_a_whole_answer_is_sent_whole_unless_it_may_be_on_its_card(*, known: bool) -> None:
    """``known``: the card had refused it. Else a crash hides whether it stands there."""

    async def finish(store: MemoryStore) -> None:
        record = await store.get("claim/ding-old/msg-1")
        assert record is not None
        claim = Claim.from_json("ding-old", record, store)
        claim.refused = known
        await claim.finishing("All of it", "g", failed=False)

    store = left()
    asyncio.run(finish(store))
    said = "All of it" if known else say("unconfirmed", "en")
    assert play(Scene(store=store)).channel.replies == [("msg-1", said)]
    back = replace(SPEC, dingtalk_app_client_id="ding-old")
    scene = play(Scene(store=store, spec=back))
    last = say("answered_below", "en") if known else "All of it"
    assert (scene.card(1).shown, scene.channel.replies) == (last, [])


@pytest.mark.parametrize("whole", [False, True])
def test_what_stands_on_full_cards_is_not_said_again(*, whole: bool) -> None:
    async def turn(store: MemoryStore) -> None:
        record = await store.get("claim/ding-old/msg-1")
        assert record is not None
        claim = Claim.from_json("ding-old", record, store)
        await claim.opening(2, "First card.\n\nSecond", [13])
        if whole:
            claim.refused = True
            await claim.finishing("First card.\n\nSecond card.", "g", failed=False)

    store = left()
    asyncio.run(turn(store))
    said = "Second card." if whole else "Second\n\n" + CUT
    assert play(Scene(store=store)).channel.replies == [("msg-1", said)]
    back = replace(SPEC, dingtalk_app_client_id="ding-old")
    scene = play(Scene(store=store, spec=back))
    assert scene.card(1, 1).frames[-1] == ("finish", say("answered_below", "en"))
    assert scene.card(1).frames == []


def test_without_a_living_webhook_the_log_alone_tells(caplog: pytest.LogCaptureFixture) -> None:
    store = left(message(1, webhook_expires_at=NOW - 1))
    assert play(Scene(store=store)).channel.replies == []
    assert "cannot be ended" in caplog.text
    assert state(store) == "asked"


def test_after_a_day_it_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    store = left(message(1, created_at=NOW - KEEP - 60))
    assert play(Scene(store=store)).channel.replies == []
    assert "dropped" in caplog.text
    assert state(store) == "done"


@pytest.mark.parametrize("webhook_lives", [True, False])
def test_nothing_is_kept_beyond_the_day_though_nobody_starts_again(*, webhook_lives: bool) -> None:
    """Told or not: within the day the app may come back and end its card."""
    until = NOW + 5400 if webhook_lives else NOW - 1
    said = message(1, created_at=NOW - 3600, webhook_expires_at=until)
    store = left(said)
    play(Scene(store=store))
    _, until = store._rows["claim/ding-old/msg-1"]
    assert 0 < until - time.time() <= KEEP - 3600


@pytest.mark.parametrize("error", [None, BUSY])
def test_what_its_own_bot_has_done_meanwhile_stays_done(
    error: DingTalkBusy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app came back while the webhook took its time."""
    monkeypatch.setattr("dod.bridge.orphans.INSIST", ())
    scene = Scene(store=left())

    async def reply(*_: object, **_how: object) -> None:
        await scene.store.put("claim/ding-old/msg-1", {"state": "done"}, expire=KEEP)
        if error is not None:
            raise error

    scene.channel.reply = reply  # type: ignore[method-assign]
    play(scene)
    assert state(scene.store) == "done"


@pytest.mark.parametrize(
    ("bots", "bot", "said"),
    [
        ((SPEC, HR), "it", 1),  # its own of old
        ((HR, SPEC), "it", 1),
        ((SPEC, HR), "hr", 0),  # the other looks after it
        ((SPEC, HR), "gone", 1),  # nobody's: the first bot does
        ((HR, SPEC), "gone", 0),
        ((SPEC, replace(HR, dingtalk_app_client_id="ding-old")), "it", 0),  # the app moved
    ],
)
def test_one_bot_looks_after_each(bots: tuple[object, ...], bot: str, said: int) -> None:
    config = Config(bots=bots)  # type: ignore[arg-type]
    scene = play(Scene(store=left(bot=bot), config=config))
    assert len(scene.channel.replies) == said


def test_what_a_living_thread_answers_is_no_orphan() -> None:
    async def act() -> Scene:
        scene = Scene(store=store)
        scene.bot._promises.alive = {"running"}.__contains__
        async with scene.running():
            pass
        return scene

    store = left(owner="running")
    assert asyncio.run(act()).channel.replies == []


def test_an_unreadable_orphan_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    store = left()
    asyncio.run(store.put("claim/ding-old/msg-0", {"state": "asked", "bot": "it"}))
    assert len(play(Scene(store=store)).channel.replies) == 1
    assert "cannot be read" in caplog.text


# -- of apps that the bot still has


def test_a_card_left_over_a_day_ago_is_ended_without_a_message_out_of_the_blue() -> None:
    store = left(message(1, created_at=NOW - KEEP - 60), client_id="ding-it")
    scene = play(Scene(store=store))
    assert scene.card(1).frames == [("fail", LOST)]
    assert scene.channel.replies == []
    assert state(store, "ding-it") == "done"


@pytest.mark.parametrize(
    "wrong_by", [365 * 86400.0, time.time() - 60], ids=["a year", "since 1970"]
)
def test_a_clock_set_right_forgets_no_open_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong_by: float
) -> None:
    """A NAS without a clock of its own: what it wrote last year, or in 1970, is not over today."""
    clock = time.time

    async def crash(store: DiskStore) -> None:
        claim = Claim("ding-it", message(1), store, bot="it")
        await claim.add()
        await claim.asked(cards=1)

    async def found(store: DiskStore) -> int:
        return len(await store.items("claim/ding-it/"))

    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: clock() - wrong_by)
        store = DiskStore.open(tmp_path / "store")
        asyncio.run(crash(store))
        store.close()
    store = DiskStore.open(tmp_path / "store")
    try:
        assert asyncio.run(found(store)) == 1
    finally:
        store.close()


def test_it_is_told_by_the_channel_that_serves_at_that_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within the hour the bot may get other credentials, and its first channel be closed."""
    monkeypatch.setattr("dod.bridge.orphans.INSIST", (0.01,) * 500)
    scene = Scene(store=left())
    first, second = ClosingChannel(now=NOW), FakeChannel(now=NOW)
    first.faults.on("reply", 0, BUSY)
    scene.bot._lines.current.channel = scene.bot._servings.newest.channel = first

    async def act() -> None:
        running = asyncio.create_task(scene.bot.run())
        await scene.until(lambda: first.faults.counts.get("reply", 0) >= 1)
        scene.bot._lines._make_channel = lambda _: second
        scene.bot.take(replace(SPEC, dingtalk_app_client_secret="new"))
        await scene.until(lambda: first.closed)
        orphans = scene.bot._promises.orphans
        assert orphans is not None
        await asyncio.wait({orphans}, timeout=10)
        await scene.bot.drain(time.monotonic() + 1.0)
        await running
        await scene.bot.aclose()

    asyncio.run(act())
    assert second.replies == [("msg-1", "Half\n\n" + CUT)]
    assert first.late == 0


class ClosingChannel(FakeChannel):
    """Closed, it sends nothing any more, as the real one's client."""

    late = 0

    async def reply(self, *what: Any, **how: Any) -> None:
        if self.closed:
            self.late += 1
            raise RuntimeError("Cannot send a request, as the client has been closed.")
        await super().reply(*what, **how)
