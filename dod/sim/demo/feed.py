"""Everything seen in the demo's chats, as the page shows it, and what of it is new.

Each change raises ``version``, so a reader asks for what is newer than it has. Thread: the demo's
loop.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any

from dod.sim.demo.items import Item, Said, told
from dod.sim.demo.shown import person_id
from dod.sim.demo.trouble import FREE
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

# Said to the bot itself: what it says back is no answer of Dify, and must not look cheap.
_COMMANDS = {"/new", "/stop", "/help", "/id", "新对话", "停止", "帮助"}


class Feed:
    """Lifecycle: as the simulator's, which tells it what bots do; ``add`` is for what people do."""

    def __init__(self, sim: SimDingTalk, people: Sequence[SimPerson]) -> None:
        self.version = 1
        self.items: list[Item] = []
        self._sim = sim
        self._people = people
        self._changed = asyncio.Event()
        self._places = 1  # the version of people and chats
        self._extra: dict[str, tuple[int, Any]] = {}  # section → version of its change, value
        self._by_subject: dict[tuple[int, str], Item] = {}
        self._listed: Collection[str] = ()  # client ids that bots.yaml names now
        sim.subscribe(self._on_event)

    # -- what changes

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

    def list_bots(self, client_ids: Collection[str]) -> None:
        """These are the bots now; they and their chats are shown anew."""
        self._listed = client_ids
        self._wake()
        self._places = self.version

    def add(self, chat: SimChat, subject: Said | SimCard | SimReply) -> Item:
        item = Item(len(self.items) + 1, 0, chat, time.time(), subject)
        self.items.append(item)
        self._by_subject[id(subject), chat.id] = item
        self.renew(item)
        return item

    def renew(self, item: Item) -> None:
        """It is another one now."""
        self._wake()
        item.version = self.version

    def _on_event(self, event: SimEvent) -> None:
        subject = event.subject
        if isinstance(subject, SimPress):
            subject = subject.card
        if isinstance(subject, SimCard):
            for chat_id in subject.carriers:
                known = self._by_subject.get((id(subject), chat_id))
                if known is None:
                    self.add(self._sim.world.chats[chat_id], subject)
                else:
                    self.renew(known)
        elif isinstance(subject, SimReply):
            self.add(subject.chat, subject)
        elif event.kind == "push":  # perhaps later than ``say``: then it was not delivered before
            for item in reversed(self.items):
                if isinstance(item.subject, Said) and subject in item.subject.messages:
                    self.renew(item)
                    break

    def _wake(self) -> None:
        self.version += 1
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    # -- what readers see

    async def changed(self, version: int) -> None:
        """Wait until there is something newer than ``version``."""
        while self.version <= version:
            await self._changed.wait()

    def numbered(self, number: int) -> Item:
        """Raises LookupError."""
        if not 1 <= number <= len(self.items):
            raise LookupError("no such item")
        return self.items[number - 1]

    def since(self, version: int) -> Json:
        """All that changed after ``version``; 0 = all there is."""
        news: Json = {"version": self.version}
        if self._places > version:
            news["people"] = [{"id": person_id(one), "nick": one.nick} for one in self._people]
            news["chats"] = [_told(chat) for chat in self._listed_chats()]
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


def _told(chat: SimChat) -> Json:
    return {
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "bot": chat.client_id,
        "people": [person_id(one) for one in chat.people],
    }
