"""A storm: people talk while everything that can fail does, then all is quiet and is judged."""

import contextlib
import heapq
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.storm import plan
from tests.storm.answers import question
from tests.storm.cast import Bot, Cast, Spot, assemble
from tests.storm.file import Admin
from tests.storm.host import PAGES, Host
from tests.storm.journal import Journal
from tests.storm.judge import Judge, Verdict
from tests.storm.leaks import Ears
from tests.storm.plan import Event, Utterance
from tests.storm.records import Records
from tests.storm.trouble import Trouble

YEAR = 365 * 86400.0
CLOCKS = (0.0, 0.0, YEAR, -YEAR)  # DingTalk's clock against this host's
START = 60.0  # seconds until every bot is connected
DEAF = 20.0  # seconds in which a bot answers a last question


@dataclass(frozen=True)
class Weather:
    """How it is to be. ``seconds`` of trouble; ``settle``: most seconds of quiet after it."""

    seed: int
    seconds: float
    rate: float = 6.0  # messages a second
    every: float = 0.5  # seconds between faults
    settle: float = 240.0
    people: int = 200
    without: frozenset[str] = frozenset()
    env: dict[str, str] = field(default_factory=lambda: {"LOG_LEVEL": "DEBUG"})


@dataclass
class Outcome:
    """``settled``: seconds of quiet until everything had ended; None: never within the bound."""

    verdict: Verdict
    faults: dict[str, int]
    settled: float | None
    status: int | None
    seconds: float


@contextlib.contextmanager
def _kept_apart(file: Path) -> Iterator[None]:
    """What the simulators' server says of clients that were killed goes into a file of its own."""
    server = logging.getLogger("aiohttp.server")
    handler = logging.FileHandler(file, encoding="utf-8")
    server.addHandler(handler)
    server.propagate = False
    try:
        yield
    finally:
        server.propagate = True
        server.removeHandler(handler)
        handler.close()


class Storm:
    """``with Storm(weather, folder) as storm`` → ``blow`` → ``quiet`` → ``judge``. Thread: main."""

    def __init__(self, weather: Weather, folder: Path) -> None:
        self.weather = weather
        self.folder = folder
        self.host = Host(folder, env=weather.env)
        self.ears = Ears()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._questions = itertools.count(1)
        self._stack = contextlib.ExitStack()
        self._over = threading.Event()
        self._said_at = 0.0  # monotonic: what is waited for

    def __enter__(self) -> Self:
        folder, weather = self.folder, self.weather
        folder.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(_kept_apart(folder / "simulators.log"))
        self.journal = Journal(folder / "journal.jsonl")
        self._stack.callback(self.journal.close)
        host = self._stack.enter_context(self.host)
        chance = random.Random(f"cast {weather.seed}")
        host.dingtalk.faults.clock_ahead = chance.choice(CLOCKS)
        self.cast: Cast = assemble(chance, host.dingtalk, host.dify, people=weather.people)
        self.records = Records(host.dingtalk)
        self.judge = Judge(self.cast, self.records, host.dify.requests)
        self.trouble = Trouble(host, self.cast, self.records, self.journal, self.later)
        self.admin = Admin(
            host.config, self.cast, self.journal, rotate=self._rotate, later=self.later
        )
        self.admin.mend()
        self.journal.note("begin", seed=weather.seed, seconds=weather.seconds, rate=weather.rate)
        host.begin()
        self._watch = threading.Thread(target=self._listen, name="ears", daemon=True)
        self._watch.start()
        self._stack.callback(self._watch.join, 10)
        self._stack.callback(self._over.set)
        if not host.until(self.connected, START):
            raise RuntimeError(f"not every bot is connected after {START} s\n{host.log()[-4000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- what goes on

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time.monotonic() + seconds, next(self._numbers), work))

    def blow(self, *, seed: int | None = None, seconds: float | None = None) -> None:
        """People talk and things fail, as planned by the weather's seed or another."""
        weather = self.weather
        seed = weather.seed if seed is None else seed
        seconds = weather.seconds if seconds is None else seconds
        bots, spots = len(self.cast.bots), len(self.cast.spots)
        for event in plan.faults(
            seed, seconds, every=weather.every, bots=bots, without=weather.without
        ):
            self.later(event.at, self._act(event))
        for one in plan.talk(seed, seconds, rate=weather.rate, spots=spots):
            self.later(one.at, self._say(one))
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Do what is due, for so long."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if self._agenda and self._agenda[0][0] <= now:
                heapq.heappop(self._agenda)[2]()
            else:
                due = self._agenda[0][0] if self._agenda else until
                time.sleep(max(0.0, min(due, until) - now))

    def quiet(self) -> float | None:
        """No more faults, no more talk. Seconds until everything had ended, or None."""
        self.journal.note("quiet")
        began = time.monotonic()
        while self._agenda:  # ends of faults: now at once
            heapq.heappop(self._agenda)[2]()
        self.trouble.calm()
        self.admin.mend()
        self.host.control("start", "dod")  # if it was stopped just now
        settled = self.host.until(self._settled, self.weather.settle)
        for bot in self._visit():  # what a crash left at an app that the file names no more
            self.journal.note("back to the other app", bot=bot.name)
        if settled:
            settled = self.host.until(self._settled, self.weather.settle)
        self.admin.mend()
        if settled:
            settled = self.host.until(self._settled, self.weather.settle)
        else:  # whatever is open: who is still on the way back to its app is not deaf
            self.host.until(self.connected, START)
        self.journal.note("settled", settled=bool(settled))
        return time.monotonic() - began if settled else None

    def _visit(self) -> list[Bot]:
        """Bots with something open at the app that their entry does not name; now it does."""
        gone = self._absent_apps()
        bots = [bot for bot in self.cast.bots if gone & set(bot.client_ids)]
        for bot in bots:
            bot.client_id = next(one for one in bot.client_ids if one in gone)
        if bots:
            self.admin.save()
        return bots

    def _absent_apps(self) -> set[str]:
        """Client ids that something is still open for, and that the file does not name."""
        return self._owing() - {bot.client_id for bot in self.cast.bots}

    def _owing(self) -> set[str]:
        """Client ids that a card or an answer is still open for."""
        cards = {card.app.client_id for card in self.judge.open_cards()}
        return cards | {message.app.client_id for message in self.judge.unanswered()}

    def deaf(self) -> list[str]:
        """Bots that do not answer a last question. Their names."""
        asked = {
            bot.name: self._ask(Spot(self.cast.spots[0].person, None, (bot,)), bot.number)
            for bot in self.cast.bots
        }
        self.host.until(self._settled, DEAF)
        silent = {message.id for message in self.judge.unanswered()}
        by_id = {message.id: message for message in self.records.messages}
        return [
            name
            for name, message_id in asked.items()
            if message_id in silent or not by_id[message_id].acks
        ]

    def finish(self, settled: float | None) -> Outcome:
        """Ask everybody once more, end dod, and judge."""
        deaf = self.deaf()
        self._over.set()
        self._watch.join(10)
        self.hear_now()
        status = self.host.end()
        verdict = self.judge.verdict()
        for name in deaf:
            verdict.against("deaf bots", name)
        self.ears.hear("log", self.host.log().encode())
        self.ears.hear("supervise", (self.folder / "supervise.out").read_bytes())
        self.ears.hear_rows(self.host.data / "store" / "cache.db")
        for card in self.records.cards.values():
            for frame in card.frames:
                self.ears.hear("card", frame.text.encode())
        self.ears.hear_folder(self.host.data)
        issued = self.host.dingtalk.issued | self.host.dingtalk.webhook_sessions
        for leak in self.ears.told(self.cast.made | issued):
            verdict.against("secrets in any output", leak)
        verdict.facts["complaints of the websocket"] = len(self.host.dingtalk.complaints)
        seconds = time.monotonic() - self.journal.began
        return Outcome(verdict, dict(self.journal.done), settled, status, seconds)

    # -- parts

    def connected(self) -> bool:
        live = self.host.dingtalk.live_connections
        return all(live(bot.client_id) for bot in self.cast.bots if bot.listed)

    def _settled(self) -> bool:
        time.sleep(0.3)
        named = {bot.client_id for bot in self.cast.bots}
        owing = sorted(self._owing() & named)
        if time.monotonic() - self._said_at > 10.0:
            self._said_at = time.monotonic()
            unanswered = [one.text for one in self.judge.unanswered()]
            cards = [card.id for card in self.judge.open_cards()]
            self.journal.note("waiting", owing=owing, unanswered=unanswered, cards=cards)
        return self.connected() and not owing

    def _act(self, event: Event) -> Callable[[], None]:
        actor = self.admin if event.fault.startswith("file: ") else self.trouble
        return lambda: actor.act(event)

    def _say(self, one: Utterance) -> Callable[[], None]:
        spot = self.cast.spots[one.spot]

        def say() -> None:
            self._ask(spot, one.bot)

        return say

    def _ask(self, spot: Spot, pick: int) -> str:
        """Say the next question; its message's id."""
        bot = spot.bots[pick % len(spot.bots)]
        sim, text = self.host.dingtalk, question(next(self._questions))
        chat = spot.chat or sim.single(bot.client_id, spot.person)
        message = self.host.run(sim.say(bot.client_id, chat, spot.person, text))
        return str(message.id)

    def _rotate(self, client_id: str, secret: str) -> None:
        self.host.dingtalk.apps[client_id].client_secret = secret

    def _listen(self) -> None:
        """Look at every page, the notice and the process list now and then. Thread: its own."""
        while not self._over.wait(3.0):
            self.hear_now()

    def hear_now(self) -> None:
        for path in PAGES:
            self.ears.hear(f"page {path}", self.host.page(path))
        self.ears.hear("ps", self.host.command_line())
        with contextlib.suppress(FileNotFoundError):
            notice = (self.host.config / "bots.status.txt").read_bytes()
            self.ears.hear("bots.status.txt", notice)
