"""``kill -9`` of the real process at every named point, and at random ones (design §5.1 to §5.3).

The checker knows every message that was said: each is answered once or closed once with an honest
sentence, nobody's conversation is lost, nothing spins. The whole list of points and a hundred
random moments take minutes: DOD_TEST_KILLS=all; else every point's representative and ten moments.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from dod.messages import digest
from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.world import SimCard, SimChat, SimEvent, SimMessage, SimPerson
from dod.texts import say
from tests.e2e.rig import Rig, bot

ALL = os.environ.get("DOD_TEST_KILLS") == "all"
WORDS = tuple(f" w{n:02}" for n in range(16))

# bot, point. Store: what is written. API: what the simulator of DingTalk or Dify hears.
STORE = [
    (name, f"store {written}:{when}")
    for name, written in (
        ("own", "claim:taken"),
        ("own", "claim:asked"),
        ("own", "conversation:"),
        ("own", "claim:shown"),
        ("own", "claim:finishing"),
        ("own", "claim:done"),
        ("plain", "claim:asked"),
        ("plain", "claim:done"),
    )
    for when in ("before", "after")
]
API = [
    (name, f"api {api}:{when}")
    for name, api in (
        ("own", "token:1"),
        ("own", "create_and_deliver:1"),
        ("own", "streaming:1"),
        ("own", "streaming:2"),
        ("own", "streaming:last"),
        ("public", "create_and_deliver:1"),
        ("public", "streaming:last"),
        ("public", "update:1"),
        ("plain", "webhook:1"),
    )
    for when in ("before", "after")
]
STREAM = [("own", "push"), ("own", "ack"), ("own", "dify asked"), ("plain", "dify asked")]
POINTS = STORE + API + STREAM
SHORT = 12

UNCONFIRMED = say("unconfirmed", "en")
# Killed here, a process leaves nothing that tells whether its reply arrived: the next one says so.
DOUBTFUL = ("claim:done:before", "webhook:1:before", "webhook:1:after")


def answer_to(text: str) -> str:
    return f"You said: {text}." + "".join(WORDS)


def script(query: str, _turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
    """About half a second."""
    return Answer(answer_to(query), interval=0.03, tokens=(f"You said: {query}.", *WORDS))


class Ward:
    """A rig whose dod dies again and again, and all that was said. ``with Ward(tmp) as ward``."""

    def __init__(self, folder: Path) -> None:
        public = bot("public", card_updates="smooth")
        del public["dingtalk_ai_card_template_id"]
        bots = [
            bot("own", card_updates="smooth"),
            public,
            bot("plain", handler="DifyMarkdownBotHandler"),
        ]
        # What was never acknowledged comes again: else nobody could tell lost from not ours.
        switches = Switches(ack_deadline=1.0, redeliveries=50, push_on_connect=True)
        self.rig = Rig(
            folder,
            bots,
            switches=switches,
            launcher=(sys.executable, "tests/e2e/doomed.py"),
            env={"DOD_DRAIN_SECONDS": "2"},
        )
        self.said: list[tuple[str, SimChat, SimMessage]] = []
        self.known: dict[str, str] = {}  # chat → Dify's conversation before the first kill

    def __enter__(self) -> Self:
        self.rig.__enter__()
        for name in ("own", "public", "plain"):
            self.rig.dify.app(f"app-{name}-key-0123456789").answer = script
        return self

    def __exit__(self, *exc: object) -> None:
        self.rig.__exit__(*exc)

    def people(self, name: str, count: int) -> list[tuple[SimChat, SimPerson]]:
        """People who have spoken with the bot before, so that there is a conversation to lose."""
        places = []
        for _ in range(count):
            person = self.rig.person("p", f"staff-{len(self.known)}")
            chat = self.rig.single(person, name)
            self.known[chat.id] = ""
            self.say(name, chat, person, f"hello {len(self.known)}")
            places.append((chat, person))
        return places

    def remember(self) -> None:
        """All have been answered once: note their conversations."""
        self.settled()
        by_query = {asked.query: asked.answered_in for asked in self.rig.dify.requests}
        for _, chat, message in self.said:
            self.known[chat.id] = self.known[chat.id] or by_query[message.text]
        assert all(self.known.values())

    def say(self, name: str, chat: SimChat, person: SimPerson, text: str) -> SimMessage:
        message = self.rig.say(chat, person, text, bot=name)
        self.said.append((name, chat, message))
        return message

    # -- dying

    @property
    def alive(self) -> bool:
        process = self.rig._process
        return process is not None and process.poll() is None

    def dead(self, what: str) -> None:
        deadline = time.monotonic() + 15
        while self.alive:
            assert time.monotonic() < deadline, f"never came to: {what}\n{self.rig.printed()}"
            time.sleep(0.01)

    def kill(self) -> None:
        process = self.rig._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)

    def start(self, doom: str = "") -> None:
        """Start dod again; an armed one may die before it is connected: mending writes, too."""
        self.rig.start(wait=False, env={"DOD_TEST_DOOM": doom})
        deadline = time.monotonic() + 20
        while self.alive and not self.rig.connected():
            assert time.monotonic() < deadline, self.rig.printed()
            time.sleep(0.01)

    def die_at(self, name: str, point: str, place: tuple[SimChat, SimPerson]) -> None:
        """Say something, and let dod die at ``point`` of the answer; it runs again afterwards."""
        where, _, what = point.partition(" ")
        text = f"question {len(self.said)} at {point}"
        if where == "store":
            self.kill()
            self.dead(point)
            self.start(what)
            if self.alive:
                self.say(name, *place, text)
            self.dead(point)
        else:
            with _Hook(self, name, point):
                self.say(name, *place, text)
                self.dead(point)
        self.start()
        self.settled()

    # -- judging

    def settled(self, seconds: float = 30) -> None:
        """Every message was acknowledged, and has an end; dod knows it, too.

        Killed between what a person sees and what its disk says, it would have to own up to it.
        """
        deadline = time.monotonic() + seconds
        while (
            late := [
                (message.text, len(message.acks), self.cards(message))
                for _, _, message in self.said
                if not (message.acks and self.ends(message))
            ]
            or self.promised()
        ):
            assert time.monotonic() < deadline, f"no end of {late}\n{self.rig.printed()}"
            time.sleep(0.02)

    def promised(self) -> list[str]:
        """The claims on disk that are not done."""
        file = self.rig.folder / "data" / "store" / "cache.db"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT key, value FROM Cache WHERE key LIKE 'claim/%'").fetchall()
        return [str(key) for key, value in rows if json.loads(value)["state"] != "done"]

    def cards(self, message: SimMessage) -> list[SimCard]:
        ids = [digest(message.app.client_id, message.id, str(n)) for n in range(3)]
        cards = self.rig.dingtalk.cards
        return [cards[one] for one in ids if one in cards]

    def replies(self, message: SimMessage) -> list[str]:
        """Nothing on a reply tells what it answers; they come in the order of what has no card."""
        if self.cards(message):
            return []
        shown = [one for _, _, one in self.said if one.chat is message.chat]
        number = [one for one in shown if not self.cards(one)].index(message)
        texts = [reply.text for reply in self.rig.replies(message.chat)]
        return texts[number : number + 1]

    def ends(self, message: SimMessage) -> bool:
        cards = self.cards(message)
        if any(card.state not in {"finished", "failed"} for card in cards):
            return False
        return bool(cards) or bool(self.replies(message))

    def owned_up(self, message: SimMessage) -> bool:
        """It is said that nobody knows whether the reply arrived; only where that is so."""
        doubtful = message.app.client_id == "ding-plain" and message.text.endswith(DOUBTFUL)
        texts = [reply.text for reply in self.rig.replies(message.chat)]
        assert texts.count(UNCONFIRMED) == doubtful or not message.text.startswith("question"), (
            texts
        )
        return doubtful

    def check(self) -> Counter[str]:
        """No message lost, doubled or cut without saying so; no conversation lost."""
        self.settled()
        outcomes: Counter[str] = Counter()
        queries = Counter(asked.query for asked in self.rig.dify.requests)
        for name, chat, message in self.said:
            cards, replies = self.cards(message), self.replies(message)
            told = (message.text, [(card.state, card.text) for card in cards], replies)
            assert len(cards) + len(replies) <= 1, told
            assert queries[message.text] <= 1, told
            text = cards[0].text if cards else "".join(replies)
            whole = text == answer_to(message.text)
            honest = say("restarted", "en") in text
            owned_up = self.owned_up(message)
            assert whole or honest or owned_up, told
            if cards and name == "own":  # the public template has no state for a failure
                assert cards[0].state == ("finished" if whole else "failed"), told
            said = [one for _, _, one in self.said if one.chat is chat]
            without = [one for one in said if not self.cards(one)]
            shown = [reply.text for reply in self.rig.replies(chat) if reply.text != UNCONFIRMED]
            assert len(shown) <= len(without), told
            if honest:
                kept = text.split("\n\n", 1)[0]
                assert answer_to(message.text).startswith(kept) or kept.startswith("⚠"), told
            outcomes["whole" if whole else "honest" if honest else "owned up"] += 1
        for asked in self.rig.dify.requests:
            chats = {message.text: chat.id for _, chat, message in self.said}
            known = self.known.get(chats.get(asked.query, ""), "")
            assert asked.answered_in == known, "the conversation goes on"
        assert self.rig.dingtalk.complaints == []
        return outcomes


class _Hook:
    """Kills dod when a neighbour hears something. Thread: the simulators' loop."""

    def __init__(self, ward: Ward, name: str, point: str) -> None:
        self._ward = ward
        self._client_id = f"ding-{name}"
        self._point = point
        self._counts: Counter[str] = Counter()
        self._app = ward.rig.dify.app(f"app-{name}-key-0123456789")
        self._off: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        if self._point == "dify asked":

            def answer(query: str, turn: int, user: str, inputs: Mapping[str, Any]) -> Answer:
                self._ward.kill()
                return script(query, turn, user, inputs)

            self._app.answer = answer
        else:
            if ":last:" in self._point or "token" in self._point:
                self._ward.rig.run(self._prepare())
            self._off = self._ward.rig.dingtalk.subscribe(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._off()
        self._app.answer = script

    async def _prepare(self) -> None:
        if "token" in self._point:
            self._ward.rig.dingtalk.expire_tokens(self._client_id)

    def _hear(self, event: SimEvent) -> None:
        if event.kind == self._point and event.subject.app.client_id == self._client_id:
            self._ward.kill()
        if event.kind not in {"arrival", "call"} or not self._ward.alive:
            return
        client_id, api = event.subject[:2]
        if client_id != self._client_id or (event.kind == "call" and event.subject[2]):
            return
        when = "before" if event.kind == "arrival" else "after"
        self._counts[f"{api}:{when}"] += 1
        wanted, number, at = self._point.removeprefix("api ").split(":")
        if api != wanted or when != at:
            return
        if number == "last":
            over = all(asked.finished for asked in self._ward.rig.dify.requests)
            reached = over and (when == "before" or self._final())
        else:
            reached = self._counts[f"{api}:{when}"] == int(number)
        if reached:
            self._ward.kill()
            if when == "before":  # it died before it could send: nothing happens over there
                self._ward.rig.dingtalk.faults.next(api, "reset")

    def _final(self) -> bool:
        """The last frame of the newest card has been taken."""
        card = list(self._ward.rig.dingtalk.cards.values())[-1]
        return card.frames[-1].kind in {"finalize", "error"}


def chosen() -> list[tuple[str, str]]:
    """All points, or a sample that is the same for everybody."""
    if ALL:
        return POINTS
    picked = random.Random(6)
    return [*picked.sample(STORE, 5), *picked.sample(API, 5), *picked.sample(STREAM, 2)]


def test_killed_at_named_points(tmp_path: Path) -> None:
    points = chosen()
    with Ward(tmp_path) as ward:
        places = [(name, point, ward.people(name, 1)[0]) for name, point in points]
        ward.remember()
        for name, point, place in places:
            ward.die_at(name, point, place)
        outcomes = ward.check()
    print(f"{len(points)} named points: {dict(outcomes)}")


def test_killed_at_random_moments(tmp_path: Path) -> None:
    moments = random.Random(7)
    with Ward(tmp_path) as ward:
        places = [("own", place) for place in ward.people("own", 2)]
        places += [("public", place) for place in ward.people("public", 1)]
        ward.remember()
        for number in range(100 if ALL else 8):
            for name, (chat, person) in places:
                ward.say(name, chat, person, f"question {number} of {person.staff_id}")
            time.sleep(moments.uniform(0.0, 0.05))
            deadline = time.monotonic() + moments.uniform(0.0, 0.9)
            while time.monotonic() < deadline:
                time.sleep(0.01)
            ward.kill()
            ward.dead("kill")
            ward.start()
        outcomes = ward.check()
    print(f"random kills: {dict(outcomes)}")


@pytest.mark.skipif(not ALL, reason="DOD_TEST_KILLS=all: minutes")
def test_killed_between_two_kills(tmp_path: Path) -> None:
    """What mends the first crash is killed, too, at every write that it makes."""
    with Ward(tmp_path) as ward:
        places = ward.people("own", 6)
        ward.remember()
        dooms = ["claim:finishing:before", "claim:finishing:after", "claim:done:before"]
        dooms += ["claim:done:after", "claim:asked:before", "claim:taken:before"]
        for doom, place in zip(dooms, places, strict=True):
            ward.say("own", *place, f"question before {doom}")
            ward.rig.until(lambda: ward.rig.dify.running, "it is answered")
            ward.kill()
            ward.dead("kill")
            ward.start(doom)
            if ward.alive:
                time.sleep(0.5)
                ward.kill()
            ward.dead(doom)
            ward.start()
        ward.check()
