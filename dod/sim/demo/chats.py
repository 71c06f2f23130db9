"""The demo's people and chats, and what is said and pressed in them.

Small talk in the group (no @) exists only here: DingTalk never pushes it to a bot. Thread: the
demo's loop.
"""

from collections.abc import Callable, Iterable

from dod.sim.demo.feed import Feed
from dod.sim.demo.folder import DemoBot
from dod.sim.demo.items import Said, buttons
from dod.sim.demo.shown import Sent, person_id, received
from dod.sim.dingtalk.quotes import Quotable
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import (
    SimApp,
    SimCard,
    SimChat,
    SimPerson,
    SimReply,
)

PEOPLE = (("李雷 Li Lei", "lilei"), ("韩梅梅 Han Meimei", "hanmeimei"), ("Tom", "tom"))
GROUP = "产品群 Product team"


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
        self._sim = sim
        self._listed: set[str] = set()  # client ids that bots.yaml names now
        self.people = [sim.person(nick, staff_id) for nick, staff_id in PEOPLE]
        sim.group(GROUP, self.people)
        self.feed = Feed(sim, self.people)

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
        self.feed.list_bots(listed)

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
        item = self.feed.add(chat, said)
        kind, name = _form(rest, file, voice=voice)
        brings = (name, file.content if file else b"#!AMR\n") if name else None
        for app in apps:
            own = quoted(app) if quoted else None
            message = await self._sim.say(
                app.client_id, chat, speaker, rest, kind=kind, file=brings, quotes=own
            )
            said.messages.append(message)
        said.sent = True
        self.feed.renew(item)
        return [app.name for app in apps]

    async def press(self, number: int, person: str, action: str) -> None:
        """Press a button of a card. Raises LookupError for one that is not there."""
        item = self.feed.numbered(number)
        card = item.subject
        if not isinstance(card, SimCard) or action not in buttons(card):
            raise LookupError("no such button")
        presser = self._speaker(item.chat, person)
        await self._sim.press(card, presser, "1", {"action": action})

    def file(self, number: int) -> Sent:
        """The file that was sent with an item, by a person or a bot. Raises LookupError."""
        subject = self.feed.numbered(number).subject
        if isinstance(subject, Said) and subject.file is not None:
            return subject.file
        if isinstance(subject, SimReply) and (found := received(subject, self._sim.media)):
            return found
        raise LookupError("no file")

    def media(self, media_id: str) -> bytes:
        """What a bot uploaded. Raises LookupError."""
        return self._sim.media[media_id]

    def _speaker(self, chat: SimChat, person: str) -> SimPerson:
        speaker = next((one for one in chat.people if person_id(one) == person), None)
        if speaker is None:
            raise LookupError("nobody of this name is in this chat")
        return speaker

    def _quoted(self, chat: SimChat, number: int) -> Callable[[SimApp], Quotable | None]:
        """What a bot is given of it; nothing of what was said to nobody."""
        item = self.feed.numbered(number)
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
