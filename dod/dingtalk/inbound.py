"""From the data of a bot message to our ``Message`` (dingtalk-protocol §3).

Lenient: whatever is missing or odd becomes empty; only who spoke, where, and an id are needed.
"""

from typing import Any

from dod.dingtalk.content import content_of, quote_of
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
    said, quote = content_of(data), quote_of(data)
    return Message(
        id=message_id,
        chat=chat,
        sender=sender,
        text=sound(said.text).strip(),  # a space stays where "@bot" was cut off
        kind=words(data.get("msgtype")) or "text",
        created_at=seconds(data.get("createAt")),
        received_at=frame.time,
        webhook=words(data.get("sessionWebhook")),
        webhook_expires_at=seconds(data.get("sessionWebhookExpiredTime")),
        corp_id=words(data.get("chatbotCorpId")) or words(data.get("senderCorpId")),
        error_code="" if words(data.get("errorCode")) == "0" else words(data.get("errorCode")),
        attachments=(*said.attachments, *quote.attachments),
        quote=sound(quote.text).strip(),
        quoted_card=quote.card,
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
