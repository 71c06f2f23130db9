"""The demo's people and chats, and everything seen in them, as the page shows it.

Small talk in the group (no @) exists only here: DingTalk never pushes it to a bot. Each change
raises ``version``, so a reader asks for what is newer than it has. Thread: the demo's loop.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from dod.sim.demo.folder import DemoBot
from dod.sim.demo.items import Item, Said, buttons, told
from dod.sim.demo.shown import Sent, person_id, received
from dod.sim.demo.trouble import FREE
from dod.sim.dingtalk.quotes import Quotable
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import (
    SimApp,
    SimCard,
    SimChat,
    SimEvent,
    SimPerson,
    SimPress,
    SimReply,
)

Json = dict[str, Any]

PEOPLE = (("李雷 Li Lei", "lilei"), ("韩梅梅 Han Meimei", "hanmeimei"), ("Tom", "tom"))
GROUP = "产品群 Product team"
# Said to the bot itself: what it says back is no answer of Dify, and must not look cheap.
_COMMANDS = {"/new", "/stop", "/help", "/id", "新对话", "停止", "帮助"}


def _form(text: str, file: Sent | None, *, voice: bool) -> tuple[str, str]:
    """DingTalk's msgtype, and the name of what it brings."""
    if voice:
        return "audio", "voice.amr"
    if file is None:
        return "text", ""
    if not file.picture:
        return "file", file.name
    return ("richText" if text.strip() else "picture"), file.name


class DemoChats:
    """Lifecycle: made once the simulator exists → ``apply`` whenever ``bots.yaml`` changes."""

    def __init__(self, sim: SimDingTalk) -> None:
        self.version = 1
        self.items: list[Item] = []
        self._sim = sim
        self._changed = asyncio.Event()
        self._places = 1  # the version of people and chats
        self._extra: dict[str, tuple[int, Any]] = {}  # section → version of its change, value
        self._by_subject: dict[tuple[int, str], Item] = {}
        self._listed: set[str] = set()  # client ids that bots.yaml names now
        self.people = [sim.person(nick, staff_id) for nick, staff_id in PEOPLE]
        self._group = sim.group(GROUP, self.people)
        sim.subscribe(self._on_event)

    # -- what others do

    def apply(self, bots: Iterable[DemoBot]) -> None:
        """Let the world have exactly these bots; one that was there keeps its chats.

        Any card template will do: there is no console here in which to draw one.
        """
        listed = set()
        for bot in bots:
            listed.add(bot.client_id)
            app = self._sim.apps.get(bot.client_id)
            if app is None:
                self._sim.add_app(bot.client_id, bot.client_secret, name=bot.name)
            else:
                app.client_secret, app.name = bot.client_secret, bot.name
            if bot.card.template_id not in self._sim.world.templates:
                self._sim.add_template(bot.card.template_id, bot.card.content_key)
            for person in self.people:
                self._sim.single(bot.client_id, person).title = bot.name
        self._listed = listed
        self._touch()

    def put(self, **sections: Any) -> None:
        """Show these sections (status, config …) as well; wakes readers only for a change."""
        changed = {
            name: value
            for name, value in sections.items()
            if name not in self._extra or self._extra[name][1] != value
        }
        if changed:
            self._wake()
            self._extra.update({name: (self.version, value) for name, value in changed.items()})

    async def say(
        self,
        chat_id: str,
        person: str,
        text: str,
        *,
        file: Sent | None = None,
        voice: bool = False,
        quote: int = 0,
    ) -> list[str]:
        """Say it; returns the names of the bots it went to.

        Raises LookupError, and ValueError for what DingTalk gives to no bot: voices and files in
        groups.
        """
        chat = self._sim.world.chats[chat_id]
        speaker = self._speaker(chat, person)
        quoted = self._quoted(chat, quote) if quote else None
        if chat.kind == "group" and (voice or (file is not None and not file.picture)):
            raise ValueError("no voice and no file in a group")
        apps, rest = self._addressed(chat, text)
        said = Said(speaker, text, file, voice, quote)
        item = self._add(chat, said)
        kind, name = _form(rest, file, voice=voice)
        brings = (name, file.content if file else b"#!AMR\n") if name else None
        for app in apps:
            own = quoted(app) if quoted else None
            message = await self._sim.say(
                app.client_id, chat, speaker, rest, kind=kind, file=brings, quotes=own
            )
            said.messages.append(message)
        said.sent = True
        self._renew(item)
        return [app.name for app in apps]

    async def press(self, number: int, person: str, action: str) -> None:
        """Press a button of a card. Raises LookupError for one that is not there."""
        item = self._numbered(number)
        card = item.subject
        if not isinstance(card, SimCard) or action not in buttons(card):
            raise LookupError("no such button")
        presser = self._speaker(item.chat, person)
        await self._sim.press(card, presser, "1", {"action": action})

    def file(self, number: int) -> Sent:
        """The file that was sent with an item, by a person or a bot. Raises LookupError."""
        subject = self._numbered(number).subject
        if isinstance(subject, Said) and subject.file is not None:
            return subject.file
        if isinstance(subject, SimReply) and (found := received(subject, self._sim.media)):
            return found
        raise LookupError("no file")

    def media(self, media_id: str) -> bytes:
        """What a bot uploaded. Raises LookupError."""
        return self._sim.media[media_id]

    def _numbered(self, number: int) -> Item:
        if not 1 <= number <= len(self.items):
            raise LookupError("no such item")
        return self.items[number - 1]

    def _speaker(self, chat: SimChat, person: str) -> SimPerson:
        speaker = next((one for one in chat.people if person_id(one) == person), None)
        if speaker is None:
            raise LookupError("nobody of this name is in this chat")
        return speaker

    def _quoted(self, chat: SimChat, number: int) -> Callable[[SimApp], Quotable | None]:
        """What a bot is given of it; nothing of what was said to nobody."""
        item = self._numbered(number)
        if item.chat is not chat:
            raise LookupError("that is in another chat")
        subject = item.subject
        if isinstance(subject, Said):
            messages = subject.messages
            return lambda app: next((it for it in messages if it.app is app), None)
        return lambda _: subject

    def _addressed(self, chat: SimChat, text: str) -> tuple[list[SimApp], str]:
        """Who is meant, and the text without the @, which DingTalk cuts out."""
        if chat.kind == "single":
            return [self._sim.apps[chat.client_id]], text
        names = [
            (name, app)
            for app in self._sim.apps.values()
            if app.client_id in self._listed
            for name in {app.name, *app.name.split()}
        ]
        apps: list[SimApp] = []
        for name, app in sorted(names, key=lambda pair: -len(pair[0])):
            if "@" + name in text:
                text = text.replace("@" + name, "")
                apps += [app] if app not in apps else []
        return apps, text.strip()

    # -- what readers see

    async def changed(self, version: int) -> None:
        """Wait until there is something newer than ``version``."""
        while self.version <= version:
            await self._changed.wait()

    def since(self, version: int) -> Json:
        """All that changed after ``version``; 0 = all there is."""
        news: Json = {"version": self.version}
        if self._places > version:
            news["people"] = [{"id": person_id(one), "nick": one.nick} for one in self.people]
            news["chats"] = [self._chat(chat) for chat in self._listed_chats()]
        news |= {name: value for name, (newer, value) in self._extra.items() if newer > version}
        items = [told(item, self._sim.media) for item in self.items if item.version > version]
        if items or not version:
            news["items"] = items
        if items or self._places > version:
            news["bots"] = [self._bot(app) for app in self._sim.apps.values()]
        return news

    def _listed_chats(self) -> list[SimChat]:
        """1:1 chats in the order of the bots, the group after them."""
        return sorted(self._sim.world.chats.values(), key=lambda chat: chat.kind == "group")

    def _chat(self, chat: SimChat) -> Json:
        return {
            "id": chat.id,
            "kind": chat.kind,
            "title": chat.title,
            "bot": chat.client_id,
            "people": [person_id(one) for one in chat.people],
        }

    def _bot(self, app: SimApp) -> Json:
        calls = sum(
            count
            for (client_id, api), count in self._sim.calls.items()
            if client_id == app.client_id and api not in FREE
        )
        asked = {
            subject.msg.id
            for item in self.items
            if isinstance(subject := item.subject, SimCard | SimReply)
            and subject.app is app
            and subject.msg
            and subject.msg.text.strip().lower() not in _COMMANDS
        }
        return {
            "id": app.client_id,
            "name": app.name,
            "listed": app.client_id in self._listed,
            "answers": len(asked),
            "calls": calls,
        }

    # -- changes

    def _on_event(self, event: SimEvent) -> None:
        subject = event.subject
        if isinstance(subject, SimPress):
            subject = subject.card
        if isinstance(subject, SimCard):
            for chat_id in subject.carriers:
                known = self._by_subject.get((id(subject), chat_id))
                if known is None:
                    self._add(self._sim.world.chats[chat_id], subject)
                else:
                    self._renew(known)
        elif isinstance(subject, SimReply):
            self._add(subject.chat, subject)
        elif event.kind == "push":  # perhaps later than ``say``: then it was not delivered before
            for item in reversed(self.items):
                if isinstance(item.subject, Said) and subject in item.subject.messages:
                    self._renew(item)
                    break

    def _add(self, chat: SimChat, subject: Said | SimCard | SimReply) -> Item:
        item = Item(len(self.items) + 1, 0, chat, time.time(), subject)
        self.items.append(item)
        self._by_subject[id(subject), chat.id] = item
        self._renew(item)
        return item

    def _renew(self, item: Item) -> None:
        self._wake()
        item.version = self.version

    def _touch(self) -> None:
        self._wake()
        self._places = self.version

    def _wake(self) -> None:
        self.version += 1
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()
