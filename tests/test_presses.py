"""Buttons and ratings between fake neighbours: who may, what it does, what is said."""

import asyncio
from dataclasses import replace

import pytest

from dod.config.spec import Config, Conversation
from dod.errors import DifyError
from dod.messages import Finished, Press, PressReply, Started, TextDelta
from dod.texts import say
from tests.fakes import Step
from tests.scene import ANN, BOB, GROUP, SPEC, Scene, message, play

OWN = replace(SPEC, dingtalk_ai_card_template_id="own.schema")
SHARED = replace(OWN, conversation=Conversation(group="shared"))
ANSWER: tuple[Step, ...] = (
    Started("task-1", "conv-1", "dify-1"),
    TextDelta("Hello"),
    Finished(),
)
LIKED = PressReply(notice=say("rated", "zh"), rating="like")


def press(scene: Scene, action: str, who: str = ANN.staff_id, card: str = "msg-1/0") -> PressReply:
    """Press once all is quiet."""

    async def run() -> PressReply:
        async with scene.running():
            return await scene.channel.press(Press(card, who, action))  # type: ignore[arg-type]

    return asyncio.run(run())


def pressed_while_typing(
    who: str, *, config: Config | None = None, action: str = "stop"
) -> tuple[Scene, PressReply]:
    """``who`` presses on Ann's card while it is typed; it ends when that is allowed to."""

    async def run() -> tuple[Scene, PressReply]:
        gate = asyncio.Event()
        script = (Started("task-1", "c", "dify-1"), TextDelta("Half"), gate, TextDelta(" more"))
        scene = Scene((*script, Finished()), spec=OWN, config=config)
        async with scene.running():
            await scene.say(message(1, chat=GROUP))
            await scene.until(lambda: scene.card(1).shown == "Half")
            reply = await scene.channel.press(Press("msg-1/0", who, action))  # type: ignore[arg-type]
            if action != "stop" or not reply.stopped:
                gate.set()
            else:
                await scene.until(lambda: bool(scene.app.stops))
                gate.set()
        return scene, reply

    return asyncio.run(run())


# -- stop


@pytest.mark.parametrize("who", [ANN.staff_id, "staff-boss"])
def test_the_asker_or_an_admin_stops_the_card_and_the_run(who: str) -> None:
    scene, reply = pressed_while_typing(who, config=Config(admins=("staff-boss",)))
    assert reply == PressReply(stopped=True)
    assert scene.app.stops == [("task-1", ANN.key)]
    assert scene.card(1).ended
    assert scene.card(1).shown.endswith(say("stopped", "en"))
    assert scene.bot.snapshot().turns.in_flight == 0


@pytest.mark.parametrize("who", [BOB.staff_id, ""])
def test_nobody_else_stops_it_and_they_are_told_alone(who: str) -> None:
    scene, reply = pressed_while_typing(who)
    assert reply == PressReply(notice=say("stop_not_yours", "zh"))
    assert scene.app.stops == []
    assert scene.card(1).shown == "Half more"


def test_a_card_that_waits_in_the_queue_can_be_stopped() -> None:
    async def run() -> Scene:
        gate = asyncio.Event()
        scene = Scene((Started("t", "c"), TextDelta("one"), gate, Finished()), spec=OWN)
        async with scene.running():
            await scene.say(message(1), message(2))
            await scene.until(lambda: scene.card(2).frames == [("open", "")])
            reply = await scene.channel.press(Press("msg-2/0", ANN.staff_id, "stop"))
            assert reply.stopped
            await scene.until(lambda: scene.card(2).ended)
            gate.set()
        return scene

    scene = asyncio.run(run())
    assert scene.card(2).shown == say("stopped", "en")
    assert scene.card(1).shown == "one"
    assert len(scene.app.questions) == 1


@pytest.mark.parametrize("card", ["msg-1/0", "of-another-life"])
def test_an_old_or_unknown_card_has_nothing_to_stop_and_loses_its_button(card: str) -> None:
    scene = play(Scene(ANSWER, spec=OWN), message(1))
    reply = press(Scene(spec=OWN, store=scene.store), "stop", card=card)
    assert reply == PressReply(notice=say("nothing_to_stop", "zh"), stopped=True)


def test_an_unknown_button_is_answered_with_nothing() -> None:
    assert press(Scene(spec=OWN), "") == PressReply()


def test_a_notice_is_in_the_language_spoken_last() -> None:
    async def run() -> PressReply:
        scene = Scene(spec=OWN)
        async with scene.running():
            await scene.say(message(1, "How many days of leave?"))
            await scene.quiet()
            return await scene.channel.press(Press("x", ANN.staff_id, "stop"))

    assert asyncio.run(run()).notice == say("nothing_to_stop", "en")


# -- rating by button


@pytest.mark.parametrize("restarted", [False, True])
def test_a_thumb_reaches_dify_also_after_a_restart(*, restarted: bool) -> None:
    scene = play(Scene(ANSWER, spec=OWN), message(1))
    if restarted:
        scene = Scene(spec=OWN, store=scene.store)
        assert press(scene, "like") == LIKED
        assert scene.app.ratings == [("dify-1", "like", ANN.key, "")]
        return

    async def run() -> PressReply:
        it = Scene(ANSWER, spec=OWN)
        async with it.running():
            await it.say(message(1))
            await it.quiet()
            reply = await it.channel.press(Press("msg-1/0", ANN.staff_id, "dislike"))
            assert it.app.ratings == [("dify-1", "dislike", ANN.key, "")]
            return reply

    assert asyncio.run(run()).rating == "dislike"


def test_an_answer_can_be_rated_while_it_is_typed() -> None:
    scene, reply = pressed_while_typing(ANN.staff_id, action="like")
    assert reply.rating == "like"
    assert scene.app.ratings == [("dify-1", "like", ANN.key, "")]


def test_only_the_asker_rates_an_answer_of_their_own() -> None:
    scene = play(Scene(ANSWER, spec=OWN), message(1, chat=GROUP))
    again = Scene(spec=OWN, store=scene.store)
    assert press(again, "like", BOB.staff_id) == PressReply(notice=say("rating_not_yours", "zh"))
    assert again.app.ratings == []


def test_anybody_rates_where_the_group_asks_as_one() -> None:
    scene = play(Scene(ANSWER, spec=SHARED), message(1, chat=GROUP))
    again = Scene(spec=SHARED, store=scene.store)
    assert press(again, "like", BOB.staff_id).rating == "like"
    assert again.app.ratings == [("dify-1", "like", GROUP.id, "")]


@pytest.mark.parametrize("case", ["unknown card", "other app", "a workflow", "refused"])
def test_what_cannot_be_rated_is_said(case: str) -> None:
    workflow = (Started("task-1", ""), TextDelta("Hello"), Finished())
    script = workflow if case == "a workflow" else ANSWER
    first = play(Scene(script, spec=OWN), message(1))
    scene = Scene(spec=OWN, store=first.store)
    if case == "other app":
        scene.app.fingerprint = "app-2"
    if case == "refused":
        scene.app.faults.on("rate", 0, DifyError("deleted", key="rating_gone"))
    reply = press(scene, "like", card="unknown" if case == "unknown card" else "msg-1/0")
    assert reply == PressReply(notice=say("rating_gone", "zh"))
    assert scene.app.ratings == []


def test_a_slow_dify_does_not_keep_the_button_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dod.bridge.presses.PATIENCE", 0.01)
    first = play(Scene(ANSWER, spec=OWN), message(1))

    async def run() -> Scene:
        scene = Scene(spec=OWN, store=first.store)
        scene.app.rating_gate = asyncio.Event()
        async with scene.running():
            reply = await scene.channel.press(Press("msg-1/0", ANN.staff_id, "like"))
            assert reply == LIKED
            assert scene.app.ratings == []
            scene.app.rating_gate.set()
            await scene.quiet()
        return scene

    assert asyncio.run(run()).app.ratings == [("dify-1", "like", ANN.key, "")]


def test_the_public_template_leaves_nothing_for_buttons_on_disk() -> None:
    async def kept(scene: Scene) -> int:
        return len(await scene.store.items("answer/card/"))

    assert asyncio.run(kept(play(Scene(ANSWER), message(1)))) == 0
    assert asyncio.run(kept(play(Scene(ANSWER, spec=OWN), message(1)))) == 1


# -- rating by command


@pytest.mark.parametrize(
    ("text", "rating", "comment"),
    [
        ("/good", "like", ""),
        ("点赞", "like", ""),
        ("/bad", "dislike", ""),
        ("点踩", "dislike", ""),
        ("/bad 年份 不对", "dislike", "年份 不对"),
        (" /GOOD  thanks ", "like", "thanks"),
    ],
)
def test_a_command_rates_the_last_answer(text: str, rating: str, comment: str) -> None:
    last = (Started("task-2", "conv-1", "dify-2"), TextDelta("Yes"), Finished())
    scene = play(Scene(ANSWER, last), message(1), message(2), message(3, text))
    assert scene.app.ratings == [("dify-2", rating, ANN.key, comment)]
    assert scene.channel.replies == [("msg-3", say("rated", "en"))]
    assert len(scene.app.questions) == 2


def test_a_command_waits_for_the_answer_that_is_being_typed() -> None:
    async def run() -> Scene:
        gate = asyncio.Event()
        scene = Scene((Started("t", "c", "dify-1"), TextDelta("Half"), gate, Finished()))
        async with scene.running():
            await scene.say(message(1))
            await scene.until(lambda: scene.card(1).shown == "Half")
            await scene.say(message(2, "/good"))
            gate.set()
        return scene

    assert asyncio.run(run()).app.ratings == [("dify-1", "like", ANN.key, "")]


def test_a_command_rates_after_a_restart_and_in_this_conversation_only() -> None:
    first = play(Scene(ANSWER), message(1))
    scene = play(
        Scene(store=first.store), message(2, "/good"), message(3, "/good", sender=BOB, chat=GROUP)
    )
    assert scene.app.ratings == [("dify-1", "like", ANN.key, "")]
    assert sorted(scene.channel.replies) == [
        ("msg-2", say("rated", "zh")),
        ("msg-3", say("nothing_to_rate", "zh")),
    ]


def test_a_workflow_cannot_be_rated_and_says_so() -> None:
    spec = replace(SPEC, dify_app_type="workflow", dify_inputs=(("query", "{text}"),))
    scene = play(Scene(spec=spec), message(1), message(2, "/bad"))
    assert scene.channel.replies == [("msg-2", say("rating_unknown", "en"))]


def test_a_refused_rating_is_said() -> None:
    scene = Scene(ANSWER)
    scene.app.faults.on("rate", 0, DifyError("no", key="dify_unreachable"))
    play(scene, message(1), message(2, "/good"))
    assert scene.channel.replies == [("msg-2", say("dify_unreachable", "en"))]
