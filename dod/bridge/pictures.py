"""Pictures and files in an answer: fetched while they can be, given to DingTalk, shown or sent.

A link of Dify's lives for minutes and often leads into the office's own network, so no person is
ever given one. What cannot be had leaves a line with its name. Thread: the bot's loop.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from dod.bridge import filetypes, links
from dod.bridge.markdown import joined
from dod.bridge.serving import Serving
from dod.errors import DingTalkError, DodError, FileNotTaken
from dod.messages import AnswerFile, Message
from dod.ports import MediaKind
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

MOST = 20  # pictures and files of one answer: each costs a call
LARGEST = 20 << 20  # bytes, of DingTalk's uploads (dingtalk-protocol §7)
PATIENCE = 30.0  # seconds for all of them together, after Dify's last word
_SHOWN = frozenset({"jpg", "jpeg", "png", "gif", "bmp"})
_SENT = frozenset({"doc", "docx", "xls", "xlsx", "ppt", "pptx", "zip", "pdf", "rar"})

AT_ONCE = 3  # of one answer: each stands in memory while it is handed over
_SIGNING = frozenset({"sign", "timestamp", "nonce", "signature", "expires"})
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.)")


@dataclass(eq=False, slots=True)
class _One:
    """A picture or file on its way. ``media`` once DingTalk has it; ``why`` if it never will."""

    address: str
    name: str
    task: asyncio.Task[None] | None = None
    media: str = ""
    why: str = ""
    sent: bool = False  # it is no picture: a message of its own


class Pictures:
    """All of one answer. ``changed`` is called when there is more to show than before."""

    def __init__(
        self,
        serving: Serving,
        message: Message,
        tongue: Tongue,
        changed: Callable[[], None],
    ) -> None:
        self._serving = serving
        self._message = message
        self._tongue = tongue
        self._changed = changed
        self._known: dict[str, _One] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._attached: list[_One] = []
        self._in_text: list[_One] = []

    def attach(self, file: AnswerFile) -> None:
        """A file that Dify names beside the text."""
        one = self._see(file.address, file.name)
        if one not in self._attached:
            self._attached.append(one)

    def shown(self, text: str, *, complete: bool) -> str:
        """``text`` with the pictures that are there by now; what is under way is left out."""
        self._in_text.clear()
        text = links.replaced(text, self._replace)
        text = self._without_stray(text)
        if not complete:
            return text[: links.unfinished(text)]
        own = (self._line(one) for one in self._attached if one not in self._in_text)
        return joined(text, *own) if self._attached else text

    async def settle(self) -> None:
        """Wait for what is under way, at most ``PATIENCE``."""
        tasks = {one.task for one in self._known.values() if one.task and not one.task.done()}
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
        self.close()

    async def send_files(self) -> None:
        """What cannot be shown in a text, as messages below the answer. Each is tried once."""
        for one in self._known.values():
            if not (one.sent and one.media):
                continue
            try:
                await self._serving.channel.send_file(self._message, one.media, one.name)
            except DingTalkError as error:
                log.warning("bot=%s a file was not sent: %s", self._serving.spec.name, error)

    def close(self) -> None:
        """What is not there by now will not be; nobody is told of a change any more."""
        self._changed = _nobody
        for one in self._known.values():
            if one.task is not None and not one.task.done():
                one.task.cancel()
                one.why = "picture_gone"

    def _see(self, address: str, name: str) -> _One:
        key = _unsigned(address)
        if key in self._known:
            return self._known[key]
        one = self._known[key] = _One(address, _name_of(address, name))
        if len(self._known) > MOST:
            one.why = "picture_too_many"
        else:
            one.task = asyncio.create_task(self._bring(one), name=f"picture {self._message.id}")
        return one

    def _replace(self, link: links.Link) -> str | None:
        address = link.address
        # A link may lead into the office's own network; one to a file of Dify's leads nowhere.
        wanted = link.picture or "/files/" in address.partition("?")[0]
        if address[0] in "@#" or not wanted or not self._serving.app.must_fetch(address):
            return None
        one = self._see(address, "")
        self._in_text.append(one)
        return self._line(one, " ".join(link.alt.split())[:100])

    def _without_stray(self, text: str) -> str:
        """Signed addresses of files that stand in no link: of no use to a person in a minute."""
        if "sign=" not in text:
            return text
        hidden = f"（{say('address_hidden', self._tongue)}）"
        whole, position = "", 0
        for start, end in links.words_with(text, "/files/"):
            if "sign=" in text[start:end] and start >= position:
                whole += text[position:start] + hidden
                position = end
        return whole + text[position:]

    def _line(self, one: _One, alt: str = "") -> str:
        if one.why:
            return f"（{say(one.why, self._tongue, name=alt or one.name)}）"
        if not one.media:
            return ""
        if one.sent:
            return f"（{say('file_below', self._tongue, name=one.name)}）"
        return f"![{alt or one.name}]({one.media})"

    @property
    def under_way(self) -> bool:
        """Something may still get its place in the text."""
        return any(one.task and not (one.media or one.why) for one in self._known.values())

    @property
    def some(self) -> bool:
        """There is something beside the text."""
        return bool(self._attached)

    async def _bring(self, one: _One) -> None:
        channel, corp_id = self._serving.channel, self._message.corp_id
        try:
            async with self._room:
                content = await self._fetch(one.address)
                kind = _kind(content[: filetypes.HEAD], one)
                one.media = await channel.upload(content, one.name, kind, corp_id=corp_id)
            one.sent = kind != "image"
        except DodError as error:
            log.warning("bot=%s a picture was not had: %s", self._serving.spec.name, error)
            one.why = error.key if error.key.startswith("picture_") else "picture_gone"
        except Exception:  # a bug must cost the picture only
            log.exception("bot=%s a picture failed", self._serving.spec.name)
            one.why = "picture_gone"
        self._changed()

    async def _fetch(self, address: str) -> bytes:
        async with self._serving.app.fetch(address) as file:
            if file.size > LARGEST:
                raise FileNotTaken(f"{file.size} bytes", key="picture_too_large")
            content = bytearray()
            async for chunk in file.chunks:
                content += chunk
                if len(content) > LARGEST:
                    raise FileNotTaken(f"more than {LARGEST} bytes", key="picture_too_large")
        if not content:
            raise FileNotTaken("0 bytes", key="picture_empty")
        return bytes(content)


def _nobody() -> None:
    """In place of the turn: one that its pictures still knew would be left to the collector."""


def _kind(head: bytes, one: _One) -> MediaKind:
    """How DingTalk takes it; gives the name the ending that its bytes have."""
    ext = filetypes.extension_of(head) or filetypes.extension(one.name)
    if filetypes.extension(one.name) != ext and ext:
        one.name = f"{one.name.rpartition('.')[0] or one.name}.{ext}"
    if ext in _SHOWN:
        return "image"
    if ext in _SENT:
        return "file"
    raise FileNotTaken(f"a .{ext} is neither shown nor sent", key="picture_type")


def _name_of(address: str, name: str) -> str:
    last = unquote(address.partition("?")[0]).rpartition("/")[2]
    if _ID.match(last):  # an agent's file is called by its id: nothing that one could read
        ext = filetypes.extension(last)
        last = f"{'picture' if ext in _SHOWN else 'file'}.{ext}"
    return filetypes.safe_name(name or last) or "picture"


def _unsigned(address: str) -> str:
    """What names the file: Dify signs the same one anew each time."""
    path, _, query = address.partition("?")
    kept = [it for it in query.split("&") if it.partition("=")[0].lower() not in _SIGNING]
    return "?".join(it for it in (path, "&".join(kept)) if it)
