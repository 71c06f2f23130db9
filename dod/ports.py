"""The three ports of the bridge, and its store: the contracts that edges and fakes both keep.

``tests/contract`` runs one suite over the real adapters (against the simulators) and the fakes.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

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

MediaKind = Literal["image", "voice", "video", "file"]
ChannelState = Literal["connecting", "connected", "retrying", "bad_credentials", "stopped"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StateChange:
    """``error`` is one sentence for the log and the status page, in English, without secrets."""

    state: ChannelState
    error: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way. ``size``: bytes, -1 if not told. ``chunks`` raises DingTalkError."""

    size: int
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Connection:
    """The newest websocket, in monotonic seconds. 0.0: nothing, or no message, has come by it."""

    opened_at: float
    heard_at: float = 0.0
    message_at: float = 0.0


class Card(Protocol):
    """One AI card: ``open``, then ``update*``, then ``finish`` or ``fail``.

    All texts are the whole Markdown to show, never a delta, never empty. One call at a time.
    Every method raises ``DingTalkError`` and nothing else, and may be repeated after an error.
    """

    @property
    def id(self) -> str:
        """DingTalk's outTrackId: derived from the message, so that creation can be repeated."""

    async def open(self) -> None:
        """Create and deliver in one call. Returns at once if this object has opened it before."""

    async def update(self, latest: Callable[[], str], *, first: bool = False) -> None:
        """Show the newest text; the card goes on typing. ``first`` goes before later updates.

        ``latest`` is called when the call is about to be sent, after any wait for the rate limit;
        cancelling before that leaves nothing behind.
        """

    async def finish(self, text: str, guid: str) -> None:
        """Show ``text`` as complete. Idempotent for one ``guid``. Raises CardGone."""

    async def fail(self, text: str, guid: str) -> None:
        """As ``finish``, but the card shows its failed state."""

    async def withdraw(self, text: str) -> None:
        """Show ``text``, some words, instead of what an ended card shows. Idempotent."""


class Channel(Protocol):
    """The DingTalk side of one bot. Lifecycle: ``run`` (in a task) → ``leave`` → ``aclose``.

    Thread: the bot's loop only. Everything but ``run`` works with or without a connection, until
    ``aclose``.
    """

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        """Stay connected until ``leave``; return then. Never raises for a neighbour's failure.

        A frame is acknowledged on its own socket when ``on_message`` returns, which it must do
        within a second, and in any case after a second. ``on_press`` is cancelled after 1.5 s:
        a button waits for two (dingtalk-protocol §3.1).
        """

    async def leave(self) -> None:
        """Stop receiving: hand over what has been received, close the socket. Idempotent."""

    def card(self, message: Message, style: CardStyle, n: int = 0) -> Card:
        """The ``n``-th card of the answer to ``message``. No I/O."""

    async def reply(
        self,
        message: Message,
        text: str,
        *,
        mention: bool = False,
        foreign: bool = False,
        other_way: bool = False,
    ) -> None:
        """Send one Markdown message: by the session webhook, or, expired, by the robot API.

        ``mention``: name the asker with an @, where the medium can (a group's webhook).
        ``foreign``: another app got the message, so that this one's robot would speak elsewhere:
        by its webhook alone. ``other_way``: by the robot API, where it can, else by the webhook.
        Raises DingTalkError. Not idempotent: never repeat it after an unknown outcome.
        """

    async def upload(self, content: bytes, name: str, kind: MediaKind, *, corp_id: str = "") -> str:
        """Give DingTalk a file; returns its mediaId, which Markdown takes for a picture's address.

        Raises DingTalkError; FileRefused if type or size are not what DingTalk takes. Idempotent.
        """

    async def send_file(self, message: Message, media_id: str, name: str) -> None:
        """Send an uploaded file where ``message`` came from, by the robot API.

        Raises DingTalkError: Undeliverable to someone without a staffId, FileRefused for a type
        that cannot be sent. Not idempotent, as ``reply``.
        """

    async def send_picture(self, message: Message, media_id: str) -> None:
        """As ``send_file``, but shown; ``media_id`` may be an address, too."""

    async def tell(self, staff_ids: Sequence[str], text: str, *, corp_id: str = "") -> None:
        """Send one Markdown message to people of the organisation, unasked, by the robot API.

        ``corp_id`` pays for it. Raises DingTalkError; Undeliverable if nobody could be reached.
        Not idempotent, as ``reply``.
        """

    def download(
        self, attachment: Attachment, *, corp_id: str = ""
    ) -> AbstractAsyncContextManager[Download]:
        """Open what a person sent. Raises DingTalkError; ``FileGone`` if it is not there any more.

        One call, which ``corp_id`` pays for; the bytes themselves cost none.
        """

    def hurry(self) -> None:
        """Shutting down: no rate limit from now on, so that open cards can still be closed."""

    def now(self) -> float:
        """Epoch seconds by DingTalk's clock as last seen, else the local one."""

    @property
    def connections(self) -> int:
        """Websockets opened since this channel was made."""

    @property
    def connection(self) -> Connection | None:
        """The newest websocket, None while there is none. Thread: any."""

    async def aclose(self) -> None:
        """Close clients and sockets. Idempotent, safe before ``run``."""


class App(Protocol):
    """One Dify app. Thread: the bot's loop only."""

    def ask(self, question: Question) -> AsyncGenerator[AnswerEvent, None]:
        """Stream the answer: ``Started`` first (once known), text events, ``Finished`` last.

        ``Waiting`` may come before all of them, once for each time that the app is asked again.

        Raises DifyError; text that came before it stays valid. ``ConversationGone`` only before
        any text. Closing the generator hangs up, which is no stop (dify-api §3).
        """

    async def stop(self, task_id: str, user: str) -> None:
        """Ask Dify to end a running answer; its stream then ends by itself. Raises DifyError."""

    async def rate(self, message_id: str, rating: Rating, user: str, comment: str = "") -> None:
        """Tell Dify what ``user``, who asked, thinks of an answer. Idempotent. Raises DifyError."""

    async def abilities(self) -> Abilities:
        """What the app takes beside text; asked of Dify once in a while. Raises DifyError."""

    async def upload(self, name: str, media: str, file: Download, user: str) -> str:
        """Give Dify a file of the MIME type ``media``; its upload_file_id. Raises DifyError.

        What ``file.chunks`` raises comes through.
        """

    async def transcribe(self, name: str, media: str, file: Download, user: str) -> str:
        """The text of a voice message, by the app's own speech-to-text. As ``upload``."""

    def must_fetch(self, address: str) -> bool:
        """Whether people cannot load ``address`` (of an answer) by themselves, or not for long."""

    def fetch(self, address: str) -> AbstractAsyncContextManager[Download]:
        """Open a file that an answer names. Raises FileNotTaken, also for a forbidden address."""

    async def parameters(self) -> Parameters:
        """What the app says of itself, as of the last few minutes. Raises DifyError."""

    async def suggested(self, message_id: str, user: str) -> tuple[str, ...]:
        """Questions that may come after this answer; a model writes them, in seconds.

        Raises DifyError.
        """

    @property
    def fingerprint(self) -> str:
        """Names URL and key: a conversation of another fingerprint is unknown to this app."""

    async def aclose(self) -> None:
        """Close the client. Idempotent."""


class Store(Protocol):
    """Text keys, JSON objects. One writer thread behind it, so calls keep their order.

    Methods never raise for a full or broken disk: values are then kept in memory, said aloud, and
    written back later. ``expire``: seconds from now; None keeps the value for ever.
    """

    async def get(self, key: str) -> Json | None: ...

    async def put(self, key: str, value: Json, *, expire: float | None = None) -> None: ...

    async def add(self, key: str, value: Json, *, expire: float | None = None) -> bool:
        """Put only if absent, atomically; False if the key was there."""

    async def delete(self, key: str) -> None: ...

    async def items(self, prefix: str) -> list[tuple[str, Json]]:
        """All unexpired entries whose key starts with ``prefix``, in no order."""
