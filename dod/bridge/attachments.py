"""What a person sent beside text, on its way to the app: chosen, fetched, handed over.

What an app does not take is said, never dropped: the sentences go before the answer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from dod.bridge import filetypes
from dod.bridge.serving import Serving
from dod.errors import DingTalkError, DodError, FileNotTaken
from dod.messages import Abilities, Attachment, FileField, FileKind, FileRule, Message, UploadedFile
from dod.ports import Download
from dod.texts import Tongue, kind_of, say

log = logging.getLogger(__name__)

_NO_RULE = FileRule(frozenset())


@dataclass(slots=True)
class Prepared:
    """``notes``: what could not be taken, a sentence each."""

    text: str
    files: tuple[UploadedFile, ...] = ()
    fields: dict[str, UploadedFile | tuple[UploadedFile, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def hopeless(self) -> bool:
        """Nothing is left to ask."""
        return not (self.text.strip() or self.files or self.fields)


@dataclass(frozen=True, slots=True)
class Choice:
    """Where one attachment goes. ``kind`` None: to the app's ears, as speech."""

    attachment: Attachment
    kind: FileKind | None
    field: FileField | None = None


def choose(
    message: Message, abilities: Abilities, tongue: Tongue
) -> tuple[tuple[Choice, ...], list[str]]:
    """Which attachments the app takes and how, and a sentence for each kind that it does not."""
    choices: list[Choice] = []
    notes: dict[str, None] = {}
    left = {it.variable: it.rule.most for it in abilities.fields}
    beside = abilities.files.most if abilities.files else 0
    for attachment in _wanted(message):
        fitting = [it for it in abilities.fields if filetypes.taken_as(attachment, it.rule)]
        room = next((it for it in fitting if left[it.variable]), None)
        kind = filetypes.taken_as(attachment, abilities.files or _NO_RULE)
        if room is not None:
            left[room.variable] -= 1
            choices.append(Choice(attachment, filetypes.taken_as(attachment, room.rule), room))
        elif kind is not None and beside:
            beside -= 1
            choices.append(Choice(attachment, kind))
        elif attachment.kind == "audio" and abilities.hears:
            choices.append(Choice(attachment, None))
        elif kind is not None or fitting:
            notes[say("too_many_files", tongue, most=len(choices))] = None
        else:
            notes[_not_taken(attachment, tongue)] = None
    return tuple(choices), list(notes)


def _wanted(message: Message) -> tuple[Attachment, ...]:
    """A voice that DingTalk has put into words is text already."""
    spoken = bool(message.text.strip() or message.quote.strip())
    return tuple(it for it in message.attachments if not (it.kind == "audio" and spoken))


class Intake:
    """Prepares the messages of one bot. Thread: the bot's loop."""

    def __init__(self, at_once: int = 4) -> None:
        self._slots = asyncio.Semaphore(at_once)  # files under way, for all people together

    async def takes(self, message: Message, serving: Serving, tongue: Tongue) -> str:
        """Nothing if the app takes some of what ``message`` brings, else the sentence that says no.

        Only for messages without text. Raises DifyError.
        """
        choices, notes = choose(message, await serving.app.abilities(), tongue)
        return "" if choices else "\n".join(notes)

    async def prepare(
        self, message: Message, text: str, serving: Serving, user: str, tongue: Tongue
    ) -> Prepared:
        """Hand all that the app takes to Dify. Raises DifyError where that concerns every file."""
        choices, notes = choose(message, await serving.app.abilities(), tongue)
        prepared = Prepared(text, notes=notes)
        outcomes = await asyncio.gather(
            *(self._hand_over(it, message, serving, user) for it in choices), return_exceptions=True
        )
        for choice, outcome in zip(choices, outcomes, strict=True):
            if isinstance(outcome, FileNotTaken | DingTalkError):
                log.warning("bot=%s a file was not taken: %s", serving.spec.name, outcome)
                prepared.notes.append(_refusal(choice.attachment, outcome, tongue))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                _place(prepared, choice, outcome, tongue)
        if not prepared.text.strip() and (prepared.files or prepared.fields):
            prepared.text = say("look_at_this", tongue)
        return prepared

    async def _hand_over(
        self, choice: Choice, message: Message, serving: Serving, user: str
    ) -> str:
        """The upload_file_id, or what was said. Raises DodError."""
        attachment, app = choice.attachment, serving.app
        limit = 0
        if choice.kind is not None:
            limit = (await app.abilities()).sizes.get(choice.kind, 0)
        async with (
            self._slots,
            serving.channel.download(attachment, corp_id=message.corp_id) as file,
        ):
            head, whole = await _peek(file)
            if not head:
                raise FileNotTaken("0 bytes", key="file_empty")
            if attachment.kind == "picture" and not filetypes.is_picture(head):
                raise FileNotTaken("no picture by its first bytes", key="file_no_picture")
            if limit and file.size > limit:
                raise _too_large(limit)
            bounded = Download(file.size, _bounded(whole, limit))
            name, media = filetypes.named(attachment, head)
            if choice.kind is None:
                return await app.transcribe(name, media, bounded, user)
            return await app.upload(name, media, bounded, user)


def _place(prepared: Prepared, choice: Choice, outcome: str, tongue: Tongue) -> None:
    if choice.kind is None and not outcome:
        prepared.notes.append(say("file_not_heard", tongue))
        return
    if choice.kind is None:
        prepared.text = "\n".join(it for it in (prepared.text, outcome) if it)
        return
    uploaded = UploadedFile(choice.kind, outcome)
    if choice.field is None:
        prepared.files += (uploaded,)
    elif choice.field.many:
        held = prepared.fields.get(choice.field.variable, ())
        assert isinstance(held, tuple)  # noqa: S101  # one field is always a list, or never
        prepared.fields[choice.field.variable] = (*held, uploaded)
    else:
        prepared.fields[choice.field.variable] = uploaded


async def _peek(file: Download) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes of ``file``, and all of its bytes."""
    head = b""
    chunks: list[bytes] = []
    async for chunk in file.chunks:
        chunks.append(chunk)
        head += chunk
        if len(head) >= filetypes.HEAD:
            break

    async def whole() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        async for chunk in file.chunks:
            yield chunk

    return head[: filetypes.HEAD], whole()


async def _bounded(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """No more than ``limit`` bytes (0: any number), whatever size was told before."""
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if limit and total > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> FileNotTaken:
    return FileNotTaken(f"more than {limit} bytes", key="file_too_large", code=str(limit >> 20))


def _not_taken(attachment: Attachment, tongue: Tongue) -> str:
    if attachment.kind == "file" and (ext := filetypes.extension(attachment.name)):
        return say("extension_not_taken", tongue, extension=ext[:12])
    return say("kind_not_taken", tongue, kind=kind_of(attachment.kind, tongue))


def _refusal(attachment: Attachment, error: DodError, tongue: Tongue) -> str:
    what = attachment.name or kind_of(attachment.kind, tongue)
    key = error.key if isinstance(error, FileNotTaken) or error.key == "file_gone" else "file_lost"
    return say(key, tongue, what=what[:60], limit=error.code)
