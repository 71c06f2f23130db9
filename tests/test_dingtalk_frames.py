"""Frames and bot messages as DingTalk sends them, and as it might (dingtalk-protocol §2, §3)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dod.dingtalk import frames, inbound
from dod.messages import Chat, Message, Person

DATA: dict[str, Any] = {
    "conversationId": "cidABC=",
    "conversationType": "2",
    "conversationTitle": "项目群",
    "msgId": "msgXYZ",
    "createAt": 1769851697000,
    "msgtype": "text",
    "senderId": "$:LWCP_v1:$abc",
    "senderStaffId": "staff1",
    "senderNick": "小安",
    "senderCorpId": "dingsender",
    "chatbotCorpId": "dingcorp",
    "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=x",
    "sessionWebhookExpiredTime": 1769857097000,
    "text": {"content": " 你好 "},
}


def raw(data: object, **headers: object) -> str:
    head = {"topic": frames.BOT_MESSAGE, "messageId": "frame1", "time": "1769851697756", **headers}
    return json.dumps({"type": "CALLBACK", "headers": head, "data": data})


def parse(**changes: object) -> Message | None:
    data = {name: value for name, value in {**DATA, **changes}.items() if value is not None}
    return inbound.message(frames.read(raw(json.dumps(data))))


def text(**changes: object) -> str:
    message = parse(**changes)
    assert message is not None
    return message.text


def test_a_message_is_read_whole() -> None:
    assert parse() == Message(
        id="msgXYZ",
        chat=Chat("cidABC=", "group", "项目群"),
        sender=Person("$:LWCP_v1:$abc", "staff1", "小安"),
        text="你好",
        kind="text",
        created_at=1769851697.0,
        received_at=1769851697.756,
        webhook="https://oapi.dingtalk.com/robot/sendBySession?session=x",
        webhook_expires_at=1769857097.0,
        corp_id="dingcorp",
    )


def test_odd_and_missing_fields_do_not_lose_a_message() -> None:
    message = parse(
        createAt="1769851697000",
        senderStaffId=None,
        conversationType=None,
        conversationTitle=None,
        msgId=None,
        chatbotCorpId=None,
        sessionWebhookExpiredTime="soon",
    )
    assert message is not None
    assert message.created_at == 1769851697.0
    assert message.sender.key == "$:LWCP_v1:$abc"
    assert message.chat == Chat("cidABC=", "single")
    assert message.id == "frame1"
    assert message.corp_id == "dingsender"
    assert message.webhook_expires_at == 0.0


def test_a_chat_with_a_title_is_a_group_if_its_type_is_missing() -> None:
    message = parse(conversationType=None)
    assert message is not None
    assert message.chat.kind == "group"


@pytest.mark.parametrize("missing", ["conversationId", "senderId"])
def test_a_message_of_nobody_or_nowhere_is_none(missing: str) -> None:
    assert parse(**{missing: None, "senderStaffId": None}) is None


def test_over_quota_comes_without_content() -> None:
    message = parse(text=None, errorCode="20001", errorMessage="quota")
    assert message is not None
    assert (message.error_code, message.text) == ("20001", "")
    number = parse(text=None, errorCode=20001)
    assert number is not None
    assert number.error_code == "20001"


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (
            "richText",
            {"richText": [{"text": " 你好"}, {"text": "\n"}, {"text": "再见"}]},
            "你好\n再见",
        ),
        (
            "richText",
            {"richText": [{"text": "before"}, {"type": "picture"}, {"text": "after"}]},
            "before\nafter",
        ),
        ("richText", {"richText": [{"msgType": "text", "content": "quoted"}]}, "quoted"),
        ("richText", {"richText": [{"type": "picture", "downloadCode": "x"}, 7]}, ""),
        ("audio", {"duration": 4000, "recognition": "说的话"}, "说的话"),
        ("audio", json.dumps({"recognition": "说的话"}), "说的话"),
        ("picture", {"downloadCode": "x"}, ""),
        ("video", {"duration": 1, "downloadCode": "x"}, ""),
        ("file", {"fileName": "a.pdf"}, ""),
        ("unknownMsgType", {"unknownMsgType": "?"}, ""),
        ("interactiveCard", [], ""),
        ("chatRecord", "plain", "plain"),
    ],
)
def test_every_kind_gives_what_text_it_has(kind: str, content: object, said: str) -> None:
    message = parse(msgtype=kind, text=None, content=content)
    assert message is not None
    assert (message.kind, message.text) == (kind, said)


@pytest.mark.parametrize(
    "garbage", ["", "hello", "[]", "7", '{"headers": {}}', '{"type": 7}', "[" * 50_000, b"\xff"]
)
def test_what_is_no_frame_is_a_value_error_that_tells_nothing_of_it(garbage: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"^a frame (without a type|that is no JSON)") as caught:
        frames.read(garbage)
    assert caught.value.__cause__ is None


def test_a_frame_may_lack_headers_and_data() -> None:
    frame = frames.read('{"type": "SYSTEM"}')
    assert (frame.topic, frame.message_id, frame.time, frame.data) == ("", "", 0.0, {})
    assert frames.read('{"type":"SYSTEM","headers":{"time":""},"data":{"a":1}}').data == {"a": 1}


def test_an_ack_names_its_frame() -> None:
    frame = frames.read(raw("{}"))
    assert json.loads(frames.ack(frame, {"response": None})) == {
        "code": 200,
        "message": "OK",
        "headers": {"messageId": "frame1", "contentType": "application/json"},
        "data": '{"response": null}',
    }
    assert json.loads(frames.ack(frame, {}, code=frames.NO_HANDLER))["code"] == 404


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    data=st.dictionaries(
        st.sampled_from([*DATA, "content", "errorCode"]), json_values, max_size=16
    ),
    headers=st.dictionaries(st.sampled_from(["topic", "messageId", "time"]), json_values),
)
def test_no_field_can_break_the_reading_of_a_message(
    data: dict[str, Any], headers: dict[str, Any]
) -> None:
    frame = frames.read(raw(json.dumps({**DATA, **data}), **headers))
    message = inbound.message(frame)
    assert (
        message is None or Message.from_json(json.loads(json.dumps(message.to_json()))) == message
    )
