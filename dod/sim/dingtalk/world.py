"""The people, chats, messages, cards and replies of the simulated DingTalk, as data.

What a person *sees* is decided here: ``SimCard.text`` and ``SimCard.state`` render a card's
variables as its template would. Nothing here knows HTTP. Thread: written on the simulator's loop;
lists only grow, so that another thread may read them.
"""

import base64
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dod.sim.dingtalk.faults import Faults, Json, Switches
from dod.sim.dingtalk.templates import PUBLIC, STATES, CardState, SimTemplate

FrameKind = Literal["create", "stream", "finalize", "error", "put"]


@dataclass
class SimApp:
    """A DingTalk app with a bot. ``published`` False: the gateway answers 400."""

    client_id: str
    client_secret: str = field(repr=False)
    corp_id: str
    name: str
    user_id: str  # chatbotUserId, the bot's own dingtalkId
    published: bool = True
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class SimPerson:
    """``staff_id`` is None for people outside the organisation; ``sender_id`` is always unique."""

    nick: str
    staff_id: str | None
    sender_id: str


@dataclass(eq=False)
class SimChat:
    """A place: ``id`` is its conversationId; ``shown`` is what a person sees there, in order."""

    id: str
    kind: Literal["single", "group"]
    title: str
    people: tuple[SimPerson, ...]
    client_id: str = ""  # of the one bot in a single chat
    shown: list["SimMessage | SimCard | SimReply"] = field(default_factory=list, repr=False)


class Push(NamedTuple):
    connection: str
    at: float  # monotonic


class Ack(NamedTuple):
    connection: str
    at: float  # monotonic
    code: int


@dataclass(eq=False)
class SimMessage:
    """What a person said to a bot. ``body``: the frame's ``data``; times are monotonic seconds."""

    id: str
    app: SimApp
    chat: SimChat
    person: SimPerson
    text: str
    kind: str
    body: Json = field(repr=False)
    frame_id: str  # headers.messageId
    said_at: float
    webhook: str = field(default="", repr=False)
    pushes: list[Push] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    answered: bool = False  # a card or a reply was taken to be its answer
    sent: tuple[str, bytes] | None = field(default=None, repr=False)  # a file: name, content
    spoilt: list[str] = field(default_factory=list)  # what befell posts to its webhook


@dataclass(eq=False)
class SimPress:
    """A button of a card, pressed. ``answer``: ``data.response`` of the bot's ack."""

    card: "SimCard"
    person: SimPerson
    frame_id: str
    pressed_at: float = field(default_factory=time.monotonic)
    answered_at: float = 0.0  # monotonic; 0: not yet
    answer: Json | None = None


class CardFrame(NamedTuple):
    """What the card showed from ``at`` (monotonic) on, and which call made it so."""

    at: float
    text: str
    kind: FrameKind


@dataclass(eq=False)
class SimCard:
    """One card instance. ``chat`` is None until it is delivered; ``carriers``: chat id → carrierId.

    ``msg`` is the message it most likely answers: at delivery, the oldest one of its app in its
    chat that had neither card nor reply, else the newest; a guess where people talk at once.
    """

    id: str
    app: SimApp
    template: SimTemplate
    params: dict[str, str]
    spaces: frozenset[str]  # the space types that it was created for
    created_at: float = field(default_factory=time.monotonic)
    delivered_at: float = 0.0
    chat: SimChat | None = None
    msg: SimMessage | None = None
    calls_back: bool = True  # created with callbackType STREAM: presses are pushed
    private: dict[str, dict[str, str]] = field(default_factory=dict)  # by sender_id: what they see
    frames: list[CardFrame] = field(default_factory=list, repr=False)
    carriers: dict[str, str] = field(default_factory=dict)
    guids: set[str] = field(default_factory=set, repr=False)
    ended: bool = False  # by isFinalize or isError: no more streaming
    vanished_at: float = 0.0  # monotonic; 0: it is there
    blank: bool = False  # too much text came by one PUT
    flow: CardState = "processing"

    @property
    def state(self) -> CardState:
        """What the card's header says."""
        return self.flow

    @property
    def text(self) -> str:
        """What a person reads on the card now."""
        if self.blank or (self.template.public and not self.template.lays_out(self.params)):
            return ""
        return self.params.get(self.template.key, "")

    def put(self, params: dict[str, str], *, by_key: bool, blank_chars: int) -> None:
        """Set variables; without ``by_key`` all others are forgotten (§5.5)."""
        self.params = {**self.params, **params} if by_key else dict(params)
        if self.template.key in params or not by_key:
            self.blank = bool(blank_chars) and len(params.get(self.template.key, "")) > blank_chars
        if "flowStatus" in params:
            self.flow = STATES.get(params["flowStatus"], "processing")
        elif self.template.public and not by_key:
            self.flow = "processing"

    def stream(self, key: str, content: str, *, full: bool) -> None:
        self.params[key] = content if full else self.params.get(key, "") + content
        self.blank = False
        if not self.template.public and self.flow == "processing":
            self.flow = "typing"

    def end(self, *, failed: bool, switches: Switches) -> None:
        self.ended = True
        if not self.template.public or switches.public_ended_by_stream:
            self.flow = "failed" if failed else "finished"

    def record(self, kind: FrameKind) -> None:
        self.frames.append(CardFrame(time.monotonic(), self.text, kind))


@dataclass(eq=False)
class SimReply:
    """A plain message of a bot. ``body``: as it came; ``kind``: msgtype or msgKey.

    ``msg``: what it answers; known of a webhook, else the same guess as ``SimCard.msg``.
    """

    app: SimApp
    chat: SimChat
    medium: Literal["webhook", "robot"]
    kind: str
    text: str
    body: Json = field(repr=False)
    at: float = field(default_factory=time.monotonic)
    msg: SimMessage | None = None

    @property
    def mentioned(self) -> tuple[str, ...]:
        """Staff ids of those whom it calls: listed in ``at``, and named in the text (§6)."""
        listed = self.body.get("at", {}).get("atUserIds", [])
        return tuple(who for who in listed if f"@{who}" in self.text)


class SimEvent(NamedTuple):
    """Something changed. ``kind`` tells what ``subject`` is.

    message, push, ack: SimMessage. press: SimPress. card: SimCard. reply: SimReply. connection:
    SimConnection, opened, closed or heard of. arrival: (client id, API) before anything is done.
    call: (client id, API, "" or the refusal's code), done but not answered. complaint: a sentence.
    """

    kind: Literal[
        "message",
        "push",
        "ack",
        "press",
        "card",
        "reply",
        "connection",
        "arrival",
        "call",
        "complaint",
    ]
    subject: Any


class World:
    """All there is, and who is told of changes."""

    def __init__(self) -> None:
        self.apps: dict[str, SimApp] = {}
        self.staff: dict[str, SimPerson] = {}
        self.chats: dict[str, SimChat] = {}
        self.messages: dict[str, SimMessage] = {}  # by headers.messageId
        self.cards: dict[str, SimCard] = {}
        self.replies: list[SimReply] = []
        self.listeners: list[Callable[[SimEvent], None]] = []
        self.templates = {template.id: template for template in PUBLIC}
        self._singles: dict[tuple[str, str], SimChat] = {}
        self._numbers = itertools.count(1)

    def opaque(self, kind: str) -> str:
        """A new id that looks like one of DingTalk's: nothing can be read from it."""
        raw = f"{kind}-{next(self._numbers):06d}-{time.monotonic_ns() % 10**9:09d}".encode()
        return base64.b64encode(raw).decode()

    def add_app(self, client_id: str, client_secret: str, corp_id: str, name: str) -> SimApp:
        user_id = "$:LWCP_v1:$" + self.opaque("bot")
        app = self.apps[client_id] = SimApp(client_id, client_secret, corp_id, name, user_id)
        return app

    def add_person(self, nick: str, staff_id: str | None) -> SimPerson:
        person = SimPerson(nick, staff_id, "$:LWCP_v1:$" + self.opaque("user"))
        if staff_id is not None:
            if staff_id in self.staff:
                raise ValueError(f"staff id {staff_id} is taken")
            self.staff[staff_id] = person
        return person

    def single(self, app: SimApp, person: SimPerson) -> SimChat:
        key = (app.client_id, person.sender_id)
        if key not in self._singles:
            chat = SimChat(
                "cid" + self.opaque("single"), "single", app.name, (person,), app.client_id
            )
            self._singles[key] = self.chats[chat.id] = chat
        return self._singles[key]

    def group(self, title: str, people: Iterable[SimPerson]) -> SimChat:
        chat = SimChat("cid" + self.opaque("group"), "group", title, tuple(people))
        self.chats[chat.id] = chat
        return chat

    def answered(self, app: SimApp, chat: SimChat) -> SimMessage | None:
        """The message that a new card or reply most likely answers, now marked so."""
        newest = None
        for shown in chat.shown:
            if isinstance(shown, SimMessage) and shown.app is app:
                newest = shown
                if not shown.answered:
                    break
        if newest is not None:
            newest.answered = True
        return newest

    def tell(self, event: SimEvent) -> None:
        for listener in tuple(self.listeners):
            listener(event)
