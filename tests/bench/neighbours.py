"""Both neighbours in a process of their own, so that a bridge's CPU and memory are its own.

``Neighbours`` is the handle: one call is one line of JSON to the child and one back. Times are
``time.monotonic()``, which on Linux is one clock for all processes. What a person saw, and when,
is what the simulated DingTalk rendered; connections and calls are those that it counted.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import statistics
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dod.sim.dify.run import Asked
from dod.sim.dify.scripts import Answer, Script
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimCard, SimPerson
from tests.e2e.rig import ROOT, TEMPLATE, bot

# Not calls of the month's quota: what it costs to be connected.
FREE = frozenset({"gateway", "token", "old_token", "webhook"})


@dataclass(frozen=True)
class Speech:
    """How a bot's Dify app answers: so many tokens, seconds before the first and between them."""

    tokens: int = 50
    interval: float = 0.02
    first_delay: float = 0.3


@dataclass(frozen=True)
class Seen:
    """What became of one person's question. Monotonic seconds; None: never.

    ``card``: it was delivered; ``first``: text of the answer stood on it; ``last``: it had ended.
    ``dify_first``, ``dify_last``: tokens. ``whole``: every character arrived. ``lag``, ``lag_p95``:
    from a token's writing to its showing, over all tokens.
    """

    said: float
    card: float | None = None
    first: float | None = None
    last: float | None = None
    dify_first: float | None = None
    dify_last: float | None = None
    whole: bool = False
    lag: float | None = None
    lag_p95: float | None = None


@dataclass(frozen=True)
class Crowd:
    """What became of many questions asked at once.

    ``calls``: of the month's quota, ``by_bot`` too; ``refused``: calls turned away.
    ``connections``: by TCP, that both neighbours accepted meanwhile; ``cpu``: the bridge's seconds.
    """

    people: list[Seen]
    calls: int
    refused: int
    connections: int
    by_bot: Mapping[str, int] = field(default_factory=dict)
    cpu: float = 0.0

    @property
    def whole(self) -> int:
        return sum(one.whole for one in self.people)


class Neighbours:
    """Lifecycle: ``with Neighbours() as near``. Thread: one at a time.

    ``tls``: certificate and key; DingTalk is then https and wss.
    """

    def __init__(self, *, qps: int = 0, tls: tuple[Path, Path] | None = None) -> None:
        words = [str(qps), *map(str, tls or ())]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.neighbours", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.dingtalk = self.dify = ""

    def __enter__(self) -> Self:
        self.dingtalk, self.dify = self._call("urls")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()  # its end
        self._process.wait(20)
        self._process.stdout.close()

    def add_bot(self, name: str, speech: Speech = Speech()) -> None:
        self._call("add_bot", name, **vars(speech))

    def latency(self, seconds: float) -> None:
        """Of every counted DingTalk call from now on."""
        self._call("latency", seconds)

    def connected(self, names: list[str], seconds: float = 30.0) -> float:
        """When the last of these bots opened its connection; waits for it."""
        at: float = self._call("connected", names, seconds)
        return at

    def gone(self, names: list[str]) -> None:
        """Wait until none of these bots has a connection."""
        self._call("gone", names)

    def opened(self) -> dict[str, int]:
        """Bot → websockets that it has opened."""
        told: dict[str, int] = self._call("opened")
        return told

    def crowd(self, names: list[str], count: int, seconds: float) -> Crowd:
        """Each of these bots is asked by ``count`` new people at once; at most ``seconds``."""
        told = self._call("crowd", names, count, seconds)
        return Crowd(**{**told, "people": [Seen(**one) for one in told["people"]]})

    def _call(self, name: str, *words: Any, **more: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name, words, more]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the neighbours have died"
        told = json.loads(line)
        assert "error" not in told, told["error"]
        return told["value"]


# ---------------------------------------------------------------------- the process


def words_of(query: str, tokens: int) -> tuple[str, ...]:
    """The pieces of the answer to ``query``: paragraphs of forty words, as long as it takes."""
    return (f"{query}:", *(("\n\n" if n % 40 == 0 else " ") + f"w{n:05}" for n in range(1, tokens)))


def _script(tokens: int, interval: float, first_delay: float) -> Script:
    def script(query: str, _turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
        pieces = words_of(query, tokens)
        return Answer("".join(pieces), interval=interval, first_delay=first_delay, tokens=pieces)

    return script


class Town:
    """The simulators, and what can be asked of them: the methods without an underscore."""

    def __init__(self, qps: int, tls: ssl.SSLContext | None) -> None:
        self._dingtalk = SimDingTalk(qps=qps, tls=tls)
        self._dify = SimDify()
        self._speech: dict[str, Speech] = {}
        self._people = 0

    async def run(self) -> None:
        """Serve commands until stdin ends."""
        await self._dingtalk.start()
        await self._dify.start()
        self._dingtalk.add_template(TEMPLATE)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            name, words, more = json.loads(line)
            try:
                told = {"value": await getattr(self, name)(*words, **more)}
            except Exception as error:  # noqa: BLE001  the rim: told to who asked
                told = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(told), flush=True)
        await self._dify.close()
        await self._dingtalk.close()

    async def urls(self) -> tuple[str, str]:
        return self._dingtalk.url, self._dify.url

    async def add_bot(self, name: str, tokens: int, interval: float, first_delay: float) -> None:
        entry = bot(name)
        self._dingtalk.add_app(
            str(entry["dingtalk_app_client_id"]), str(entry["dingtalk_app_client_secret"])
        )
        script = _script(tokens, interval, first_delay)
        self._dify.add_app(str(entry["dify_app_api_key"]), "chat", script=script)
        self._speech[name] = Speech(tokens, interval, first_delay)

    async def latency(self, seconds: float) -> None:
        apis = ("create", "deliver", "create_and_deliver", "streaming", "update")
        self._dingtalk.faults.latency = dict.fromkeys(apis, seconds)

    async def connected(self, names: list[str], seconds: float) -> float:
        deadline = time.monotonic() + seconds
        while lacking := [n for n in names if not self._dingtalk.live_connections(f"ding-{n}")]:
            assert time.monotonic() < deadline, f"not connected in {seconds} s: {lacking[:5]}"
            await asyncio.sleep(0.005)
        return max(
            min(one.opened_at for one in self._dingtalk.connections(f"ding-{name}"))
            for name in names
        )

    async def gone(self, names: list[str]) -> None:
        deadline = time.monotonic() + 20.0
        while any(self._dingtalk.live_connections(f"ding-{name}") for name in names):
            assert time.monotonic() < deadline, "connections of a bridge that has ended"
            await asyncio.sleep(0.005)

    async def opened(self) -> dict[str, int]:
        opened = self._dingtalk.connections_opened
        return {client_id.removeprefix("ding-"): count for client_id, count in opened.items()}

    async def crowd(self, names: list[str], count: int, seconds: float) -> dict[str, Any]:
        calls, refused = Counter(self._dingtalk.calls), self._dingtalk.refused.total()
        connections = self._dingtalk.http_connections + self._dify.connections
        asked = len(self._dify.requests)
        people: list[tuple[str, SimPerson]] = []
        for _ in range(count):
            for name in names:
                self._people += 1
                nick = f"p{self._people}"
                people.append((name, self._dingtalk.person(nick, f"staff-{nick}")))
        said = {}
        for name, person in people:
            chat = self._dingtalk.single(f"ding-{name}", person)
            said[person.nick] = time.monotonic()
            await self._dingtalk.say(f"ding-{name}", chat, person, f"question of {person.nick}")
        deadline = time.monotonic() + seconds
        rest = people
        while rest and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            rest = [one for one in rest if not self._ended(*one)]
        requests = {one.query.strip(): one for one in self._dify.requests[asked:]}
        spent = Counter(self._dingtalk.calls) - calls
        by_bot: Counter[str] = Counter()
        for (client_id, api), number in spent.items():
            if api not in FREE:
                by_bot[client_id.removeprefix("ding-")] += number
        return {
            "people": [
                self._seen(name, person, said[person.nick], requests) for name, person in people
            ],
            "calls": by_bot.total(),
            "by_bot": by_bot,
            "refused": self._dingtalk.refused.total() - refused,
            "connections": self._dingtalk.http_connections + self._dify.connections - connections,
        }

    def _cards(self, name: str, person: SimPerson) -> list[SimCard]:
        chat = self._dingtalk.single(f"ding-{name}", person)
        return [shown for shown in self._dingtalk.shown(chat) if isinstance(shown, SimCard)]

    def _ended(self, name: str, person: SimPerson) -> bool:
        """All its cards have ended, and all text is there or the last one says that it failed."""
        cards = self._cards(name, person)
        if not cards or any(card.state not in {"finished", "failed"} for card in cards):
            return False
        return cards[-1].state == "failed" or self._whole(name, person, cards)

    def _whole(self, name: str, person: SimPerson, cards: list[SimCard]) -> bool:
        pieces = words_of(f"question of {person.nick}", self._speech[name].tokens)
        # A cut between two cards falls on white space, which belongs to neither.
        shown = "".join("".join(card.text.split()) for card in cards)
        return shown == "".join("".join(pieces).split())

    def _seen(
        self, name: str, person: SimPerson, said: float, requests: Mapping[str, Asked]
    ) -> dict[str, float | bool | None]:
        cards = self._cards(name, person)
        asked = requests.get(f"question of {person.nick}")
        seen: dict[str, float | bool | None] = {"said": said}
        if asked is not None and asked.tokens:
            seen |= {"dify_first": asked.first_token_at, "dify_last": asked.last_token_at}
        if not cards:
            return seen
        frames = [frame for frame in cards[0].frames if frame.text.startswith("question of")]
        ended = cards[-1].state in {"finished", "failed"}
        seen |= {
            "card": cards[0].delivered_at,
            "first": frames[0].at if frames else None,
            "last": cards[-1].frames[-1].at if ended else None,
            "whole": ended and self._whole(name, person, cards),
        }
        if frames and asked is not None and len(cards) == 1:
            lags = self._lags(name, person, asked.first_token_at, cards[0])
            if lags:
                seen |= {"lag": statistics.fmean(lags), "lag_p95": p95(lags)}
        return seen

    def _lags(self, name: str, person: SimPerson, first: float, card: SimCard) -> list[float]:
        """Seconds from each token's writing to its showing; none if one was never shown."""
        speech = self._speech[name]
        lengths = [len(frame.text) for frame in card.frames]
        lags, length = [], 0
        for n, piece in enumerate(words_of(f"question of {person.nick}", speech.tokens)):
            length += len(piece)
            at = bisect_left(lengths, length)
            if at == len(lengths):
                return []
            lags.append(max(0.0, card.frames[at].at - (first + n * speech.interval)))
        return lags


def p95(values: list[float]) -> float:
    return sorted(values)[int((len(values) - 1) * 0.95 + 0.5)]


def main() -> None:
    # A bridge that is killed breaks off its calls: no news to anybody.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    qps, *files = sys.argv[1:]
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Town(int(qps), context).run())


if __name__ == "__main__":
    main()
