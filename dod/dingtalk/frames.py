"""The frames of a stream connection, and their acknowledgements (dingtalk-protocol §2).

The SDK's topics and ``AckMessage`` are used, its parser is not: it drops the connection over a
frame that is no JSON and loses a message over an odd header (dingtalk-protocol §10.13).
Importing the SDK costs 5 MB and 0.04 s beside the status page's aiohttp (15 MB, 0.12 s without);
at module level, because a bot cannot do without it and its loop should not stand still for it.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from dingtalk_stream import (  # type: ignore[import-untyped]
    AckMessage,
    CallbackMessage,
    Card_Callback_Router_Topic,
    ChatbotMessage,
    EventMessage,
    SystemMessage,
)

from dod.messages import sound

SYSTEM: str = SystemMessage.TYPE
EVENT: str = EventMessage.TYPE
CALLBACK: str = CallbackMessage.TYPE

PING = "ping"
DISCONNECT: str = SystemMessage.TOPIC_DISCONNECT
KEEPALIVE = "KEEPALIVE"
CALM = frozenset({KEEPALIVE, "CONNECTED", "REGISTERED"})  # want no answer (§2.1)
BOT_MESSAGE: str = ChatbotMessage.TOPIC
CARD_CALLBACK: str = Card_Callback_Router_Topic

OK: int = AckMessage.STATUS_OK
NO_HANDLER: int = AckMessage.STATUS_NOT_IMPLEMENT


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame from DingTalk. ``time``: epoch seconds, 0.0 if it has none."""

    kind: str
    topic: str
    message_id: str
    time: float
    data: dict[str, Any] = field(repr=False)

    @property
    def beats(self) -> bool:
        """Sent for no other reason than that the connection lives (§2.1)."""
        return self.kind == SYSTEM and self.topic in {PING, KEEPALIVE}


def read(raw: str | bytes) -> Frame:
    """Parse one frame. Raises ValueError, with nothing of the frame's content in it."""
    frame = _object(raw)
    headers = frame.get("headers")
    headers = headers if isinstance(headers, dict) else {}
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise ValueError("a frame without a type")  # noqa: TRY004 (one error for callers)
    data = frame.get("data")
    if isinstance(data, str):
        data = _object(data) if data.strip() else {}
    return Frame(
        kind=kind,
        topic=words(headers.get("topic")),
        message_id=words(headers.get("messageId")),
        time=seconds(headers.get("time")),
        data=data if isinstance(data, dict) else {},
    )


def ack(frame: Frame, data: dict[str, Any], *, code: int = OK) -> str:
    """The acknowledgement of ``frame``, ready to send."""
    message = AckMessage()
    message.code = code
    message.message = "OK" if code == OK else "no handler"
    message.headers.message_id = frame.message_id
    message.headers.content_type = message.headers.CONTENT_TYPE_APPLICATION_JSON
    message.data = data
    return json.dumps(message.to_dict())


def words(value: object) -> str:
    """A field that should be text; other senders write numbers, and some write nothing."""
    if isinstance(value, str):
        return sound(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def seconds(value: object) -> float:
    """Epoch seconds from milliseconds, which come as text or as a number; 0.0 if unreadable."""
    if not isinstance(value, str | int | float):
        return 0.0
    try:
        epoch = float(value) / 1000
    except (ValueError, OverflowError):
        return 0.0
    return epoch if math.isfinite(epoch) and epoch > 0 else 0.0


def _object(raw: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("a frame that is no JSON") from None
    if not isinstance(value, dict):
        raise ValueError("a frame that is no JSON object")  # noqa: TRY004 (one error for callers)
    return value
