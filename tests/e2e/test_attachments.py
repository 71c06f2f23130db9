"""Pictures, files, voices and quotes from a person to the app, through the running program."""

from pathlib import Path
from typing import Any

from dod.sim.dify.files import Takes
from dod.sim.dingtalk.world import SimCard, SimChat, SimPerson
from dod.texts import say
from tests.e2e.rig import Rig, bot

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 5000
ID, KEY = "ding-it", "app-it-key-0123456789"


def send(rig: Rig, chat: SimChat, person: SimPerson, kind: str, **content: Any) -> None:
    rig.say(chat, person, "", kind=kind, raw={"content": content})


def code(rig: Rig, name: str, content: bytes) -> str:
    return rig.dingtalk.add_file(ID, name, content)


def test_what_a_person_sends_reaches_the_app(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).takes = Takes(("image", "document"))
        ann = rig.person()
        chat = rig.single(ann)

        # A picture, and its question a moment later.
        send(rig, chat, ann, "picture", downloadCode=code(rig, "a.png", PNG))
        rig.say(chat, ann, "这是什么？")
        assert rig.answer(chat).text == "You said: 这是什么？. (turn 1)"
        assert [file.content for file in rig.dify.requests[-1].files] == [PNG]
        assert len(rig.dify.requests) == 1

        # Text and picture in one message, also in a group.
        group = rig.group(ann)
        rich = [{"text": "看这个"}, {"type": "picture", "downloadCode": code(rig, "b.png", PNG)}]
        send(rig, group, ann, "richText", richText=rich)
        assert "看这个" in rig.answer(group).text
        assert len(rig.dify.requests[-1].files) == 1

        # A file that is quoted by a question.
        replied = {
            "msgType": "file",
            "content": {"downloadCode": code(rig, "x", b"%PDF-1.7 text"), "fileName": "x.pdf"},
        }
        text = {"content": "总结一下", "isReplyMsg": True, "repliedMsg": replied}
        rig.say(chat, ann, "总结一下", raw={"text": text})
        rig.answer(chat, 2)
        assert [file.name for file in rig.dify.requests[-1].files] == ["x.pdf"]

        # The bot's own card, quoted.
        card = rig.answer(chat, 2)
        replied = {"msgType": "interactiveCard", "content": {}}
        text = {"content": "为什么？", "isReplyMsg": True, "repliedMsg": replied}
        carrier = {"originalProcessQueryKey": card.carriers[chat.id]}
        rig.say(chat, ann, "为什么？", raw={"text": text, **carrier})
        rig.answer(chat, 3)
        assert rig.dify.requests[-1].query == f"> {card.text}\n\n为什么？"
        assert rig.dingtalk.complaints == []


def test_what_the_app_cannot_read_is_said(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        send(rig, chat, ann, "picture", downloadCode=code(rig, "a.png", PNG))
        assert rig.reply(chat).text == say("kind_not_taken", "zh", kind="图片")
        assert rig.dify.requests == []
        assert not any(isinstance(it, SimCard) for it in chat.shown)
        rig.dify.app(KEY).takes = Takes(said="语音里的话")
        assert "语音里的话" not in rig.log.read_text("utf-8")
