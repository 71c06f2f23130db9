"""What a message says of the one that it answers (dingtalk-protocol §3, undocumented there).

The shapes are those that several connectors agree on.
"""

import json
from collections.abc import Callable
from pathlib import PurePath

from dod.sim.dingtalk.faults import Json
from dod.sim.dingtalk.world import SimCard, SimMessage, SimReply

Quotable = SimMessage | SimCard | SimReply
Keep = Callable[[str, bytes], str]  # a file → a new downloadCode


def replied(quoted: Quotable, chat_id: str, media: dict[str, bytes], keep: Keep) -> Json:
    """``repliedMsg``. Of a card there is no text. ``media``: what bots have uploaded."""
    if isinstance(quoted, SimMessage):
        told = _of_message(quoted, keep)
        return told | {"msgId": quoted.id, "senderId": quoted.person.sender_id}
    told = {"senderId": quoted.app.user_id}
    if isinstance(quoted, SimCard):
        carrier = quoted.carriers[chat_id]
        return told | {"msgType": "interactiveCard", "msgId": carrier, "content": {}}
    return told | _of_reply(quoted, media, keep)


def naming(quoted: Quotable, chat_id: str) -> Json:
    """Fields beside the text, by which the bot knows its own card."""
    if not isinstance(quoted, SimCard):
        return {}
    carrier = quoted.carriers[chat_id]
    return {"originalProcessQueryKey": carrier, "originalMsgId": carrier}


def _of_message(quoted: SimMessage, keep: Keep) -> Json:
    if quoted.sent is None or quoted.kind == "text":
        return {"msgType": "text", "content": {"text": quoted.text}}
    name, content = quoted.sent
    code = keep(name, content)
    match quoted.kind:
        case "richText":
            items = [
                {"msgType": "text", "content": quoted.text},
                {"msgType": "picture", "downloadCode": code},
            ]
            return {"msgType": "richText", "content": {"richText": items}}
        case "audio":
            said = {"downloadCode": code, "recognition": quoted.text}
            return {"msgType": "audio", "content": said}
        case "file":
            return {"msgType": "file", "content": {"downloadCode": code, "fileName": name}}
        case _:
            return {"msgType": quoted.kind, "content": {"downloadCode": code}}


def _of_reply(quoted: SimReply, media: dict[str, bytes], keep: Keep) -> Json:
    param = json.loads(quoted.body["msgParam"]) if quoted.medium == "robot" else {}
    if quoted.kind == "sampleFile":
        name = PurePath(param["fileName"]).name
        code = keep(name, media[param["mediaId"]])
        return {"msgType": "file", "content": {"downloadCode": code, "fileName": name}}
    if quoted.kind == "sampleImageMsg" and param["photoURL"] in media:
        code = keep("picture.png", media[param["photoURL"]])
        return {"msgType": "picture", "content": {"downloadCode": code}}
    return {"msgType": "text", "content": {"text": quoted.text}}
