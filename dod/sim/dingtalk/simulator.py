"""A DingTalk of one's own: gateway, websockets, OpenAPI and old API on one local port.

Strict where the real one is known to be (facts: dingtalk-protocol), switchable where nobody knows
(``Switches``), breakable at any time (``Faults``). People speak through ``say``; what a bot did is
in ``cards``, ``replies`` and ``shown``. Nothing takes time unless a fault or a switch says so.

Longer than a module should be: it is the one face of all its siblings, which tests and the demo
use.
"""

import ssl
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar, Unpack

from dod.sim.dingtalk import presses
from dod.sim.dingtalk.cards import Cards
from dod.sim.dingtalk.connection import SimConnection
from dod.sim.dingtalk.faults import Api, Faults, Json, Switches
from dod.sim.dingtalk.files import Files
from dod.sim.dingtalk.gate import Gate
from dod.sim.dingtalk.http import Http
from dod.sim.dingtalk.listener import Listener
from dod.sim.dingtalk.robot import Robot
from dod.sim.dingtalk.saying import How, Saying
from dod.sim.dingtalk.stream import Stream
from dod.sim.dingtalk.templates import SimTemplate
from dod.sim.dingtalk.waiting import Waiting
from dod.sim.dingtalk.world import (
    SimApp,
    SimCard,
    SimChat,
    SimEvent,
    SimMessage,
    SimPerson,
    SimPress,
    SimReply,
    World,
)

T = TypeVar("T")


class SimDingTalk:
    """Lifecycle: make → add apps, people, chats at any time → ``start`` → ``close`` (idempotent).

    Thread: one event loop. Reads are safe from other threads; coroutines run on the loop.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        qps: int = 0,
        month_quota: int = 0,
        switches: Switches | None = None,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``qps``: calls a second of one app to one API; ``month_quota``: of one corp; 0 = off.

        ``tls``: a server's context; then everything is https and wss.
        """
        self.switches = switches or Switches()
        self.faults = Faults()
        self.world = World()
        self.gate = Gate(self.world, self.switches, self.faults, qps)
        self.gate.month_quota = month_quota
        self.stream = Stream(self.world, self.switches, self.faults)
        self._files = Files(self.world, self.switches)
        self._robot = Robot(self.world, self._files, self.switches, self.faults)
        self._saying = Saying(self.world, self._robot, self._files, self.switches, self.faults)
        cards = Cards(self.world, self.switches, self.faults)
        self._http = Http(
            self.gate, self.stream, cards, self._robot, self._files, switches=self.switches
        )
        self._listener = Listener(self._http.serve, host, port, tls)
        self.url = ""
        self._waiting = Waiting(self.world, self._summary)

    # ------------------------------------------------------------------ life

    async def start(self) -> "SimDingTalk":
        """Listen. ``url`` is then both the OpenAPI's and the old API's endpoint."""
        self.url = await self._listener.start()
        self.stream.url = self._robot.url = self._files.url = self.url
        return self

    async def close(self) -> None:
        """End every connection and task; unanswered calls are answered 503."""
        if not self._listener.open:
            return
        self._http.closing.set()
        self._listener.leave()
        await self.stream.close()
        await self._listener.close()

    # ------------------------------------------------------------------ the world

    @property
    def apps(self) -> dict[str, SimApp]:
        return self.world.apps

    @property
    def cards(self) -> dict[str, SimCard]:
        """By outTrackId, in the order of creation."""
        return self.world.cards

    @property
    def replies(self) -> list[SimReply]:
        return self.world.replies

    @property
    def media(self) -> dict[str, bytes]:
        """What was uploaded, by media_id."""
        return self._files.media

    @property
    def calls(self) -> Counter[tuple[str, Api]]:
        """(client id, API) → calls done. "" where the app is unknown."""
        return self.gate.calls

    @property
    def refused(self) -> Counter[tuple[str, Api, str]]:
        """(client id, API, code) → calls refused, spoilt ones (code: the mishap) among them."""
        return self.gate.refused

    @property
    def issued(self) -> set[str]:
        """Every token and ticket ever given out."""
        return self.gate.issued | self.stream.issued

    @property
    def webhook_sessions(self) -> set[str]:
        """What is secret in every session webhook ever given out."""
        return set(self._robot.sessions)

    @property
    def http_connections(self) -> int:
        """TCP connections accepted, websockets included."""
        return self._listener.accepted

    @property
    def connections_opened(self) -> Counter[str]:
        """Client id → websockets accepted."""
        return self.stream.opened

    @property
    def complaints(self) -> list[str]:
        """What clients did wrong on a websocket; DingTalk itself would stay silent."""
        return self.stream.complaints

    def add_app(
        self, client_id: str, client_secret: str, *, corp_id: str = "dingcorp1", name: str = "bot"
    ) -> SimApp:
        return self.world.add_app(client_id, client_secret, corp_id, name)

    def add_template(
        self,
        template_id: str,
        key: str = "content",
        *,
        markdown: bool = True,
        published: bool = True,
    ) -> SimTemplate:
        """An organisation's own AI template; ``key`` is its streaming variable."""
        template = SimTemplate(template_id, key, markdown=markdown, published=published)
        self.world.templates[template_id] = template
        return template

    def person(self, nick: str, staff_id: str | None = None) -> SimPerson:
        """Somebody new; nicknames may repeat. None: outside the organisation."""
        return self.world.add_person(nick, staff_id)

    def single(self, client_id: str, person: SimPerson) -> SimChat:
        """The one 1:1 chat of a bot and a person."""
        return self.world.single(self.apps[client_id], person)

    def group(self, title: str, people: Iterable[SimPerson]) -> SimChat:
        """A new group; every app's bot may be spoken to in it."""
        return self.world.group(title, people)

    def shown(self, chat: SimChat) -> list[SimMessage | SimCard | SimReply]:
        """All that a person sees in a chat, in order."""
        return list(chat.shown)

    # ------------------------------------------------------------------ people act

    async def say(
        self, client_id: str, chat: SimChat, person: SimPerson, text: str, **how: Unpack[How]
    ) -> SimMessage:
        """Say ``text`` to a bot; in a group this is an @.

        Of files ``text`` is the name, of audio what DingTalk recognised. ``how``: see ``How``.
        Raises ValueError for what cannot happen.
        """
        message = self._saying.message(self.apps[client_id], chat, person, text, how)
        self.world.tell(SimEvent("message", message))
        await self.stream.push(message)
        return message

    async def press(
        self, card: SimCard, person: SimPerson, action: str, params: Json | None = None
    ) -> SimPress:
        """Press a button of a delivered card (dingtalk-protocol §3.1).

        Raises ValueError for what cannot happen.
        """
        body = presses.body_of(
            card, person, action, params or {}, value=self.switches.callback_value
        )
        press = SimPress(card, person, uuid.uuid4().hex)
        await self.stream.push_press(press, body)
        return press

    def add_file(self, client_id: str, name: str, content: bytes) -> str:
        """A file for a message's ``raw`` content; returns its downloadCode."""
        return self._files.add(self.apps[client_id], name, content)

    # ------------------------------------------------------------------ trouble

    def connections(self, client_id: str) -> list[SimConnection]:
        """Websockets that DingTalk holds to be open, half-open ones included."""
        return list(self.stream.live.get(client_id, ()))

    def live_connections(self, client_id: str) -> int:
        """Open websockets that really work."""
        links = self.connections(client_id)
        return sum(not (one.half_open or one.deaf or one.closed) for one in links)

    async def push_again(self, message: SimMessage) -> None:
        """Redeliver now, on any connection."""
        await self.stream.push(message)

    async def cut(self, client_id: str) -> None:
        """Abort the TCP connections of the app's websockets (RST, no close frame)."""
        for connection in self.connections(client_id):
            connection.transport.abort()

    async def half_open(self, client_id: str) -> None:
        """Stop reading, writing and ponging on the app's websockets; no FIN is sent."""
        for connection in self.connections(client_id):
            connection.half_open = True
            connection.transport.pause_reading()

    async def half_close(self, client_id: str, code: int = 1012) -> None:
        """Say that the app's websockets are closed, and leave their TCP connections as they are."""
        for connection in self.connections(client_id):
            connection.half_open = True
            connection.transport.pause_reading()
            connection.transport.write(b"\x88\x02" + code.to_bytes(2, "big"))

    async def deafen(self, client_id: str) -> None:
        """Push nothing more on the app's websockets, which go on answering pings (§2.2)."""
        for connection in self.connections(client_id):
            connection.deaf = True

    async def disconnect(self, client_id: str) -> None:
        """Send ``disconnect`` frames: nothing is pushed on these websockets any more."""
        for connection in self.connections(client_id):
            await self.stream.disconnect(connection)

    async def ping(self, client_id: str) -> None:
        """Send a system ping with an opaque of its own; answers count in ``connection.pongs``."""
        for connection in self.connections(client_id):
            await connection.system("ping", {"opaque": uuid.uuid4().hex})

    async def system(self, client_id: str, topic: str, body: Json | None = None) -> None:
        """Send a SYSTEM frame, e.g. ``KEEPALIVE`` or a topic that nobody knows."""
        for connection in self.connections(client_id):
            await connection.system(topic, body or {})

    async def send_raw(self, client_id: str, text: str) -> None:
        """Send any text as a frame: garbage, unknown types. Answers to it are complained of."""
        for connection in self.connections(client_id):
            await connection.send(text)

    def vanish(self, card: SimCard) -> None:
        """DingTalk does not know this card any more, and nobody sees it."""
        self.world.cards.pop(card.id, None)
        card.vanished_at = time.monotonic()
        if card.chat is not None:
            card.chat.shown.remove(card)

    def expire_tokens(self, client_id: str) -> None:
        """Every token of the app is InvalidAuthentication from now on."""
        self.gate.expire_tokens(self.apps[client_id])

    # ------------------------------------------------------------------ watching

    def subscribe(self, callback: Callable[[SimEvent], None]) -> Callable[[], None]:
        """Be told of every change, on the loop; must not block. Returns what unsubscribes."""
        self.world.listeners.append(callback)
        return lambda: self.world.listeners.remove(callback)

    async def wait(self, predicate: Callable[[], T | None], timeout: float = 5.0) -> T:  # noqa: ASYNC109
        """Wait until ``predicate`` is true, looked at after every change; returns its value.

        Raises TimeoutError with what is there instead.
        """
        return await self._waiting.until(predicate, timeout)

    def _summary(self) -> str:
        cards = [(card.state, card.text[-40:]) for card in self.cards.values()]
        replies = [reply.text[-40:] for reply in self.replies]
        return (
            f"not within the time; calls={dict(self.calls)} refused={dict(self.refused)} "
            f"opened={dict(self.connections_opened)} cards={cards[-5:]} replies={replies[-5:]}"
        )
