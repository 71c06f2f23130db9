"""Small stand-ins for the ports, for tests of rules: no sockets, no disk, no clock.

``tests/contract`` runs one suite over these and the real adapters, so that they cannot drift.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from dataclasses import dataclass, field

from dod.errors import ContentTooLong, FileGone, FileNotTaken
from dod.messages import (
    Abilities,
    AnswerEvent,
    Attachment,
    CardStyle,
    Message,
    Parameters,
    Press,
    PressReply,
    Question,
    Rating,
)
from dod.ports import App, Card, Channel, Connection, Download, Json, MediaKind, StateChange, Store


class MemoryStore:
    """A dict behind the ``Store`` port. Values are copied on the way in and out, as JSON."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[str, float]] = {}

    async def get(self, key: str) -> Json | None:
        text, until = self._rows.get(key, ("null", 0.0))
        value: Json = json.loads(text)
        return value if until > time.time() else None

    async def put(self, key: str, value: Json, *, expire: float | None = None) -> None:
        until = float("inf") if expire is None else time.time() + expire
        self._rows[key] = (json.dumps(value), until)

    async def add(self, key: str, value: Json, *, expire: float | None = None) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, value, expire=expire)
        return True

    async def delete(self, key: str) -> None:
        self._rows.pop(key, None)

    async def items(self, prefix: str) -> list[tuple[str, Json]]:
        found = [(key, await self.get(key)) for key in self._rows if key.startswith(prefix)]
        return [(key, value) for key, value in found if value is not None]


class Faults:
    """Errors to raise: ``on("update", 2, error)`` makes the second update fail, once."""

    def __init__(self) -> None:
        self._planned: dict[tuple[str, int], Exception] = {}
        self.counts: dict[str, int] = {}

    def on(self, kind: str, nth: int, error: Exception) -> None:
        """``nth`` counts from 1; 0 makes every call of this ``kind`` fail."""
        self._planned[kind, nth] = error

    def strike(self, kind: str) -> None:
        """Count one call of ``kind`` and raise what was planned for it."""
        nth = self.counts[kind] = self.counts.get(kind, 0) + 1
        error = self._planned.get((kind, nth)) or self._planned.get((kind, 0))
        if error is not None:
            raise error


@dataclass
class FakeCard:
    """Records every frame that got through as ``(kind, text)``. Kinds are the port's methods."""

    id: str
    style: CardStyle
    faults: Faults
    frames: list[tuple[str, str]] = field(default_factory=list)
    guids: list[str] = field(default_factory=list)  # of finish and fail
    gate: asyncio.Event | None = None  # while set and not open, every call waits here
    queue: asyncio.Event | None = None  # likewise, before an update asks for its text
    takes: int = 0  # bytes of a text; 0: any
    withdrawn: str = ""  # what it shows instead since its end

    async def open(self) -> None:
        if ("open", "") not in self.frames:
            await self._take("open", "")

    async def update(self, latest: Callable[[], str], *, first: bool = False) -> None:
        del first
        if self.queue is not None:
            await self.queue.wait()
        await self._take("update", latest())

    async def finish(self, text: str, guid: str) -> None:
        await self._take("finish", text)
        self.guids.append(guid)

    async def fail(self, text: str, guid: str) -> None:
        await self._take("fail", text)
        self.guids.append(guid)

    async def withdraw(self, text: str) -> None:
        await asyncio.sleep(0)
        assert self.ended, "withdrawn before its end"
        self.faults.strike("withdraw")
        self.withdrawn = text

    async def _take(self, kind: str, text: str) -> None:
        if kind != "open":
            assert text, f"{kind} without text: the real one refuses it"
            assert not self.ended or self.frames[-1] == (kind, text), f"{kind} after the end"
        await asyncio.sleep(0)  # a real call always suspends
        if self.gate is not None:
            await self.gate.wait()
        self.faults.strike(kind)
        if 0 < self.takes < len(text.encode()):
            raise ContentTooLong
        self.frames.append((kind, text))

    @property
    def ended(self) -> bool:
        return bool(self.frames) and self.frames[-1][0] in {"finish", "fail"}

    @property
    def shown(self) -> str:
        """What a person sees on it."""
        return self.frames[-1][1] if self.frames else ""


class FakeChannel:
    """Makes FakeCards, records replies; ``say`` is DingTalk pushing a message.

    ``faults`` holds for all its cards, ``reply`` and ``tell``. A card asked for again is the same
    object in the same state, as it is at DingTalk.
    """

    def __init__(self, *, now: float = 1_790_000_000.0) -> None:
        self.clock = now
        self.faults = Faults()
        self.cards: dict[str, FakeCard] = {}
        self.replies: list[tuple[str, str]] = []  # (message id, text)
        self.mentioned: list[str] = []
        self.foreign: list[str] = []  # message ids, where another app got the message
        self.other_ways: list[bool] = []  # of each try to reply
        self.brought: dict[str, bytes] = {}  # what people send, by code
        self.downloads: list[str] = []
        self.tells_sizes = True
        self.takes = 0  # bytes of a card's text; 0: any
        self.uploads: list[tuple[str, bytes]] = []  # (name, content); the media id is its place
        self.files: list[tuple[str, str, bytes]] = []  # (message id, name, content)
        self.told: list[tuple[tuple[str, ...], str]] = []  # (staff ids, text)
        self.connections = 0
        self.left = asyncio.Event()
        self.hurried = False
        self.closed = False
        self._connected = asyncio.Event()
        self._on_message: Callable[[Message], Awaitable[None]] | None = None
        self._on_press: Callable[[Press], Awaitable[PressReply]] | None = None

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_press = on_press
        self.connections += 1
        on_state(StateChange("connecting"))
        on_state(StateChange("connected"))
        self._connected.set()
        await self.left.wait()
        on_state(StateChange("stopped"))

    async def say(self, message: Message) -> None:
        """Returns when the frame would be acknowledged."""
        await self._connected.wait()
        assert self._on_message is not None
        await self._on_message(message)

    async def press(self, press: Press) -> PressReply:
        """Returns what would be acknowledged."""
        await self._connected.wait()
        assert self._on_press is not None
        return await self._on_press(press)

    async def leave(self) -> None:
        self.left.set()

    def card(self, message: Message, style: CardStyle, n: int = 0) -> FakeCard:
        name = f"{message.id}/{n}"
        return self.cards.setdefault(name, FakeCard(name, style, self.faults, takes=self.takes))

    async def reply(
        self,
        message: Message,
        text: str,
        *,
        mention: bool = False,
        foreign: bool = False,
        other_way: bool = False,
    ) -> None:
        await asyncio.sleep(0)
        self.other_ways.append(other_way)
        self.faults.strike("reply")
        self.replies.append((message.id, text))
        if foreign:
            self.foreign.append(message.id)
        if mention:
            self.mentioned.append(message.sender.staff_id)

    async def upload(self, content: bytes, name: str, kind: MediaKind, *, corp_id: str = "") -> str:
        del kind, corp_id
        await asyncio.sleep(0)
        self.faults.strike("upload")
        self.uploads.append((name, content))
        return f"@{len(self.uploads) - 1}"

    async def send_file(self, message: Message, media_id: str, name: str) -> None:
        await asyncio.sleep(0)
        self.faults.strike("send_file")
        self.files.append((message.id, name, self.uploads[int(media_id[1:])][1]))

    async def send_picture(self, message: Message, media_id: str) -> None:
        await self.send_file(message, media_id, "")

    async def tell(self, staff_ids: Sequence[str], text: str, *, corp_id: str = "") -> None:
        del corp_id
        await asyncio.sleep(0)
        self.faults.strike("tell")
        self.told.append((tuple(staff_ids), text))

    def hurry(self) -> None:
        self.hurried = True

    @contextlib.asynccontextmanager
    async def download(
        self, attachment: Attachment, *, corp_id: str = ""
    ) -> AsyncIterator[Download]:
        del corp_id
        await asyncio.sleep(0)
        self.faults.strike("download")
        if attachment.code not in self.brought:
            raise FileGone("unknown code")
        content = self.brought[attachment.code]
        self.downloads.append(attachment.code)
        yield Download(len(content) if self.tells_sizes else -1, _pieces(content))

    def now(self) -> float:
        return self.clock

    @property
    def connection(self) -> Connection | None:
        return Connection(time.monotonic()) if self.connections and not self.closed else None

    async def aclose(self) -> None:
        self.left.set()
        self.closed = True


# One step of a script: an event to yield, an error to raise, seconds to pause, a gate to wait at.
Step = AnswerEvent | Exception | float | asyncio.Event


class ScriptedApp:
    """Answers the n-th question with the n-th script; the last script serves all later ones."""

    def __init__(self, *scripts: Iterable[Step], fingerprint: str = "app-1") -> None:
        self._scripts = [list(script) for script in scripts]
        self.fingerprint = fingerprint
        self.questions: list[Question] = []
        self.stops: list[tuple[str, str]] = []  # (task id, user)
        self.faults = Faults()
        self.ratings: list[tuple[str, Rating, str, str]] = []  # message id, rating, user, comment
        self.rating_gate: asyncio.Event | None = None  # while set and not open, a rating waits here
        self.can = Abilities()
        self.uploads: list[tuple[str, str, bytes, str]] = []  # name, media, content, user
        self.heard = "what was said"
        self.files: dict[str, bytes] = {}  # what stands at an address
        self.fetched: list[str] = []
        self.fetch_gate: asyncio.Event | None = None  # while not open, every fetch waits here
        self.waiting_fetches = 0
        self.about = Parameters()
        self.suggestions: tuple[str, ...] = ()
        self.suggested_for: list[tuple[str, str]] = []  # (message id, user)
        self.hung_up = 0
        self.closed = False

    async def ask(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        script = self._scripts[min(len(self.questions), len(self._scripts) - 1)]
        self.questions.append(question)
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                elif isinstance(step, int | float):
                    await asyncio.sleep(step)
                else:
                    await asyncio.sleep(0)
                    yield step
        except (GeneratorExit, asyncio.CancelledError):
            self.hung_up += 1
            raise

    async def stop(self, task_id: str, user: str) -> None:
        self.stops.append((task_id, user))

    async def rate(self, message_id: str, rating: Rating, user: str, comment: str = "") -> None:
        await asyncio.sleep(0)
        if self.rating_gate is not None:
            await self.rating_gate.wait()
        self.faults.strike("rate")
        self.ratings.append((message_id, rating, user, comment))

    async def abilities(self) -> Abilities:
        await asyncio.sleep(0)
        self.faults.strike("abilities")
        return self.can

    async def upload(self, name: str, media: str, file: Download, user: str) -> str:
        content = b"".join([chunk async for chunk in file.chunks])
        self.faults.strike("upload")
        self.uploads.append((name, media, content, user))
        return f"upload-{len(self.uploads)}"

    def must_fetch(self, address: str) -> bool:
        return not address.startswith("https://public")

    @contextlib.asynccontextmanager
    async def fetch(self, address: str) -> AsyncIterator[Download]:
        await asyncio.sleep(0)
        self.faults.strike("fetch")
        if self.fetch_gate is not None:
            self.waiting_fetches += 1
            await self.fetch_gate.wait()
        if address not in self.files:
            raise FileNotTaken("unknown address", key="picture_gone")
        self.fetched.append(address)
        yield Download(-1, _pieces(self.files[address]))

    async def transcribe(self, name: str, media: str, file: Download, user: str) -> str:
        await self.upload(name, media, file, user)
        return self.heard

    async def parameters(self) -> Parameters:
        await asyncio.sleep(0)
        return self.about

    async def suggested(self, message_id: str, user: str) -> tuple[str, ...]:
        await asyncio.sleep(0)
        self.suggested_for.append((message_id, user))
        return self.suggestions

    async def aclose(self) -> None:
        self.closed = True


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 7):
        await asyncio.sleep(0)
        yield content[start : start + 7]


_store: type[Store] = MemoryStore
_card: type[Card] = FakeCard
_channel: type[Channel] = FakeChannel
_app: type[App] = ScriptedApp
