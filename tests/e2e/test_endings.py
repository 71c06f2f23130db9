"""No card is left spinning, and no answer is lost or shown twice (design §5.6, §5.7).

The real edges against simulators that fail; the rules alone are in ``tests/test_bot.py``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from dod.sim.dify.scripts import Answer, Fault
from dod.sim.dingtalk.faults import Mishap, Switches
from dod.sim.dingtalk.templates import PUBLIC_CARD
from dod.sim.dingtalk.world import SimCard
from dod.texts import say
from tests.office import PATIENT, Office
from tests.test_dingtalk_channel import QUICK

TEXT = "one two three four five six seven"
BELOW = say("answered_below", "en")
TEMPLATES = pytest.mark.parametrize("template", ["own.schema", PUBLIC_CARD], ids=["own", "public"])


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.bridge.typewriter.FINISH_RETRIES", (0.01, 0.02))
    monkeypatch.setattr("dod.bridge.endings.INSIST", (0.02,) * 100)
    monkeypatch.setattr("dod.bridge.replies.RETRIES", (0.01,))


def act(scenario: Callable[[Office], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with Office(**options).open() as office:
            office.app.answer = lambda *_: Answer(TEXT, interval=0.01)
            await asyncio.wait_for(scenario(office), 20)

    asyncio.run(main())


def style(template: str) -> dict[str, Any]:
    key = "msgContent" if template == PUBLIC_CARD else "content"
    return {"dingtalk_ai_card_template_id": template, "dingtalk_ai_card_content_key": key}


async def typing(office: Office) -> SimCard:
    """The card, as soon as it shows some text."""
    await office.say("question, please")
    await office.until(lambda: office.typed)
    return office.cards()[0]


def last_call(template: str) -> str:
    return "update" if template == PUBLIC_CARD else "streaming"


# -- the last frame fails


@TEMPLATES
@pytest.mark.parametrize("mishap", ["busy", "html", "reset", "lost", "hang"])
def test_a_last_frame_that_fails_is_repeated_until_it_lands(template: str, mishap: Mishap) -> None:
    async def scenario(office: Office) -> None:
        await typing(office)
        await office.until(lambda: office.dify.requests[0].outcome)
        office.dingtalk.faults.next(last_call(template), mishap, 3)  # type: ignore[arg-type]
        card = await office.ended()
        assert (card.state, card.text) == ("finished", TEXT)
        await office.idle()
        assert office.replies() == []
        assert await office.states() == ["done"]

    times = QUICK if mishap == "hang" else PATIENT
    act(scenario, times=times, **style(template))


@TEMPLATES
@pytest.mark.parametrize("mishap", ["busy", "html", "reset"])
def test_a_card_that_takes_no_end_is_answered_below_and_ended_when_it_does(
    template: str, mishap: Mishap
) -> None:
    async def scenario(office: Office) -> None:
        card = await typing(office)
        office.dingtalk.faults.down["streaming"] = mishap
        await office.until(office.replies)
        assert office.replies() == [TEXT]
        assert card.state != "finished"
        office.dingtalk.faults.down.clear()
        await office.ended()
        assert card.text == BELOW
        await office.idle()
        assert office.replies() == [TEXT]
        assert await office.states() == ["done"]

    act(scenario, **style(template))


@pytest.mark.parametrize("crash", [False, True])
def test_a_later_card_that_takes_no_end_says_where_the_rest_is(*, crash: bool) -> None:
    """A sentence is no continuation of what the cards before it have."""
    text = "".join(f"Sentence number {n} of a long answer.\n\n" for n in range(60))

    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer(text, interval=0.005)
        await office.say("question, please")
        await office.until(lambda: len(office.cards()) > 1 and office.cards()[1].text)
        office.dingtalk.faults.down["streaming"] = "busy"
        await office.until(office.replies)
        await office.until(lambda: not office.bot.snapshot().turns.in_flight)
        cards = office.cards()
        if crash:
            await office.crash()
            await office.start()
        office.dingtalk.faults.clear()
        await office.until(lambda: all(card.state == "finished" for card in cards))
        await office.idle()
        *full, last = (card.text for card in cards)
        assert last == BELOW
        (rest,) = office.replies()
        assert "".join((*full, rest)).split() == text.split()
        assert await office.states() == ["done"]

    act(scenario, card_max_bytes=1000)


def test_an_outage_of_all_of_dingtalk_costs_no_answer_however_long() -> None:
    """Neither card nor reply: what comes back first takes it, and only that."""

    async def scenario(office: Office, back: tuple[str, ...]) -> None:
        card = await typing(office)
        office.dingtalk.faults.down["*"] = "busy"
        await office.until(lambda: office.bot._reception.insisting.tasks)
        down = ["streaming", "webhook", "send_single"]
        office.dingtalk.faults.down.update({api: "busy" for api in down if api not in back})
        del office.dingtalk.faults.down["*"]
        if "streaming" in back:
            assert (await office.ended()).text == TEXT
        else:
            await office.until(office.replies)
            del office.dingtalk.faults.down["streaming"]
            await office.ended()
            assert card.text == BELOW
        office.dingtalk.faults.clear()
        await office.idle()
        assert office.replies() == ([] if "streaming" in back else [TEXT])
        assert await office.states() == ["done"]

    act(lambda office: scenario(office, ("streaming",)))
    act(lambda office: scenario(office, ("webhook",)))


def test_an_answer_whose_card_was_never_made_waits_for_a_way_out() -> None:
    async def scenario(office: Office) -> None:
        office.dingtalk.faults.missing_scopes = {"Card.Instance.Write", "Card.Streaming.Write"}
        office.dingtalk.faults.down = {"webhook": "busy", "send_single": "busy"}
        await office.say("question, please")
        await office.until(lambda: office.bot._reception.insisting.tasks)
        office.dingtalk.faults.down.clear()
        await office.until(office.replies)
        await office.idle()
        assert office.replies() == [TEXT]
        assert await office.states() == ["done"]

    act(scenario)
    act(scenario, handler="DifyMarkdownBotHandler")


@pytest.mark.parametrize("mishap", ["lost", "reset"])
@pytest.mark.parametrize("crash", [False, True])
def test_that_a_reply_may_be_missing_is_said_however_long_nothing_can_be_said(
    mishap: Mishap, monkeypatch: pytest.MonkeyPatch, *, crash: bool
) -> None:
    """The line broke while the reply was sent, and was down for longer than a minute."""
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", (0.01, 0.01))

    async def scenario(office: Office) -> None:
        faults = office.dingtalk.faults
        faults.next("webhook", mishap)
        faults.down = {"webhook": "busy", "send_single": "busy"}
        await office.say("question, please")
        await office.until(lambda: office.bot._reception.insisting.tasks)
        assert await office.states() == ["finishing"]
        if crash:
            await office.crash()
            await office.start()
        faults.clear()
        await office.until(lambda: say("unconfirmed", "en") in office.replies())
        await office.idle()
        assert office.replies() == [TEXT] * (mishap == "lost") + [say("unconfirmed", "en")]
        assert await office.states() == ["done"]

    act(scenario, handler="DifyMarkdownBotHandler")


@pytest.mark.parametrize("known", [True, False], ids=["by the robot", "by the webhook alone"])
def test_three_broken_webhook_connections_leave_nobody_without_a_word(
    monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """A person without a staffId can be written to by the webhook only. Once seen in a soak."""
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", (0.01,) * 4)

    async def scenario(office: Office) -> None:
        office.dingtalk.faults.next("webhook", "reset", 3)
        asker = office.ann if known else office.dingtalk.person("外", None)
        chat = await office.say("question, please", asker)
        await office.until(lambda: office.replies(chat))
        await office.idle()
        assert set(office.replies(chat)) == {say("unconfirmed", "en")}
        assert office.dingtalk.replies[0].medium == ("robot" if known else "webhook")
        assert await office.states() == ["done"]

    act(scenario, handler="DifyMarkdownBotHandler")


def test_a_card_says_that_its_reply_may_be_missing_where_nothing_else_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", (0.01,))

    async def scenario(office: Office) -> None:
        card = await typing(office)
        faults = office.dingtalk.faults
        faults.next("webhook", "reset")
        faults.down = {"streaming": "busy", "webhook": "busy", "send_single": "busy"}
        await office.until(lambda: office.bot._reception.insisting.tasks)
        del faults.down["streaming"]
        await office.ended()
        await office.idle()
        assert card.text == say("unconfirmed", "en")
        assert office.replies() == []
        assert await office.states() == ["done"]

    act(scenario)


def test_what_can_never_be_delivered_is_not_tried_for_an_hour() -> None:
    async def scenario(office: Office) -> None:
        outsider = office.dingtalk.person("客人", None)
        office.dingtalk.faults.down = {"webhook": "busy"}
        await office.say("question, please", outsider)
        await office.until(lambda: office.dify.requests)
        await office.idle()
        assert await office.states() == ["done"]

    # Over by more than the second in which DingTalk tells its time.
    act(scenario, handler="DifyMarkdownBotHandler", switches=Switches(webhook_lifetime=-60))


def test_a_card_that_is_too_old_gives_way_to_a_message_with_the_whole_text() -> None:
    async def scenario(office: Office) -> None:
        card = await typing(office)
        office.dingtalk.faults.card_life = 0.001
        await office.until(office.replies)
        assert office.replies() == [TEXT]
        office.dingtalk.faults.clear()  # else it would be tried for an hour
        await office.ended()
        assert card.text == BELOW

    act(scenario)


@TEMPLATES
@pytest.mark.parametrize("after_end", ["refused", "ignored"])
@pytest.mark.parametrize("crash", [False, True])
def test_an_end_that_landed_unnoticed_gives_way_to_the_reply_that_was_sent_instead(
    template: str, after_end: Any, *, crash: bool
) -> None:
    """Its answer was lost, its repetition refused: the answer stands on the card and below it."""

    async def scenario(office: Office) -> None:
        await office.say("question, please")
        await office.until(lambda: office.dify.requests and office.dify.requests[0].outcome)
        office.dingtalk.faults.next(last_call(template), "lost")  # type: ignore[arg-type]
        office.dingtalk.faults.down[last_call(template)] = "busy"
        await office.until(office.replies)
        card = office.cards()[0]
        assert (card.state, card.text) == ("finished", TEXT)
        if crash:
            await office.until(lambda: office.bot._reception.insisting.tasks)
            await office.crash()
            await office.start()
        office.dingtalk.faults.clear()
        await office.idle()
        assert office.replies() == [TEXT]
        assert (card.state, card.text) == ("finished", BELOW)
        assert await office.states() == ["done"]

    switches = Switches(after_end=after_end)
    act(scenario, switches=switches, card_updates="final", **style(template))


def test_insisting_costs_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that takes no end must not eat the month's quota: two calls a try."""
    monkeypatch.setattr("dod.bridge.endings.INSIST", (0.01,) * 5)

    async def scenario(office: Office) -> None:
        await typing(office)
        office.dingtalk.faults.down["streaming"] = "busy"
        await office.until(lambda: office.bot._reception.insisting.tasks)
        before = office.dingtalk.refused.total()
        await office.idle()
        assert office.dingtalk.refused.total() - before <= 2 * 5
        assert await office.states() == ["finishing"], "the next start goes on"

    act(scenario)


# -- the card vanishes


@TEMPLATES
@pytest.mark.parametrize("when", ["typing", "ending", "pointing"])
def test_a_card_that_vanished_becomes_one_message_with_the_whole_text(
    template: str, when: str
) -> None:
    async def scenario(office: Office) -> None:
        card = await typing(office)
        if when != "typing":
            office.dingtalk.faults.down["streaming"] = "busy"
            await office.until(
                lambda: office.replies() if when == "pointing" else office.dingtalk.refused
            )
        office.dingtalk.vanish(card)
        office.dingtalk.faults.down.clear()
        await office.until(office.replies)
        await office.idle()
        assert office.replies() == [TEXT]
        assert office.cards() == []
        assert await office.states() == ["done"]

    act(scenario, **style(template))


def test_a_card_that_vanished_while_its_bot_was_away_is_not_pointed_to_by_a_message() -> None:
    """The answer went by reply, the card was to say so: there is nothing left to say."""

    async def scenario(office: Office) -> None:
        card = await typing(office)
        office.dingtalk.faults.down["streaming"] = "busy"
        await office.until(office.replies)
        await office.stop(0.2)
        assert await office.states() == ["finishing"]
        office.dingtalk.faults.clear()
        office.dingtalk.vanish(card)
        await office.start()
        await office.idle()
        assert office.replies() == [TEXT]
        assert await office.states() == ["done"]

    act(scenario)


def test_a_second_restart_in_an_outage_says_nothing_twice() -> None:
    async def scenario(office: Office) -> None:
        await typing(office)
        office.dingtalk.faults.down["streaming"] = "busy"
        await office.until(office.replies)
        for _ in range(2):
            await office.stop(0.2)
            await office.start()
            await office.until(lambda: office.bot._reception.insisting.tasks)
        office.dingtalk.faults.clear()
        assert (await office.ended()).text == BELOW
        await office.idle()
        assert office.replies() == [TEXT]

    act(scenario)


# -- throttled, and a token that expires


def test_thirty_cards_end_although_dingtalk_throttles_and_the_bucket_is_off() -> None:
    async def scenario(office: Office) -> None:
        people = [office.dingtalk.person(f"p{n}", f"staff-{n}") for n in range(30)]
        chats = [await office.say("question, please", person) for person in people]
        await office.until(lambda: all(office.cards(c) or office.replies(c) for c in chats))
        for chat in chats:
            if office.cards(chat):
                card = await office.ended(chat=chat)
                assert card.state == "finished"
                assert (card.text, office.replies(chat)) in [(TEXT, []), (BELOW, [TEXT])]
            else:
                assert office.replies(chat) == [TEXT]
        assert office.dingtalk.refused, "it did throttle"
        await office.idle()
        assert set(await office.states()) == {"done"}

    act(scenario, sim_qps=20, max_workers=4)


@TEMPLATES
def test_a_token_that_expires_between_any_two_calls_costs_nothing(template: str) -> None:
    async def scenario(office: Office) -> None:
        office.dingtalk.subscribe(
            lambda event: (
                office.dingtalk.expire_tokens("ding-office") if event.kind == "card" else None
            )
        )
        await office.say("question, please")
        card = await office.ended()
        assert (card.state, card.text) == ("finished", TEXT)
        await office.idle()
        assert office.replies() == []
        assert office.dingtalk.calls["ding-office", "token"] >= len(card.frames)

    act(scenario, **style(template))


# -- drain and crash


def test_a_drain_closes_every_open_card_with_what_it_has() -> None:
    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("word " * 4000, interval=0.02)
        people = [office.dingtalk.person(f"p{n}", f"staff-{n}") for n in range(20)]
        chats = [await office.say("question, please", person) for person in people]
        await office.until(lambda: all(c.text for chat in chats for c in office.cards(chat)))
        await office.until(lambda: all(office.cards(chat) for chat in chats))
        await office.stop(3.0)
        for chat in chats:
            (card,) = office.cards(chat)
            assert card.state == "failed"
            assert card.text.startswith("word")
            assert say("shutting_down", "en") in card.text
        assert set(await office.states()) == {"done"}
        assert len([one for one in office.dify.stops if one.hit]) == 20

    act(scenario, max_workers=2)


def test_a_drain_tries_once_more_to_end_what_did_not_end_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dod.bridge.endings.INSIST", (600.0,))

    async def scenario(office: Office) -> None:
        card = await typing(office)
        office.dingtalk.faults.down["streaming"] = "busy"
        await office.until(lambda: office.bot._reception.insisting.tasks)
        office.dingtalk.faults.clear()
        await office.stop(3.0)
        assert (card.state, card.text) == ("finished", BELOW)
        assert office.replies() == [TEXT]
        assert await office.states() == ["done"]

    act(scenario)


@pytest.mark.parametrize("api", ["create_and_deliver", "streaming", "*"])
def test_a_drain_waits_for_no_call_that_hangs_and_the_next_start_ends_the_card(api: str) -> None:
    async def scenario(office: Office) -> None:
        if api == "create_and_deliver":
            office.dingtalk.faults.down[api] = "hang"
            await office.say("question, please")
            await office.until(lambda: office.dify.requests)
        else:
            await typing(office)
            office.dingtalk.faults.down[api] = "hang"
        async with asyncio.timeout(8):
            await office.stop(0.5)
        assert set(await office.states()) <= {"finishing", "asked"}
        office.dingtalk.faults.clear()
        await office.start()
        ends = {"finished", "failed"}
        await office.until(lambda: office.replies() or {c.state for c in office.cards()} & ends)
        await office.idle()
        (shown,) = [*office.replies(), *(card.text for card in office.cards())]
        assert shown.startswith(TEXT) or any(
            say(key, "en") in shown for key in ("shutting_down", "restarted")
        )
        assert await office.states() == ["done"]

    act(scenario, times=replace(QUICK, answer=60.0, leave=0.1))


def test_cards_of_a_crash_end_at_the_next_start_with_the_text_they_had() -> None:
    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("word " * 4000, interval=0.02)
        people = [office.dingtalk.person(f"p{n}", f"staff-{n}") for n in range(20)]
        chats = [await office.say("question, please", person) for person in people]
        await office.until(lambda: all(office.cards(chat) for chat in chats))
        had: list[str] = []
        while len([text for text in had if text]) < len(chats):
            await asyncio.sleep(0.01)
            had = [value["text"] for _, value in await office.store.items("claim/")]
        await office.crash()
        office.app.answer = lambda *_: Answer(TEXT)
        await office.start()
        for chat in chats:
            card = await office.ended(chat=chat)
            assert card.state == "failed"
            assert card.text.startswith("word")
            assert say("restarted", "en") in card.text
        await office.idle()
        assert set(await office.states()) == {"done"}
        assert len(office.dify.requests) == 20, "nothing is asked twice"

    act(scenario, max_workers=2)


def test_cards_of_a_crash_end_only_by_the_app_that_made_them() -> None:
    """It does not connect at the next start, and the file names another one meanwhile."""

    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("word " * 400, interval=0.02)
        card = await typing(office)
        await office.crash()
        office.dingtalk.add_app("ding-other", "secret-other")
        right = office.spec
        office.spec = replace(right, dingtalk_app_client_secret="wrong")
        starting = asyncio.create_task(office.start())
        await asyncio.sleep(0)
        await office.until(lambda: office.bot.snapshot().state == "bad_credentials")
        office.bot.take(
            replace(
                right,
                dingtalk_app_client_id="ding-other",
                dingtalk_app_client_secret="secret-other",
            )
        )
        await office.until(office.replies)
        await office.idle()
        (told,) = office.replies()
        assert say("restarted", "en") in told
        assert await office.states() == ["finishing"]
        office.bot.take(right)
        await starting
        await office.ended()
        await office.idle()
        assert (card.state, card.text) == ("finished", BELOW)
        assert office.replies() == [told]
        assert await office.states() == ["done"]

    act(scenario)


def test_a_crash_before_a_reply_arrived_leaves_nobody_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No card came about, nobody knows if the reply did, and the sentence about it waits."""
    monkeypatch.setattr("dod.bridge.replies.OWN_UP", (0.01, 600.0))

    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer(TEXT, first_delay=0.3)
        office.dingtalk.faults.down.update(create_and_deliver="reset", webhook="reset")
        refused = office.dingtalk.refused
        await office.say("question, please")
        await office.until(lambda: "not opened" in caplog.text)
        office.dingtalk.faults.quota_used_up = True  # nobody knows if there is a card
        await office.until(lambda: refused["ding-office", "webhook", "reset"] == 2)
        await office.crash()
        office.dingtalk.faults.clear()
        await office.start()
        await office.until(office.replies)
        await office.idle()
        assert office.replies() == [say("unconfirmed", "en")]
        assert office.cards() == []
        assert await office.states() == ["done"]

    act(scenario)


@TEMPLATES
def test_a_last_frame_that_may_have_arrived_before_a_crash_is_not_repeated_by_reply(
    template: str,
) -> None:
    """The card has the answer, its ``done`` is not on disk; now the card's calls are refused."""

    async def scenario(office: Office) -> None:
        await typing(office)
        await office.until(lambda: office.dify.requests[0].outcome)
        office.dingtalk.faults.down[last_call(template)] = "lost"
        card = await office.ended()
        await office.crash()
        assert await office.states() == ["finishing"]
        office.dingtalk.faults.clear()
        office.dingtalk.faults.address_refused = True
        await office.start()
        await office.until(office.replies)
        office.dingtalk.faults.clear()
        await office.idle()
        assert (card.state, card.text) == ("finished", TEXT)
        assert office.replies() == [say("unconfirmed", "en")]
        assert await office.states() == ["done"]

    act(scenario, **style(template))


@TEMPLATES
def test_a_card_that_comes_about_after_the_crash_of_who_asked_for_it_ends_too(
    template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DingTalk took longer to make it than dod to start again, which found none."""
    monkeypatch.setattr("dod.bridge.endings.INSIST", (0.5,) * 10)

    async def scenario(office: Office) -> None:
        arrived = asyncio.Event()
        office.dingtalk.subscribe(
            lambda event: (
                arrived.set()
                if event.kind == "arrival" and event.subject[1] == "create_and_deliver"
                else None
            )
        )
        office.dingtalk.faults.latency["create_and_deliver"] = 0.4
        office.app.answer = lambda *_: Answer(TEXT, first_delay=5.0)
        await office.say("question, please")
        await arrived.wait()
        await office.crash()
        await office.start()
        await office.until(office.replies)
        assert office.cards() == []
        card = await office.ended()
        assert (card.state, card.text) == ("finished", BELOW)
        await office.idle()
        assert len(office.replies()) == 1
        assert await office.states() == ["done"]

    act(scenario, **style(template))


def test_an_interrupted_answer_of_a_hanging_dify_is_closed_too() -> None:
    async def scenario(office: Office) -> None:
        office.app.fault = Fault("hang", after=2)
        card = await typing(office)
        await office.stop(3.0)
        assert card.state == "failed"
        assert say("shutting_down", "en") in card.text

    act(scenario)
