"""The bubbles of the demo's chats: what each of them is, and what the page is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dod.sim.demo.shown import Sent, person_id, private, read, received
from dod.sim.dingtalk.world import SimCard, SimChat, SimMessage, SimPerson, SimReply

Json = dict[str, Any]


@dataclass(eq=False)
class Said:
    """What a person wrote, the @ included; ``messages``: what it became, one for each bot.

    ``voice``: spoken, and put into words by DingTalk. ``quote``: number of the item it answers.
    """

    person: SimPerson
    text: str
    file: Sent | None = None
    voice: bool = False
    quote: int = 0
    messages: list[SimMessage] = field(default_factory=list)
    sent: bool = False


@dataclass(eq=False)
class Item:
    """One bubble. ``at``: epoch seconds; ``version``: of its last change."""

    number: int
    version: int
    chat: SimChat
    at: float
    subject: Said | SimCard | SimReply


def buttons(card: SimCard) -> list[str]:
    """Those of docs/card-template.md, in the states that it puts them into."""
    if card.template.public or not card.calls_back:
        return []
    if card.state in {"processing", "typing"}:
        return ["stop"] if card.params.get("stopped") != "true" else []
    return ["like", "dislike"] if card.state == "finished" else []


def told(item: Item, media: Mapping[str, bytes]) -> Json:
    """The item as the page takes it; ``media``: what bots have uploaded."""
    common: Json = {"n": item.number, "chat": item.chat.id, "at": int(item.at * 1000)}
    match item.subject:
        case Said() as said:
            pushed = not said.sent or all(message.pushes for message in said.messages)
            return common | {
                "kind": "said",
                "person": person_id(said.person),
                "nick": said.person.nick,
                "text": said.text,
                "voice": said.voice,
                "quote": said.quote,
                "file": said.file.told() if said.file else None,
                "delivered": pushed,
            }
        case SimCard() as card:
            until = card.frames[-1].at if card.frames else card.created_at
            return common | {
                "kind": "card",
                "bot": card.app.client_id,
                "text": card.text,
                "state": card.state,
                "calls": len(card.frames),
                "seconds": round(until - card.created_at, 1),
                "buttons": buttons(card),
                "private": private(card),
            }
        case SimReply() as reply:
            text, markdown = read(reply)
            file = received(reply, media)
            return common | {
                "kind": "reply",
                "bot": reply.app.client_id,
                "text": text,
                "markdown": markdown,
                "file": file.told() if file else None,
                "calls": int(reply.medium == "robot"),
            }
