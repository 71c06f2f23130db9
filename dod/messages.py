"""The words of the bridge: what a person said, where, and what Dify streams back.

Frozen and free of I/O, so that they may cross threads and be written to the store.
"""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

ChatKind = Literal["single", "group"]
AttachmentKind = Literal["picture", "audio", "video", "file"]  # DingTalk's word
FileKind = Literal["image", "document", "audio", "video", "custom"]  # Dify's word
Rating = Literal["like", "dislike"]  # Dify's word


@dataclass(frozen=True, slots=True)
class Chat:
    """A place in DingTalk. ``id`` is its ``conversationId``; ``title`` exists for groups only."""

    id: str
    kind: ChatKind
    title: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Who spoke. ``staff_id`` is empty outside the organisation (dingtalk-protocol §3)."""

    sender_id: str
    staff_id: str = ""
    nick: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """Stable and unique within one DingTalk app: staffId, else senderId. Never the nickname."""
        return self.staff_id or self.sender_id


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something that is no text. ``code`` fetches it, for this robot only (dingtalk-protocol §7).

    ``name`` is a file's, as its sender knows it; pictures and voices have none. ``quoted``: it
    belongs to what the message answers.
    """

    kind: AttachmentKind
    code: str = field(repr=False)
    name: str = field(default="", repr=False)
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What one person said to one bot.

    ``quote`` is the text of what it answers; ``quoted_card`` names the bot's own card instead, by
    the ids that DingTalk gives (processQueryKey, msgId). ``id`` is DingTalk's msgId (else the
    frame's messageId); unique per bot only. ``kind`` is its msgtype. Times are epoch seconds by
    *DingTalk's* clock: ``created_at`` when the person pressed send, ``received_at`` from the frame.
    ``error_code`` is 20001 when the organisation's Stream quota is used up and the message came
    without content.
    """

    id: str
    chat: Chat
    sender: Person
    text: str = field(repr=False)
    kind: str = "text"
    created_at: float = 0.0
    received_at: float = 0.0
    webhook: str = field(default="", repr=False)
    webhook_expires_at: float = 0.0
    corp_id: str = ""
    error_code: str = ""
    attachments: tuple[Attachment, ...] = ()
    quote: str = field(default="", repr=False)
    quoted_card: tuple[str, ...] = ()

    @property
    def age(self) -> float:
        """Seconds between the person's click and the push, by DingTalk's clock alone."""
        if not self.created_at or not self.received_at:
            return 0.0
        return max(0.0, self.received_at - self.created_at)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Message":
        fields = dict(value)
        fields["attachments"] = tuple(Attachment(**it) for it in fields.get("attachments", ()))
        fields["quoted_card"] = tuple(fields.get("quoted_card", ()))
        return cls(chat=Chat(**fields.pop("chat")), sender=Person(**fields.pop("sender")), **fields)


@dataclass(frozen=True, slots=True)
class Press:
    """A button of a card, pressed (docs/card-template.md).

    ``card_id``: its outTrackId. ``staff_id``: who; empty outside the organisation. ``action``:
    "" where the template has a button that means nothing to dod.
    """

    card_id: str
    staff_id: str
    action: Literal["stop", "like", "dislike", ""]
    corp_id: str = ""


@dataclass(frozen=True, slots=True)
class PressReply:
    """What becomes of the card that was pressed.

    ``stopped``: for everybody, there is nothing to stop any more. For the presser alone:
    ``notice``, a sentence, and ``rating``, what was taken.
    """

    notice: str = ""
    stopped: bool = False
    rating: Rating | None = None


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Whose memory: one bot (client id), one chat, and one person, or ``*`` for a shared group."""

    client_id: str
    chat_id: str
    person: str

    def __str__(self) -> str:
        return f"{self.client_id}/{self.chat_id}/{self.person}"


@dataclass(frozen=True, slots=True)
class CardStyle:
    """Which template a card is made from and which of its variables holds the text.

    ``public``: DingTalk's own AI card, which wants its flow status written by hand (design §5.4).
    """

    template_id: str
    content_key: str
    public: bool = False


@dataclass(frozen=True, slots=True)
class FileRule:
    """Which files an app takes. ``extensions``: for kind ``custom``, lower case, without a dot."""

    kinds: frozenset[FileKind]
    extensions: frozenset[str] = frozenset()
    most: int = 1


@dataclass(frozen=True, slots=True)
class FileField:
    """A variable of the app's form that holds a file, or with ``many`` a list of them."""

    variable: str
    rule: FileRule
    many: bool = False


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an app can do beside text, by its ``/parameters`` (dify-api §8).

    ``files``: beside the question; ``fields``: inside its inputs, in the order of the form.
    ``sizes``: bytes by kind. ``hears``: it turns speech into text.
    """

    files: FileRule | None = None
    fields: tuple[FileField, ...] = ()
    sizes: dict[FileKind, int] = field(default_factory=dict)
    hears: bool = False


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that Dify has received: ``id`` is its upload_file_id."""

    kind: FileKind
    id: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a Dify app is asked. ``user`` is stable, at most 255 characters (dify-api §1).

    ``files`` go beside the question, ``fields`` into its inputs; a tuple becomes a list.
    """

    text: str = field(repr=False)
    user: str
    inputs: dict[str, str] = field(default_factory=dict, repr=False)
    conversation_id: str = ""
    files: tuple[UploadedFile, ...] = ()
    fields: dict[str, UploadedFile | tuple[UploadedFile, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The app could not take the question and is asked again; ``seconds`` since the first time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """First data event: from here the turn can be stopped and the conversation is known.

    ``message_id`` names the answer for a rating; a workflow's has none.
    """

    task_id: str
    conversation_id: str
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class TextReplaced:
    """Everything shown so far is to be replaced by ``text`` (moderation withdrew it)."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The terminal event. ``outcome``: ``paused`` waits for a form that only Dify can show."""

    outcome: Literal["complete", "stopped", "paused"] = "complete"
    form: str = ""


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file that belongs to the answer. ``address`` as Dify gave it: relative, or signed.

    ``kind`` is Dify's word, or "" if it gave none; ``name`` may be empty.
    """

    address: str = field(repr=False)
    kind: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the app is doing: uses a tool, or has come to a node of its workflow."""

    kind: Literal["tool", "node"]
    name: str
    name_zh: str = ""


@dataclass(frozen=True, slots=True)
class Cited:
    """Where the answer comes from: names of documents, each once, in Dify's order."""

    sources: tuple[str, ...]


AnswerEvent = (
    Waiting | AnswerFile | Started | TextDelta | TextReplaced | Progress | Cited | Finished
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an app says of itself (dify-api §8).

    ``opening``: its opening statement; ``openers``: questions to begin with; ``suggests``: it has
    questions that may come next, after each answer.
    """

    opening: str = ""
    openers: tuple[str, ...] = ()
    suggests: bool = False


def sound(text: str) -> str:
    """``text`` with halves of surrogate pairs joined, or replaced where they stay alone.

    Both neighbours can send half an emoji (dify-api §2); no UTF-8 can carry it on.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def digest(*parts: str) -> str:
    """32 hex digits that name ``parts``: card ids, guids and app fingerprints are made of it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
