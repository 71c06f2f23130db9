"""Texts, attachments and quotes in the shapes that DingTalk and other connectors have shown."""

import json
from typing import Any

import pytest

from dod.dingtalk.cardtexts import KEPT, CardTexts
from dod.dingtalk.content import Content, content_of, quote_of
from dod.messages import Attachment, Message
from tests.scene import message

PICTURE = {"downloadCode": "p1", "pictureDownloadCode": "p2"}


def reply(said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A text that answers ``said``."""
    return {
        "msgtype": "text",
        "text": {"content": "继续", "isReplyMsg": True, "repliedMsg": said},
        **more,
    }


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"msgtype": "text", "text": {"content": " 你好"}}, Content(" 你好")),
        ({"msgtype": "picture", "content": PICTURE}, Content("", (Attachment("picture", "p1"),))),
        (
            {"msgtype": "picture", "content": json.dumps({"pictureDownloadCode": "p2"})},
            Content("", (Attachment("picture", "p2"),)),
        ),
        (
            {"msgtype": "file", "content": {"downloadCode": "f", "fileName": "a.pdf"}},
            Content("", (Attachment("file", "f", "a.pdf"),)),
        ),
        (
            {"msgtype": "audio", "content": {"downloadCode": "v", "recognition": "喂"}},
            Content("喂", (Attachment("audio", "v"),)),
        ),
        (
            {"msgtype": "video", "content": {"downloadCode": "m", "videoType": "mp4"}},
            Content("", (Attachment("video", "m"),)),
        ),
        (
            {
                "msgtype": "richText",
                "content": {"richText": [{"text": "看"}, {"type": "picture", **PICTURE}]},
            },
            Content("看\n", (Attachment("picture", "p1"),)),
        ),
        ({"msgtype": "unknownMsgType", "content": {"unknownMsgType": "x"}}, Content()),
        ({"msgtype": "text"}, Content()),
    ],
)
def test_what_a_message_holds(data: dict[str, Any], found: Content) -> None:
    assert content_of(data) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"msgType": "text", "content": {"text": "旧话"}}, Content("旧话")),
        ({"msgType": "text", "content": '{"text": "旧话"}'}, Content("旧话")),
        ({"msgType": "text", "content": "just words"}, Content("just words")),
        (
            {"msgType": "picture", "content": {"downloadCode": "p"}},
            Content("", (Attachment("picture", "p", quoted=True),)),
        ),
        (
            {"msgType": "file", "content": {"downloadCode": "f", "fileName": "a.pdf"}},
            Content("", (Attachment("file", "f", "a.pdf", quoted=True),)),
        ),
        ({"msgType": "audio", "content": {"recognition": "喂"}}, Content("喂")),
        ({"msgType": "chatRecord", "content": {"summary": "三人的聊天"}}, Content("三人的聊天")),
        (
            {
                "msgType": "richText",
                "content": {
                    "richText": [
                        {"msgType": "text", "content": "看这个"},
                        {"msgType": "picture", "downloadCode": "p"},
                    ]
                },
            },
            Content("看这个\n", (Attachment("picture", "p", quoted=True),)),
        ),
        ({"msgType": "unknownMsgType", "content": {}}, Content()),
    ],
)
def test_a_quote_of_every_kind(said: dict[str, Any], found: Content) -> None:
    assert content_of(reply(said)).text == "继续"
    assert quote_of(reply(said)) == found


def test_a_quote_in_rich_text_has_its_keys_in_the_content() -> None:
    said = {"msgType": "text", "content": {"text": "旧话"}}
    data = {"msgtype": "richText", "content": {"richText": [{"text": "新"}], "repliedMsg": said}}
    assert quote_of(data).text == "旧话"


def test_quotes_nest_but_not_for_ever() -> None:
    said: dict[str, Any] = {"msgType": "text", "content": {"text": "0"}}
    for depth in range(1, 40):
        said = {"msgType": "text", "content": {"text": str(depth), "repliedMsg": said}}
    assert quote_of(reply(said)).text == "37\n38\n39"


def test_a_quote_of_the_bots_own_card_is_named_by_its_ids() -> None:
    said = {"msgType": "interactiveCard", "msgId": "m1", "content": {}}
    found = quote_of(reply(said, originalProcessQueryKey="carrier", originalMsgId="m0"))
    assert found == Content(card=("carrier", "m0", "m1"))


def test_the_old_form_of_a_quote() -> None:
    assert quote_of({"quoteMessage": {"msgId": "m", "text": "旧话"}}).text == "旧话"
    assert quote_of({"quoteMessage": {"text": {"content": "旧话"}}}).text == "旧话"


def test_a_card_that_is_quoted_gets_its_words_back() -> None:
    texts = CardTexts()
    texts.keep("carrier", "what the card said")
    quoting: Message = message(1, "and then?", quoted_card=("other", "carrier"))
    assert texts.fill(quoting).quote == "what the card said"
    assert texts.fill(message(2)) == message(2)
    for number in range(KEPT):
        texts.keep(f"later{number}", "x")
    assert texts.fill(quoting).quote == ""
