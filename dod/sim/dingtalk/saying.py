"""A person says something to a bot: what of it is possible, and the message that comes of it."""

import time
import uuid
from functools import partial
from typing import TypedDict

from dod.sim.dingtalk.faults import Faults, Json, Switches
from dod.sim.dingtalk.files import Files
from dod.sim.dingtalk.message import IN_GROUPS, KINDS, Body
from dod.sim.dingtalk.quotes import Quotable, naming, replied
from dod.sim.dingtalk.robot import Robot
from dod.sim.dingtalk.world import SimApp, SimChat, SimMessage, SimPerson, World


class How(TypedDict, total=False):
    """What else there is to say of a message."""

    kind: str  # msgtype; "text" if nothing is said
    msg_id: str | None
    created_ago: float  # seconds since the person pressed send, by DingTalk's clock
    over_quota: bool  # the month's pushes are used up
    file: tuple[str, bytes] | None  # name and content of what is sent; with richText a picture
    quotes: Quotable | None  # something that is shown in this chat
    raw: Json | None  # laid over the body; a value of None removes the field


class Saying:
    """Lifecycle: as the world's. Thread: the simulator's loop."""

    def __init__(
        self, world: World, robot: Robot, files: Files, switches: Switches, faults: Faults
    ) -> None:
        self._world = world
        self._robot = robot
        self._files = files
        self._switches = switches
        self._faults = faults

    def message(
        self, app: SimApp, chat: SimChat, person: SimPerson, text: str, how: How
    ) -> SimMessage:
        """What is shown in the chat, and to be pushed. Raises ValueError for what cannot happen."""
        _possible(app, chat, person, how)
        kind, file = how.get("kind", "text"), how.get("file")
        msg_id = how.get("msg_id") or "msg" + self._world.opaque("message")
        body = self._body(app, chat, person, text, how, msg_id=msg_id)
        message = SimMessage(
            msg_id,
            app,
            chat,
            person,
            text,
            kind,
            body,
            frame_id=uuid.uuid4().hex,
            said_at=time.monotonic(),
            webhook=str(body.get("sessionWebhook", "")),
            sent=file,
        )
        self._robot.belongs(message)
        chat.shown.append(message)
        return message

    def _body(
        self, app: SimApp, chat: SimChat, person: SimPerson, text: str, how: How, *, msg_id: str
    ) -> Json:
        ago, lifetime = how.get("created_ago", 0.0), self._switches.webhook_lifetime
        created = time.time() + self._faults.clock_ahead - ago
        quotes = how.get("quotes")
        keep = partial(self._files.add, app)
        body = Body(
            app=app,
            chat=chat,
            person=person,
            text=text,
            kind=how.get("kind", "text"),
            msg_id=msg_id,
            created_ms=int(created * 1000),
            webhook=self._robot.open_session(app, chat, lifetime - ago),
            webhook_ms=int((created + lifetime) * 1000),
            switches=self._switches,
            file=keep,
            sent=how.get("file"),
            quoted=replied(quotes, chat.id, self._files.media, keep) if quotes else None,
        ).build(over_quota=how.get("over_quota", False))
        body.update(naming(quotes, chat.id) if quotes else {})
        body.update(how.get("raw") or {})
        return {name: value for name, value in body.items() if value is not None}


def _possible(app: SimApp, chat: SimChat, person: SimPerson, how: How) -> None:
    kind, quotes = how.get("kind", "text"), how.get("quotes")
    if kind not in KINDS or (chat.kind == "group" and kind not in IN_GROUPS):
        raise ValueError(f"no bot ever gets {kind} in a {chat.kind} chat")
    if person not in chat.people or chat.client_id not in {"", app.client_id}:
        raise ValueError("this person and this bot do not share this chat")
    if quotes is not None and quotes not in chat.shown:
        raise ValueError("what is quoted is not in this chat")
