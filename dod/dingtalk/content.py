"""What a bot message holds: text, attachments, and what it answers (dingtalk-protocol §3).

Quotes are documented nowhere; their shapes are those that several connectors agree on. Lenient:
what is missing or odd is left out.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

from dod.dingtalk.frames import words
from dod.messages import Attachment, AttachmentKind

_DEEPEST = 3  # quotes within quotes that are looked into
_QUOTE_LONGEST = 4000  # characters
_ATTACHED: frozenset[str] = frozenset({"picture", "audio", "video", "file"})


@dataclass(frozen=True, slots=True)
class Content:
    """``card``: ids of the bot's own card, where that is what is quoted."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    card: tuple[str, ...] = ()


def content_of(data: dict[str, Any]) -> Content:
    """What the person said in this very message."""
    text = _object(data.get("text")).get("content")
    if words(text):
        return Content(words(text))
    if isinstance(data.get("content"), str) and not _object(data["content"]):
        return Content(data["content"])
    return _content(words(data.get("msgtype")), _object(data.get("content")))


def quote_of(data: dict[str, Any]) -> Content:
    """What the message answers; empty if it answers nothing."""
    found = _quote(data, _DEEPEST)
    if found is None:
        return Content()
    attachments = tuple(
        Attachment(it.kind, it.code, it.name, quoted=True) for it in found.attachments
    )
    return Content(found.text[:_QUOTE_LONGEST], attachments, found.card)


def _quote(data: dict[str, Any], deep: int) -> Content | None:
    if not deep:
        return None
    for holder in (_object(data.get("text")), _object(data.get("content")), data):
        replied = _object(holder.get("repliedMsg"))
        if replied:
            return _replied(replied, data, deep)
    legacy = _object(data.get("quoteMessage"))
    if not legacy:
        return None
    said = legacy.get("text")
    return Content(words(said) or words(_object(said).get("content")))


def _replied(replied: dict[str, Any], data: dict[str, Any], deep: int) -> Content:
    kind, inner = words(replied.get("msgType")), _object(replied.get("content"))
    if isinstance(replied.get("content"), str) and not inner:
        said = Content(replied["content"])
    else:
        said = _content(kind, inner)
    if kind == "interactiveCard" and not said.text:
        ids = (data.get("originalProcessQueryKey"), data.get("originalMsgId"), replied.get("msgId"))
        return Content(card=tuple(it for it in map(words, ids) if it))
    # What the quoted message itself answers stands before it, as in the chat.
    earlier = _quote(inner, deep - 1) or _quote(replied, deep - 1)
    if earlier is None:
        return said
    text = "\n".join(it for it in (earlier.text, said.text) if it)
    return Content(text, (*earlier.attachments, *said.attachments), earlier.card)


def _content(kind: str, content: dict[str, Any]) -> Content:
    rich = content.get("richText")
    if isinstance(rich, list):
        return _rich(rich)
    code = words(content.get("downloadCode")) or words(content.get("pictureDownloadCode"))
    attachments: tuple[Attachment, ...] = ()
    if code:
        known = kind if kind in _ATTACHED else "file" if content.get("fileName") else "picture"
        name = words(content.get("fileName"))
        attachments = (Attachment(cast("AttachmentKind", known), code, name),)
    # recognition: DingTalk's own transcript of a voice message
    for field in ("text", "recognition", "summary", "title"):
        if words(content.get(field)):
            return Content(words(content.get(field)), attachments)
    return Content("", attachments)


def _rich(items: list[Any]) -> Content:
    """Join the texts; a picture between two of them counts as a line break."""
    lines, attachments = [""], list[Attachment]()
    for item in items:
        if not isinstance(item, dict):
            continue
        text = words(item.get("text"))
        if not text and item.get("msgType") == "text":  # the shape of quoted messages
            text = words(item.get("content"))
        code = words(item.get("downloadCode")) or words(item.get("pictureDownloadCode"))
        if code:
            attachments.append(Attachment("picture", code))
        if text:
            lines[-1] += text
        elif lines[-1].strip():
            lines.append("")
    return Content("\n".join(lines), tuple(attachments))


def _object(value: object) -> dict[str, Any]:
    """A JSON object, also where it came as a JSON text; else an empty one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
