"""Every way that Dify is known to fail (dify-api §9), said by the simulator, read on the card.

One entry is one failure, in all spellings that Difys have for it, with one sentence of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.scripts import Answer, Fault
from dod.sim.dingtalk.world import SimCard
from dod.texts import SENTENCES, say
from tests.office import Office

ZH, EN = "请问一下这个问题", "a question, please"


class Told(NamedTuple):
    """How a Dify tells a failure: by an HTTP refusal, or else by an event."""

    fault: Fault
    kind: Kind = "chat"
    version: Version = "1.13"


def http(status: int, code: str, message: str = "no", **more: Any) -> Told:
    return Told(Fault("refuse", status=status, code=code, message=message), **more)


def page(status: int) -> Told:
    return Told(Fault("refuse", status=status, message="A page", html=True))


def event(
    code: str, message: str = "no", status: int = 400, kind: Kind = "chat", after: int = 0
) -> Told:
    return Told(Fault("error", after=after, status=status, code=code, message=message), kind)


def param(message: str, **more: Any) -> Told:
    return http(400, "invalid_param", message, **more)


def model(message: str) -> tuple[Told, ...]:
    """What a model's provider said, as each kind of app passes it on."""
    return (
        http(400, "completion_request_error", message),
        event("completion_request_error", message),
        event("completion_request_error", message, kind="agent"),
        event("completion_request_error", message, kind="completion"),
        event("completion_request_error", message, kind="chatflow"),
        event("completion_request_error", message, kind="workflow"),
    )


FAILURES: dict[str, tuple[Told, ...]] = {
    "dify_key": (http(401, "unauthorized", "Access token is invalid"),),
    "dify_api_off": (http(403, "forbidden", "The app's API service has been disabled."),),
    "dify_app_broken": (http(400, "app_unavailable", "App unavailable"),),
    "dify_app_type": (
        http(400, "not_chat_app", "Please check if your app mode matches"),
        http(400, "not_workflow_app", "Please check if your app mode matches", kind="workflow"),
        http(400, "app_unavailable", "App unavailable", kind="completion"),
    ),
    "dify_model_not_set": (
        http(400, "provider_not_initialize", "No valid model provider credentials found."),
        event("provider_not_initialize"),
        param("Model gpt-x not exist."),
        param("Provider openai does not exist."),
    ),
    "dify_model_quota": (
        http(400, "provider_quota_exceeded", "Your quota for Dify Hosted has been exhausted"),
        event("provider_quota_exceeded"),
        *model("Error code: 429 - insufficient_quota"),
    ),
    "dify_model_unsupported": (
        http(400, "model_currently_not_support", "Dify Hosted OpenAI trial"),
        event("model_currently_not_support"),
    ),
    "dify_model_key": model("Incorrect API key provided: sk-ab***"),
    "dify_model_busy": model("API request failed with status code 429: slow down"),
    "dify_model_failed": (
        *model("API request failed with status code 500: {}"),
        event("invalid_param", "Run failed: the plugin said no"),
        param("Run failed: Node LLM run failed: [openai] Server Unavailable Error"),
    ),
    "dify_question_too_long": model("Query or prefix prompt is too long, you can reduce"),
    "dify_input": (
        param("query is required in input form"),
        param("age in input form must be a valid number"),
        param("1 validation error for ChatRequestPayload\ninputs\n  Field required"),
    ),
    "dify_input_too_long": (param("query in input form must be less than 48 characters"),),
    "dify_input_option": (
        param("tone in input form must be one of the following: ['formal', 'casual']"),
    ),
    "dify_unpublished": (param("Workflow not published", kind="workflow"),),
    "dify_bad_request": (
        param("Agent Chat App does not support blocking mode"),
        http(400, "bad_request", "The browser sent a request that this server cannot read"),
        http(400, "a_code_of_tomorrow"),
        event("a_code_of_tomorrow"),
        page(400),
    ),
    "dify_conversation_done": (http(400, "conversation_completed", "has ended"),),
    "dify_missing": (http(404, "not_found", "Message Not Exists."), param("Invalid upload file")),
    "dify_not_found": (page(404), page(405), page(301), http(405, "method_not_allowed")),
    "dify_proxy": (page(401), page(403), page(407)),
    "dify_too_large": (page(413),),
    "dify_file_too_large": (http(413, "file_too_large", "File size exceeded. {message}"),),
    "dify_audio_too_large": (http(413, "audio_too_large", "Audio size larger than 30 mb"),),
    "dify_too_many_files": (param("Number of image files exceeds the maximum limit 3"),),
    "dify_unsupported_type": (http(415, "unsupported_media_type", "Did not attempt to load"),),
    "dify_file_type": (
        http(415, "unsupported_file_type", "File type not allowed."),
        param("File validation failed for file: picture.png"),
    ),
    "dify_audio_type": (http(415, "unsupported_audio_type", "Audio type not allowed."),),
    "dify_overloaded": (
        http(429, "too_many_requests", "Too many requests. Please try again later."),
        Told(Fault("overload"), version="0.15"),
        Told(Fault("overload")),
        page(429),
    ),
    "dify_rate": (http(429, "rate_limit_error", "Rate Limit Error"),),
    "dify_internal": (
        http(500, "internal_server_error", "Internal Server Error, please contact support."),
        http(500, "unknown", "Internal Server Error"),
        event("internal_server_error", status=500),
        page(500),
    ),
    "dify_gateway": (page(502), page(503), page(504), page(520), http(503, "", "")),
    "dify_cut": (
        Told(Fault("reset", after=-1)),
        Told(Fault("reset")),
        Told(Fault("end")),
        Told(Fault("garbage")),
    ),
    "dify_timeout": (Told(Fault("hang", after=-1)), Told(Fault("hang"))),
}
ROWS = [
    pytest.param(key, told, id=f"{key}-{number}")
    for key, spellings in FAILURES.items()
    for number, told in enumerate(spellings)
]
# Sentences that are told otherwise: tests below, and in test_dify_app.
ELSEWHERE = {"dify", "dify_unreachable", "dify_conversation", "dify_stopped", "dify_retrying"}


def act(
    scenario: Callable[[Office], Awaitable[None]],
    kind: Kind = "chat",
    version: Version = "1.13",
    **options: Any,
) -> None:
    async def main() -> None:
        async with Office(kind, version, **options).open() as office:
            await asyncio.wait_for(scenario(office), 20)

    asyncio.run(main())


def silence(fault: Fault) -> dict[str, Any]:
    """Short where silence is what is tested; a busy machine is silent for a while, too."""
    return {"timeout": 0.6} if fault.kind == "hang" else {}


async def answers(office: Office) -> list[tuple[SimCard, int]]:
    """The card of a Chinese and of an English question; 0 or 1: the language's place."""
    cards = []
    for number, text in enumerate((ZH, EN)):
        await office.say(text)
        cards.append((await office.ended(number + 1), number))
    return cards


def test_every_failure_has_a_sentence_and_every_sentence_a_failure() -> None:
    assert {key for key in SENTENCES if key.startswith("dify")} == set(FAILURES) | ELSEWHERE


@pytest.mark.parametrize(("key", "told"), ROWS)
def test_each_failure_is_said_in_its_own_sentence(key: str, told: Told) -> None:
    async def scenario(office: Office) -> None:
        office.app.fault = told.fault
        for card, language in await answers(office):
            assert (card.state, card.text) == ("failed", f"⚠️ {SENTENCES[key][language]}")
        assert office.replies() == []

    act(scenario, told.kind, told.version, dify=silence(told.fault))


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (Fault("error", after=3, message="raw words of a provider"), "dify_model_failed"),
        (Fault("end", after=3), "dify_cut"),
        (Fault("reset", after=3), "dify_cut"),
        (Fault("garbage", after=3), "dify_cut"),
        (Fault("hang", after=3), "dify_timeout"),
    ],
)
@pytest.mark.parametrize("kind", ["chat", "agent", "chatflow", "completion", "workflow"])
def test_partial_text_is_kept_and_marked_as_cut_off(kind: Kind, fault: Fault, key: str) -> None:
    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("", tokens=("one ", "two ", "three ", "four"))
        office.app.fault = fault
        for card, language in await answers(office):
            reason = SENTENCES[key][language]
            marked = SENTENCES["cut_off"][language].replace("{reason}", reason)
            assert (card.state, card.text) == ("failed", f"one two three\n\n{marked}")

    act(scenario, kind, dify=silence(fault))


# -- hanging up is no stop (dify-api §3)


@pytest.mark.parametrize("kind", ["chat", "agent", "chatflow", "completion", "workflow"])
@pytest.mark.parametrize(
    "fault", [Fault("hang", after=2), Fault("reset", after=2), Fault("end", after=2)]
)
def test_dify_is_told_to_stop_an_answer_that_is_given_up(kind: Kind, fault: Fault) -> None:
    """Silence and broken connections end our turn, not Dify's: it would write on, and forget."""

    async def scenario(office: Office) -> None:
        office.app.fault = fault
        await office.say(EN)
        await office.ended()
        await office.idle()
        (stop,) = office.dify.stops
        assert stop.user == "staff-ann"
        assert stop.hit == (fault.kind == "hang"), "what was cut was no longer there"

    act(scenario, kind, dify=silence(fault))


def test_an_answer_that_ended_is_not_stopped() -> None:
    async def scenario(office: Office) -> None:
        await office.say(EN)
        await office.ended(1)
        office.app.fault = Fault("error", after=2)
        await office.say(EN)
        await office.ended(2)
        await office.idle()
        assert office.dify.stops == []

    act(scenario)


@pytest.mark.parametrize("kind", ["chat", "chatflow"])
def test_stop_before_the_first_word_reaches_dify_too(kind: Kind) -> None:
    """Its task has no name before the first event; the history would keep an empty answer."""

    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("word " * 1000, first_delay=0.3, interval=0.02)
        await office.say(EN)
        await office.until(lambda: office.dify.requests and office.cards())
        await office.say("/stop")
        card = await office.ended()
        assert card.text.endswith(say("stopped", "en"))
        assert [stop.hit for stop in office.dify.stops] == [True]
        assert office.dify.requests[0].outcome == "stopped"

    act(scenario, kind)


def test_a_mistake_of_ours_stops_dify_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(office: Office) -> None:
        def broken(_writer: object) -> None:
            raise ValueError("a bug")

        office.app.answer = lambda *_: Answer("word " * 1000, interval=0.02)
        await office.say(EN)
        await office.until(lambda: office.typed)
        monkeypatch.setattr("dod.bridge.typewriter.Typewriter.touch", broken)
        card = await office.ended()
        assert say("internal", "en") in card.text
        await office.idle()
        assert [stop.hit for stop in office.dify.stops] == [True]

    act(scenario)


def test_what_dify_stopped_by_itself_is_marked_as_cut_off() -> None:
    """Its time limit, or somebody in Dify's own pages: nobody here has asked for it."""

    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("word " * 1000, interval=0.02)
        await office.say(EN)
        await office.until(lambda: office.typed)
        for _, run in tuple(office.dify._answers.runs.values()):
            run.stop()
        card = await office.ended()
        assert card.state == "failed"
        assert card.text.startswith("word")
        assert say("dify_stopped", "en") in card.text

    act(scenario, "workflow")


# -- overload, and a Dify that restarts


@pytest.mark.parametrize(
    "fault",
    [
        Fault("overload"),
        Fault("refuse", status=429, code="too_many_requests"),
        Fault("refuse", status=502, html=True),
        Fault("refuse", status=503, html=True),
        Fault("refuse", status=504, html=True),
    ],
)
def test_an_overloaded_dify_is_asked_again_while_the_card_says_so(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dod.bridge.asking.TELL_RETRYING_AFTER", 0.05)

    async def scenario(office: Office) -> None:
        office.app.fault = fault
        await office.say(EN)
        await office.until(lambda: office.typed)
        assert office.typed == say("dify_retrying", "en")
        assert office.cards()[0].state == "typing"
        office.app.fault = None
        card = await office.ended()
        assert (card.state, card.text) == ("finished", f"You said: {EN}. (turn 1)")
        assert len(office.dify.requests) > 2
        told = [frame for frame in card.frames if frame.text == say("dify_retrying", "en")]
        assert len(told) == 1, "it is said once"

    act(scenario, dify={"pauses": (0.05,) * 200})


def test_without_a_card_the_wait_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.bridge.asking.TELL_RETRYING_AFTER", 0.05)

    async def scenario(office: Office) -> None:
        office.app.fault = Fault("overload")
        await office.say(EN)
        await office.until(office.replies)
        office.app.fault = None
        await office.until(lambda: len(office.replies()) == 2)
        await office.idle()
        assert office.replies() == [say("dify_retrying", "en"), f"You said: {EN}. (turn 1)"]

    act(scenario, dify={"pauses": (0.05,) * 200}, handler="DifyMarkdownBotHandler")


def test_who_waits_for_an_overloaded_dify_may_stop_at_once() -> None:
    async def scenario(office: Office) -> None:
        office.app.fault = Fault("overload")
        await office.say(EN)
        await office.until(lambda: office.dify.requests and office.cards())
        await office.say("/stop")
        assert (await office.ended()).text == say("stopped", "en")

    act(scenario, dify={"pauses": (600.0,)})


def test_a_dify_restarted_between_questions_is_asked_when_it_is_back() -> None:
    async def scenario(office: Office) -> None:
        await office.say(EN)
        await office.ended(1)
        await office.dify.close()
        await office.say(EN)
        await office.until(lambda: len(office.cards()) == 2)
        await office.dify.start()
        card = await office.ended(2)
        assert (card.state, card.text) == ("finished", f"You said: {EN}. (turn 2)")

    act(scenario, dify={"pauses": (0.05,) * 100})


def test_a_dify_restarted_in_mid_answer_cuts_it_and_answers_the_next() -> None:
    async def scenario(office: Office) -> None:
        office.app.answer = lambda *_: Answer("word " * 1000, interval=0.02)
        await office.say(EN)
        await office.until(lambda: office.typed)
        await office.dify.close()
        card = await office.ended(1)
        assert card.state == "failed"
        assert card.text.startswith("word")
        assert say("dify_cut", "en") in card.text
        await office.dify.start()
        office.app.answer = lambda query, turn, *_: Answer(f"{query} (turn {turn})")
        await office.say("and now?")
        assert (await office.ended(2)).text == "and now? (turn 2)"

    act(scenario, dify={"pauses": (0.05,) * 100})


def test_a_dify_that_is_not_there_is_said_to_be_out_of_reach() -> None:
    async def scenario(office: Office) -> None:
        await office.dify.close()
        for card, language in await answers(office):
            assert card.text == f"⚠️ {SENTENCES['dify_unreachable'][language]}"

    act(scenario, dify={"pauses": (0.01,)})


def test_a_conversation_that_is_refused_for_ever_is_said_so() -> None:
    """Dify forgets it, is asked once more as new, and says the same again."""

    async def scenario(office: Office) -> None:
        said = "Conversation Not Exists."
        office.app.fault = Fault("refuse", status=404, code="not_found", message=said)
        for card, language in await answers(office):
            assert card.text == f"⚠️ {SENTENCES['dify_conversation'][language]}"

    act(scenario)


def test_a_stream_without_an_event_costs_nobody_the_conversation() -> None:
    """A proxy's restart ends it so; and so does a chatflow of 1.13 that has forgotten it."""

    async def scenario(office: Office) -> None:
        await office.say(EN)
        await office.ended()
        office.app.fail_next(Fault("end"))
        await office.say(EN)
        assert (await office.ended(2)).text == "⚠️ " + say("dify_cut", "en")
        await office.say(EN)
        assert (await office.ended(3)).text.endswith("(turn 3)")
        first, *later = office.dify.requests
        assert [asked.conversation_id for asked in later] == [first.answered_in] * 2

    act(scenario)


@pytest.mark.parametrize("version", ["1.13", "1.13.1"])
def test_a_chatflow_that_has_forgotten_begins_anew_within_seconds(version: Version) -> None:
    async def scenario(office: Office) -> None:
        await office.say(EN)
        await office.ended()
        office.dify.forget()
        await office.say(EN)
        assert (await office.ended(2)).text.endswith("(turn 1)")
        asked = [one.conversation_id for one in office.dify.requests]
        assert asked == ["", office.dify.requests[0].answered_in, ""]

    act(scenario, "chatflow", version, dify={"first_event": 0.05})


def test_an_empty_answer_is_no_blank_card() -> None:
    async def scenario(office: Office) -> None:
        for text in ("", "   \n", "<think>\nhm\n</think>"):
            office.app.answer = lambda *_, text=text: Answer(text)
            await office.say(EN)
            card = await office.ended(len(office.dify.requests) + 1)
            assert (card.state, card.text) == ("finished", say("empty_answer", "en"))

    act(scenario)
