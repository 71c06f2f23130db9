"""``dod run`` between the simulators: what people see."""

import json
import signal
from pathlib import Path

import pytest

from dod.sim.dify.scripts import Answer
from dod.texts import say
from tests.e2e.rig import Rig, bot

LONG = "\n\n".join(f"第{n}段：" + "回答" * 20 for n in range(20))


def test_an_answer_is_typed_exactly_and_acknowledged_at_once(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app("app-it-key-0123456789").answer = lambda *_: Answer(LONG, interval=0.01)
        ann = rig.person()
        chat = rig.single(ann)
        message = rig.say(chat, ann, "问题")
        card = rig.answer(chat)
        assert card.text == LONG
        assert card.state == "finished"
        assert [ack.code for ack in message.acks] == [200]
        assert len(card.frames) >= 3, "it typed"
        assert rig.dingtalk.complaints == []
        assert sum(rig.dingtalk.refused.values()) == 0
        assert rig.get("/readyz") == 200
        rig.until(lambda: rig.status()["bots"][0]["turns"]["answered"] == 1, "it is counted")


def test_the_public_card_works_without_a_template(tmp_path: Path) -> None:
    entry = bot("it")
    del entry["dingtalk_ai_card_template_id"]
    with Rig(tmp_path, [entry]) as rig:
        ann, bob = rig.person(), rig.person("小博", "staff-2")
        single, group = rig.single(ann), rig.group(ann, bob)
        rig.say(single, ann, "hello")
        rig.say(group, bob, "hello there")
        assert rig.answer(single).text == "You said: hello. (turn 1)"
        assert rig.answer(group).text == "You said: hello there. (turn 1)"


def test_the_original_files_work_unchanged(tmp_path: Path) -> None:
    """Keys and values of the original's examples, in its file names, retyped."""
    with Rig(tmp_path, [bot("helper")]) as rig:
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        config = tmp_path / "config"
        (config / "bots.yaml").unlink()
        (config / ".bots.yaml").write_text(
            "bots:\n"
            "  - name: 问答助手\n"
            "    dingtalk_app_client_id: ding-helper\n"
            "    dingtalk_app_client_secret: dingsecret-helper-0123456789\n"
            "    dify_app_type: chatbot\n"
            "    dify_app_api_key: app-helper-key-0123456789\n"
            "    handler: DifyAiCardBotHandler\n",
            "utf-8",
        )
        (config / ".env").write_text(
            "# app config\nLOG_LEVEL=INFO\nDEFAULT_MAX_WORKERS=2\n\n"
            f'DIFY_OPEN_API_URL="{rig.dify.url}"\n'
            "DIFY_CONVERSATION_REMAIN_TIME=15\n"
            'DINGTALK_AI_CARD_TEMPLATE_ID="office-template.schema"\n',
            "utf-8",
        )
        rig._env = {"DIFY_OPEN_API_URL": ""}
        rig.start()
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "你好")
        assert rig.answer(chat).text == "You said: 你好. (turn 1)"
        assert rig.answer(chat).template.id == "office-template.schema"


@pytest.mark.parametrize("kind", ["chat", "agent", "chatflow"])
def test_context_is_kept_over_a_restart(tmp_path: Path, kind: str) -> None:
    with Rig(tmp_path, [bot("it")], kinds={"it": kind}) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        assert rig.answer(chat, 1).text.endswith("(turn 1)")
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        rig.start()
        rig.say(chat, ann, "two")
        assert rig.answer(chat, 2).text.endswith("(turn 2)")


def test_conversations_are_never_shared(tmp_path: Path) -> None:
    """Two people of one name, two without staffId, one person alone and in two groups."""
    with Rig(tmp_path, [bot("it")]) as rig:
        ann, twin = rig.person("小安", "staff-1"), rig.person("小安", "staff-2")
        guest, other = rig.person("客人", None), rig.person("客人", None)
        group, second = rig.group(ann, twin, guest, other), rig.group(ann, twin, title="别的群")
        places = [(group, ann), (group, twin), (group, guest), (group, other), (second, ann)]
        places.append((rig.single(ann), ann))
        for chat, person in places:
            before = len(rig.cards(chat))
            rig.say(chat, person, "hello")
            assert rig.answer(chat, before + 1).text == "You said: hello. (turn 1)"
        users = {request.user for request in rig.dify.requests}
        assert len(users) == 4
        assert not any("小安" in user or "客人" in user for user in users)


def test_redelivery_is_answered_once(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it"), bot("hr")]) as rig:
        ann = rig.person()
        rig.dingtalk.apps["ding-it"].faults.redeliver_after = (0.5, 4.0)
        group = rig.group(ann)
        rig.say(group, ann, "to it", bot="it", msg_id="msg-shared")
        rig.say(group, ann, "to hr", bot="hr", msg_id="msg-shared")
        rig.until(lambda: len(rig.cards(group)) == 2, "both bots answer")
        message = next(m for m in group.shown if getattr(m, "text", "") == "to it")
        rig.until(lambda: len(message.pushes) == 3, "redelivered twice")  # type: ignore[union-attr]
        rig.until(lambda: len(message.acks) == 3, "acknowledged each time")  # type: ignore[union-attr]
        assert len(rig.cards(group)) == 2
        assert len(rig.dify.requests) == 2


def test_markdown_handler_and_workflow(tmp_path: Path) -> None:
    bots = [
        bot("wf", dify_app_type="workflow", handler="DifyMarkdownBotHandler"),
        bot("cp", dify_app_type="completion"),
    ]
    with Rig(tmp_path, bots) as rig:
        ann = rig.person()
        rig.say(rig.single(ann, "wf"), ann, "run it", bot="wf")
        assert "run it" in rig.reply(rig.single(ann, "wf")).text
        assert rig.cards(rig.single(ann, "wf")) == []
        rig.say(rig.single(ann, "cp"), ann, "complete it", bot="cp")
        assert "complete it" in rig.answer(rig.single(ann, "cp")).text


def test_a_card_that_cannot_be_made_arrives_as_markdown(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        guest = rig.person("客人", None)
        chat = rig.single(guest)
        rig.say(chat, guest, "hello")
        assert rig.reply(chat).text == "You said: hello. (turn 1)"
        ann = rig.person()
        rig.dingtalk.faults.missing_scopes = {"Card.Instance.Write"}
        rig.say(rig.single(ann), ann, "hello")
        reply = rig.reply(rig.single(ann))
        assert reply.text == "You said: hello. (turn 1)"
        assert reply.medium == "webhook"
        assert rig.cards(rig.single(ann)) == []
        assert "Card.Instance.Write" in rig.printed()


def test_commands_work_in_dingtalk(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "/help")
        assert "/new" in rig.reply(chat).text
        rig.say(chat, ann, "one")
        rig.answer(chat, 1)
        rig.say(chat, ann, "新对话")
        assert rig.reply(chat, 2).text == say("new_conversation", "zh")
        rig.say(chat, ann, "two")
        assert rig.answer(chat, 2).text.endswith("(turn 1)")
        app = rig.dify.app("app-it-key-0123456789")
        app.answer = lambda *_: Answer("word " * 200, interval=0.1)
        rig.say(chat, ann, "a long one")
        rig.until(lambda: len(rig.cards(chat)) == 3 and "word" in rig.cards(chat)[2].text, "typing")
        rig.say(chat, ann, "停止")
        card = rig.answer(chat, 3)
        assert card.state == "finished"
        assert card.text.endswith(say("stopped", "en"))
        rig.until(lambda: rig.dify.running == 0, "Dify has stopped", seconds=5)


def test_nothing_secret_is_printed_or_told(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")], env={"LOG_LEVEL": "DEBUG"}) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "我的私事")
        rig.answer(chat)
        told = json.dumps(rig.status(), ensure_ascii=False)
        printed = rig.printed()
    for secret in ("dingsecret-it", "app-it-key", "session=", "ticket=", "私事", "staff-1"):
        assert secret not in told
        if secret not in {"session=", "ticket=", "staff-1"}:
            assert secret not in printed
    assert "sendBySession?session=" not in printed.replace("session=••", "")


def test_redelivery_after_4_16_and_60_seconds_is_answered_once(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dingtalk.apps["ding-it"].faults.redeliver_after = (4.0, 16.0, 60.0)
        ann = rig.person()
        chat = rig.single(ann)
        message = rig.say(chat, ann, "only once, please")
        rig.answer(chat)
        rig.until(lambda: len(message.acks) == 4, "acknowledged four times", seconds=90)
        assert len(rig.cards(chat)) == 1
        assert rig.replies(chat) == []
        assert len(rig.dify.requests) == 1
