"""People who talk to bots all the time, and the proof that each was answered once, and exactly."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.world import SimCard, SimChat, SimPerson, SimReply
from tests.e2e.rig import Rig

WORDS = tuple(f" w{n:02}" for n in range(24))


def answered(text: str) -> str:
    """The whole answer of ``at_length`` to ``text``."""
    return f"You said: {text}." + "".join(WORDS)


def at_length(query: str, _turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
    """Dify's script: 25 tokens in about a second."""
    return Answer(answered(query), interval=0.04, tokens=(f"You said: {query}.", *WORDS))


class Talk:
    """``with Talk(rig, names, per_second=15) as talk`` … ``talk.check()``.

    Everybody has a 1:1 chat with one bot. ``people``: for each bot. Thread: speaks on the
    simulators' loop.
    """

    def __init__(
        self, rig: Rig, names: Sequence[str], *, per_second: float, people: int = 3
    ) -> None:
        self._rig = rig
        self._pause = 1 / per_second
        self._over = False
        self.said: dict[str, list[str]] = {}  # by chat
        self._places: list[tuple[str, SimChat, SimPerson]] = []
        for number, name in itertools.product(range(people), names):
            person = rig.person(f"p{number}", f"{name}-{number}")
            chat = rig.single(person, name)
            self.said[chat.id] = []
            self._places.append((f"ding-{name}", chat, person))

    def __enter__(self) -> Self:
        self._task = self._rig.run(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._rig.run(self._end())

    async def _begin(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self._speak(), name="talk")

    async def _end(self) -> None:
        await self._task

    async def _speak(self) -> None:
        due = time.monotonic()
        for number, (client_id, chat, person) in enumerate(itertools.cycle(self._places)):
            if self._over:
                return
            text = f"question {number}"
            self.said[chat.id].append(text)
            await self._rig.dingtalk.say(client_id, chat, person, text)
            due = max(due + self._pause, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    @property
    def count(self) -> int:
        return sum(map(len, self.said.values()))

    def check(self, seconds: float = 30) -> None:
        """Nothing lost, nothing doubled, every text whole; waits for what is still being typed."""
        self._rig.until(
            lambda: self._cards().total() >= self.count, "everybody is answered", seconds
        )
        for _, chat, _ in self._places:
            cards = [one for one in self._rig.dingtalk.shown(chat) if isinstance(one, SimCard)]
            wanted = Counter(map(answered, self.said[chat.id]))
            assert Counter(card.text for card in cards) == wanted, self._rig.printed()
            assert {card.state for card in cards} <= {"finished"}
            assert not [one for one in chat.shown if isinstance(one, SimReply)]
        queries = Counter(asked.query for asked in self._rig.dify.requests)
        assert not [text for texts in self.said.values() for text in texts if queries[text] != 1]

    def _cards(self) -> Counter[str]:
        """Ended cards by chat."""
        chats = {chat.id for _, chat, _ in self._places}
        cards = list(self._rig.dingtalk.cards.values())
        return Counter(
            card.chat.id
            for card in cards
            if card.chat and card.chat.id in chats and card.state in {"finished", "failed"}
        )
