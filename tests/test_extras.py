"""What an answer has besides its text: greeting, progress, sources, next questions, thinking."""

import asyncio
from dataclasses import replace

import pytest

from dod.bridge.citations import citations
from dod.config.spec import BotSpec, Show
from dod.errors import DifyError, DingTalkBusy
from dod.messages import (
    Cited,
    Finished,
    Parameters,
    Progress,
    Started,
    TextDelta,
    TextReplaced,
)
from dod.texts import say
from tests.fakes import Step
from tests.scene import BOB, GROUP, HELLO, SPEC, Scene, message, play

BEGUN = Started("task-1", "conv-1", "message-1")


def spec(**changes: object) -> BotSpec:
    return replace(SPEC, **changes)  # type: ignore[arg-type]


def scene(*script: Step, about: Parameters | None = None, **changes: object) -> Scene:
    made = Scene(script or HELLO, spec=spec(**changes))
    made.app.about = about or Parameters()
    return made


# -- greeting


def test_the_first_answer_in_a_chat_is_greeted_and_no_other() -> None:
    it = play(scene(greeting="Welcome!"), message(1), message(2))
    assert it.card(1).shown == "Welcome!\n\n---\n\nHello"
    assert it.card(2).shown == "Hello"
    again = Scene(HELLO, spec=spec(greeting="Welcome!"), store=it.store)
    assert play(again, message(3)).card(3).shown == "Hello"


def test_a_group_is_greeted_once() -> None:
    it = scene(greeting="Welcome!")
    play(it, message(1, chat=GROUP), message(2, chat=GROUP, sender=BOB))
    assert [it.card(n).shown for n in (1, 2)] == ["Welcome!\n\n---\n\nHello", "Hello"]


def test_the_opening_statement_greets_with_its_questions() -> None:
    about = Parameters("I am a test.", ("What can you do?", "What time is it?"))
    it = play(scene(about=about), message(1), message(2, text="2"))
    listed = "1. What can you do?\n2. What time is it?"
    head = say("suggestions", "en")
    assert it.card(1).shown == f"I am a test.\n\n---\n\nHello\n\n{head}\n\n{listed}"
    assert it.app.questions[1].text == "What time is it?"


def test_an_opening_statement_with_variables_is_no_greeting() -> None:
    it = play(scene(about=Parameters("Hello {{name}}!")), message(1))
    assert it.card(1).shown == "Hello"


def test_who_has_talked_before_is_not_greeted() -> None:
    it = play(scene(), message(1))
    asyncio.run(it.store.delete("met/ding-it/cid-ann"))
    later = Scene(HELLO, spec=spec(greeting="Welcome!"), store=it.store)
    assert play(later, message(2)).card(2).shown == "Hello"


# -- suggestions


def test_a_suggested_question_is_picked_by_its_number() -> None:
    it = scene(BEGUN, TextDelta("Hello"), Finished(), about=Parameters(suggests=True))
    it.app.suggestions = ("What is next?", "Tell me more")
    play(it, message(1), message(2, text=" ２. "), message(3, text="7"))
    assert it.card(1).shown.endswith("1. What is next?\n2. Tell me more")
    assert [question.text for question in it.app.questions] == ["question", "Tell me more", "7"]
    assert it.app.suggested_for[0] == ("message-1", "staff-ann")


def test_each_person_picks_from_what_that_person_was_offered() -> None:
    it = scene(BEGUN, TextDelta("Hello"), Finished(), about=Parameters(suggests=True))
    it.app.suggestions = ("What is next?",)
    play(it, message(1, chat=GROUP), message(2, chat=GROUP, sender=BOB, text="1"))
    assert it.app.questions[1].text == "1"


def test_an_answer_without_suggestions_ends_the_offer() -> None:
    it = scene(BEGUN, TextDelta("Hello"), Finished(), about=Parameters(suggests=True))
    it.app.suggestions = ("What is next?",)

    async def run() -> None:
        async with it.running():
            await it.say(message(1))
            await it.quiet()
            it.app.suggestions = ()
            await it.say(message(2))
            await it.quiet()
            await it.say(message(3, text="1"))

    asyncio.run(run())
    assert it.app.questions[2].text == "1"


@pytest.mark.parametrize("how", ["/new", "quote", "restart"])
def test_a_number_that_answers_something_else_is_no_pick(how: str) -> None:
    it = scene(BEGUN, TextDelta("Hello"), Finished(), about=Parameters(suggests=True))
    it.app.suggestions = ("What is next?",)

    async def run() -> None:
        async with it.running():
            await it.say(message(1))
            await it.quiet()
            it.app.suggestions = ()
            if how == "/new":
                await it.say(message(2, "/new"))
                await it.quiet()
            more = {"quote": "Which floor? 1 or 2"} if how == "quote" else {}
            await it.say(message(3, "1" if how != "restart" else "hello", **more))

    asyncio.run(run())
    if how != "restart":
        assert it.app.questions[-1].text.endswith("1")
        return
    later = Scene((BEGUN, TextDelta("Hello"), Finished()), spec=spec(), store=it.store)
    play(later, message(4, "1"))
    assert later.app.questions[0].text == "1"


def test_suggestions_that_fail_cost_nothing() -> None:
    async def suggested(message_id: str, user: str) -> tuple[str, ...]:
        asked.append((message_id, user))
        raise DifyError("no suggestions")

    asked: list[tuple[str, str]] = []
    it = scene(BEGUN, TextDelta("Hello"), Finished(), about=Parameters(suggests=True))
    it.app.suggested = suggested  # type: ignore[method-assign]
    assert play(it, message(1)).card(1).shown == "Hello"
    assert asked == [("message-1", "staff-ann")]


def test_suggestions_can_be_switched_off() -> None:
    about = Parameters(suggests=True)
    show = Show(suggestions=False)
    it = scene(BEGUN, TextDelta("Hello"), Finished(), about=about, show=show)
    it.app.suggestions = ("What is next?",)
    play(it, message(1), message(2, text="1"))
    assert it.card(1).shown == "Hello"
    assert not it.app.suggested_for


# -- sources


def test_sources_are_a_numbered_list_below_the_answer() -> None:
    script = (BEGUN, TextDelta("```\ncode"), Cited(("a_b.pdf", "c.md")), Finished())
    shown = play(scene(*script), message(1)).card(1).shown
    assert shown == f"```\ncode\n```\n\n{say('sources', 'en')}\n\n1. a\\_b.pdf\n2. c.md"
    silent = scene(*script, show=Show(citations=False))
    assert play(silent, message(1)).card(1).shown == "```\ncode\n```  "


def test_many_sources_are_counted() -> None:
    listed = citations([f"{n}.pdf" for n in range(14)], "en")
    assert "10. 9.pdf" in listed
    assert listed.endswith(say("more_sources", "en", count=4))
    assert citations([], "en") == ""


# -- progress


def test_progress_is_a_line_of_an_update_and_gone_at_the_end() -> None:
    gate = asyncio.Event()
    tool = Progress("tool", "Current Time", "获取当前时间")
    script = (BEGUN, tool, gate, TextDelta("It is late."), Finished())
    it = scene(*script, card_updates="smooth")

    async def run() -> None:
        async with it.running():
            await it.say(message(1))
            await it.until(lambda: len(it.card(1).frames) > 1)
            assert it.card(1).shown == say("using_tool", "en", name="Current Time")
            gate.set()

    asyncio.run(run())
    assert it.card(1).shown == "It is late."


def test_progress_makes_no_call_of_its_own_once_there_is_text() -> None:
    nodes: list[Step] = [Progress("node", f"node {n}") for n in range(50)]
    script = (BEGUN, TextDelta("Text."), 0.02, *nodes, 0.02, Finished())
    it = play(scene(*script, card_updates="economical"), message(1))
    assert [kind for kind, _ in it.card(1).frames] == ["open", "update", "finish"]
    final = play(scene(BEGUN, *nodes, TextDelta("x"), Finished(), card_updates="final"), message(1))
    assert [kind for kind, _ in final.card(1).frames] == ["open", "finish"]


def test_progress_can_be_switched_off() -> None:
    script: tuple[Step, ...] = (BEGUN, Progress("node", "LLM"), 0.03, TextDelta("x"), Finished())
    it = play(scene(*script, card_updates="smooth", show=Show(tools=False)), message(1))
    assert all(text in {"", "x"} for _, text in it.card(1).frames)


# -- thinking, moderation, forms

THOUGHT = (BEGUN, TextDelta("<think>\nFirst\nSecond"), TextDelta("</think>\n\nYes."), Finished())


def test_thinking_is_hidden_folded_or_shown() -> None:
    shown = {
        show: play(scene(*THOUGHT, show=Show(thinking=show)), message(1)).card(1).shown
        for show in (False, True, "folded")
    }
    assert shown[False] == "Yes."
    assert shown[True] == "> First<br>\n> Second\n\nYes."
    assert shown["folded"] == f"> {say('thought', 'en', count=12)}\n\nYes."


def test_a_withdrawn_answer_is_replaced_by_what_dify_sends_instead() -> None:
    script = (BEGUN, TextDelta("secret " * 10), 0.03, TextReplaced("Withdrawn."), Finished())
    it = play(scene(*script, card_updates="smooth"), message(1))
    assert it.card(1).shown == "Withdrawn."


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.004, 0.006, 0.008, 0.01])
def test_an_answer_withdrawn_while_it_goes_on_on_the_next_card_leaves_nothing(pause: float) -> None:
    text = "".join(f"Line {n}\n\n" for n in range(600))
    script = (BEGUN, TextDelta(text), pause, TextReplaced("Another."), Finished())
    it = play(scene(*script, card_updates="smooth", card_max_bytes=1000), message(1))
    *full, last = [card for card in it.channel.cards.values() if card.frames]
    assert last.shown == "Another."
    assert {card.withdrawn for card in full} <= {say("withdrawn", "en")}
    assert all(card.ended for card in (*full, last))


def test_what_came_instead_ends_the_card_however_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last frame is refused for a while: a later try must not look for it behind the old."""
    monkeypatch.setattr("dod.bridge.typewriter.FINISH_RETRIES", ())
    monkeypatch.setattr("dod.bridge.endings.INSIST", (0.02, 0.02, 0.02))
    shown = asyncio.Event()
    text = "".join(f"Line {n}\n\n" for n in range(120))
    script = (BEGUN, TextDelta(text), shown, TextReplaced("Another."), Finished())
    down = DingTalkBusy("down")
    down.not_done = True

    async def run() -> Scene:
        it = scene(*script, card_updates="smooth", card_max_bytes=1000)
        async with it.running():
            await it.say(message(1))
            await it.until(lambda: bool(it.card(1, 1).shown))
            faults = it.channel.faults
            faults.on("finish", faults.counts["finish"] + 1, down)
            faults.on("reply", 1, down)
            shown.set()
            await it.until(lambda: it.card(1, 1).ended)
        return it

    it = asyncio.run(run())
    assert it.card(1, 1).shown == "Another."
    assert it.channel.replies == []


def test_moderation_that_changes_nothing_leaves_full_cards_as_they_are() -> None:
    text = "".join(f"Line {n}\n\n" for n in range(600))
    for said, first in ((text, "Line 0"), ("Another.", "")):
        script = (BEGUN, TextDelta(text), 0.05, TextReplaced(said), Finished())
        it = play(scene(*script, card_updates="smooth", card_max_bytes=1000), message(1))
        assert it.card(1).shown.startswith("Line 0")
        assert it.card(1).withdrawn == ("" if first else say("withdrawn", "en"))
        cards = [card.shown for card in it.channel.cards.values() if card.frames]
        if first:
            assert "Line 599" not in "".join(cards)
            assert it.channel.files[0][2].decode().rstrip().endswith("Line 599")
        else:
            assert cards[-1] == "Another."


def test_a_form_is_said_in_a_sentence() -> None:
    form = "Please confirm: hello\nName"
    it = play(scene(BEGUN, Finished("paused", form)), message(1))
    assert it.card(1).shown == f"Please confirm: hello<br>\nName\n\n{say('paused', 'en')}"
