"""What is seen of files, plain messages and a card's private values in the demo."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dod.sim.dingtalk.world import SimCard, SimPerson, SimReply

Json = dict[str, Any]

PICTURES = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_PICTURE, _FILE = "sampleImageMsg", "sampleFile"


@dataclass(frozen=True)
class Sent:
    """A file that somebody sent."""

    name: str
    content: bytes = field(repr=False)

    @property
    def picture(self) -> bool:
        """It is one by its first bytes."""
        return bool(picture_type(self.content))

    def told(self) -> Json:
        return {"name": self.name, "size": len(self.content), "picture": self.picture}


def picture_type(content: bytes) -> str:
    """The media type by the first bytes; empty for what is no picture."""
    return next((kind for start, kind in PICTURES if content.startswith(start)), "")


def person_id(person: SimPerson) -> str:
    return person.staff_id or person.sender_id


def read(reply: SimReply) -> tuple[str, bool]:
    """What a person reads, and whether it is Markdown; of a picture its mediaId to be shown."""
    if reply.kind == _PICTURE:
        return f"![]({json.loads(reply.body['msgParam'])['photoURL']})", True
    return reply.text, "arkdown" in reply.kind


def received(reply: SimReply, media: Mapping[str, bytes]) -> Sent | None:
    """The file that a bot sent, if it is one."""
    if reply.kind != _FILE:
        return None
    param = json.loads(reply.body["msgParam"])
    return Sent(param["fileName"], media[param["mediaId"]])


def private(card: SimCard) -> dict[str, dict[str, str]]:
    """What only the presser sees of a card, by person."""
    people = card.chat.people if card.chat else ()
    return {
        person_id(it): card.private[it.sender_id] for it in people if it.sender_id in card.private
    }
