"""From the data of a bot message to our ``Message`` (dingtalk-protocol §3).

Lenient: whatever is missing or odd becomes empty; only who spoke, where, and an id are needed.
"""

import json
from typing import Any

from dod.dingtalk.frames import Frame, seconds, words
from dod.messages import Chat, Message, Person, sound


def message(frame: Frame) -> Message | None:
    """What a person said, or None if the frame does not tell who or where."""
    data = frame.data
    sender = Person(
        sender_id=words(data.get("senderId")),
        staff_id=words(data.get("senderStaffId")),
        nick=words(data.get("senderNick")),
    )
    chat = _chat(data)
    message_id = words(data.get("msgId")) or frame.message_id
    if not sender.key or not chat.id or not message_id:
        return None
    return Message(
        id=message_id,
        chat=chat,
        sender=sender,
        text=sound(_text(data)).strip(),  # a space stays where "@bot" was cut off
        kind=words(data.get("msgtype")) or "text",
        created_at=seconds(data.get("createAt")),
        received_at=frame.time,
        webhook=words(data.get("sessionWebhook")),
        webhook_expires_at=seconds(data.get("sessionWebhookExpiredTime")),
        corp_id=words(data.get("chatbotCorpId")) or words(data.get("senderCorpId")),
        error_code="" if words(data.get("errorCode")) == "0" else words(data.get("errorCode")),
    )


def _chat(data: dict[str, Any]) -> Chat:
    title = words(data.get("conversationTitle"))
    kind = words(data.get("conversationType"))
    is_group = kind == "2" or (kind != "1" and bool(title))  # only groups have a title
    return Chat(
        id=words(data.get("conversationId")),
        kind="group" if is_group else "single",
        title=title if is_group else "",
    )


def _text(data: dict[str, Any]) -> str:
    text = data.get("text")
    if isinstance(text, dict) and words(text.get("content")):
        return words(text.get("content"))
    content = data.get("content")
    if isinstance(content, str):  # seen as a JSON text in DingTalk's own connector
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return content
    if not isinstance(content, dict):
        return ""
    rich = content.get("richText")
    if isinstance(rich, list):
        return _rich_text(rich)
    return words(content.get("recognition"))  # DingTalk's own transcript of a voice message


def _rich_text(items: list[Any]) -> str:
    """Join the texts; a picture between two of them counts as a line break."""
    lines = [""]
    for item in items:
        if not isinstance(item, dict):
            continue
        text = words(item.get("text"))
        if not text and item.get("msgType") == "text":  # the shape of quoted messages
            text = words(item.get("content"))
        if text:
            lines[-1] += text
        elif lines[-1].strip():
            lines.append("")
    return "\n".join(lines)
