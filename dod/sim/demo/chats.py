"""The demo's people and chats, and everything seen in them, as the page shows it.

Small talk in the group (no @) exists only here: DingTalk never pushes it to a bot. Each change
raises ``version``, so a reader asks for what is newer than it has. Thread: the demo's loop.
"""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dod.sim.demo.folder import DemoBot
from dod.sim.demo.trouble import FREE
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import (
    SimApp,
    SimCard,
    SimChat,
    SimEvent,
    SimMessage,
    SimPerson,
    SimReply,
)

Json = dict[str, Any]

PEOPLE = (("李雷 Li Lei", "lilei"), ("韩梅梅 Han Meimei", "hanmeimei"), ("Tom", "tom"))
GROUP = "产品群 Product team"
_PICTURE = "sampleImageMsg"
# Said to the bot itself: what it says back is no answer of Dify, and must not look cheap.
_COMMANDS = {"/new", "/stop", "/help", "/id", "新对话", "停止", "帮助"}


@dataclass(eq=False)
class Said:
    """What a person wrote, the @ included; ``messages``: what it became, one for each bot."""

    person: SimPerson
    text: str
    messages: list[SimMessage] = field(default_factory=list)
    sent: bool = False


@dataclass(eq=False)
class Item:
    """One bubble. ``at``: epoch seconds; ``version``: of its last change."""

    number: int
    version: int
    chat: SimChat
    at: float
    subject: Said | SimCard | SimReply


def _read(reply: SimReply) -> str:
    """What a person reads of it; of a picture its mediaId, which the page can show."""
    if reply.kind != _PICTURE:
        return reply.text
    return f"![]({json.loads(reply.body['msgParam'])['photoURL']})"


def person_id(person: SimPerson) -> str:
    return person.staff_id or person.sender_id


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

    async def say(self, chat_id: str, person: str, text: str) -> list[str]:
        """Say it; returns the names of the bots it went to. Raises LookupError."""
        chat = self._sim.world.chats[chat_id]
        speaker = next((one for one in chat.people if person_id(one) == person), None)
        if speaker is None:
            raise LookupError("nobody of this name is in this chat")
        apps, rest = self._addressed(chat, text)
        said = Said(speaker, text)
        item = self._add(chat, said)
        for app in apps:
            said.messages.append(await self._sim.say(app.client_id, chat, speaker, rest))
        said.sent = True
        self._renew(item)
        return [app.name for app in apps]

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
        items = [self._item(item) for item in self.items if item.version > version]
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

    def _item(self, item: Item) -> Json:
        common: Json = {"n": item.number, "chat": item.chat.id, "at": int(item.at * 1000)}
        match item.subject:
            case Said(person, text, messages, sent):
                pushed = not sent or all(message.pushes for message in messages)
                return common | {
                    "kind": "said",
                    "person": person_id(person),
                    "nick": person.nick,
                    "text": text,
                    "delivered": pushed,
                }
            case SimCard() as card:
                until = card.frames[-1].at if card.frames else card.created_at
                return common | {
                    "kind": "card",
                    "bot": card.app.client_id,
                    "text": card.text,
                    "state": card.state,
                    "calls": len(card.frames),
                    "seconds": round(until - card.created_at, 1),
                }
            case SimReply() as reply:
                return common | {
                    "kind": "reply",
                    "bot": reply.app.client_id,
                    "text": _read(reply),
                    "markdown": "arkdown" in reply.kind or reply.kind == _PICTURE,
                    "calls": int(reply.medium == "robot"),
                }

    # -- changes

    def _on_event(self, event: SimEvent) -> None:
        subject = event.subject
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
