"""Stopping, crashing and handing over while everybody talks: nothing lost, doubled or spinning."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.world import SimCard, SimMessage, SimReply
from dod.texts import say
from tests.e2e.rig import Rig, bot
from tests.e2e.talk import Talk

KEY = "app-it-key-0123456789"
DRAIN = 4.0  # seconds
CUTS = tuple(say(key, "en") for key in ("shutting_down", "restarted"))


def whole(text: str) -> str:
    return f"You said: {text}." + "".join(f" w{n}" for n in range(20))


def script(query: str, _turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
    """A second of typing; every seventh question far longer than any drain."""
    long = query.endswith("7")
    words = (f"You said: {query}.", *(f" w{n}" for n in range(20)))
    return Answer(tokens=words, interval=0.6 if long else 0.05)


class Books:
    """What was said, and what became of it, chat by chat."""

    def __init__(self, rig: Rig) -> None:
        self.count: Counter[str] = Counter()
        self.wrong: list[str] = []
        for chat in list(rig.dingtalk.world.chats.values()):
            asked = [one for one in chat.shown if isinstance(one, SimMessage)]
            acked = [one for one in asked if one.acks]
            cards = [one for one in chat.shown if isinstance(one, SimCard)]
            replies = [one for one in chat.shown if isinstance(one, SimReply)]
            answers = len(cards) + len(replies)
            self.count["acknowledged"] += len(acked)
            self.count["not ours: no ack"] += len(asked) - len(acked)
            self.count["lost"] += max(0, len(acked) - answers)
            named = Counter(
                card.text.partition(".")[0] for card in cards if card.text.startswith("You")
            )
            self.count["doubled"] += max(0, answers - len(asked), named.total() - len(named))
            for card in cards:
                self._enter(card, {whole(one.text) for one in asked})
        queries = Counter(request.query for request in rig.dify.requests)
        self.count["asked twice"] = sum(1 for times in queries.values() if times > 1)

    def _enter(self, card: SimCard, wanted: set[str]) -> None:
        if card.state not in {"finished", "failed"}:
            self.count["spinning"] += 1
        elif card.text in wanted and card.state == "finished":
            self.count["whole"] += 1
        elif card.state == "failed" and any(cut in card.text for cut in CUTS):
            self.count["cut, and said so"] += 1
            text = card.text.partition("⚠️")[0].strip()
            if not any(each.startswith(text) for each in wanted):
                self.wrong.append(card.text)
        else:
            self.wrong.append(f"{card.state}: {card.text}")

    @property
    def settled(self) -> bool:
        return not self.count["spinning"] and not self.count["lost"]

    def check(self) -> None:
        told = dict(self.count)
        assert self.wrong == [], told
        for sin in ("lost", "doubled", "asked twice", "spinning"):
            assert not self.count[sin], told
        assert self.count["whole"], told


def beyond(talk: Talk, count: int) -> Callable[[], bool]:
    return lambda: talk.count > count


def settle(rig: Rig) -> None:
    rig.until(lambda: Books(rig).settled, "all settled", 60)
    books = Books(rig)
    print(f"\n{dict(books.count)}")
    books.check()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_three_restarts_under_load(tmp_path: Path, number: signal.Signals) -> None:
    env = {"DOD_DRAIN_SECONDS": str(DRAIN)}
    with Rig(tmp_path, [bot("it", max_workers=1)], env=env, qps=20) as rig:
        rig.dify.app(KEY).answer = script
        with Talk(rig, ["it"], per_second=12, people=40) as talk:
            for turn in range(1, 4):
                rig.until(beyond(talk, 30 * turn), "they talk")
                rig.kill(number)
                began = time.monotonic()
                status = rig.wait_for_exit(DRAIN + 5)
                if number == signal.SIGTERM:
                    assert status == 0
                    assert time.monotonic() - began < DRAIN + 1.5, "within Docker's ten seconds"
                rig.start()
            rig.until(beyond(talk, talk.count + 20), "they talk again")
        settle(rig)
        assert Books(rig).count["cut, and said so"], "some were too long for the drain"


def test_a_hand_over_to_a_second_process_under_load(tmp_path: Path) -> None:
    """An update of the container: the new one waits for the folder, and takes over at once."""
    env = {"DOD_DRAIN_SECONDS": str(DRAIN)}
    with Rig(tmp_path, [bot("it", max_workers=1)], env=env, qps=20) as rig:
        rig.dify.app(KEY).answer = script
        with Talk(rig, ["it"], per_second=12, people=40) as talk:
            rig.until(beyond(talk, 30), "they talk")
            first, rig.web_port = rig._process, rig.web_port + 1
            assert first is not None
            try:
                rig.start(wait=False)
                rig.until(lambda: rig.get("/healthz") == 200, "the second is up")
                rig.until(lambda: "pid" in str(rig.status()["store"]), "the second waits")
                first.send_signal(signal.SIGTERM)
                assert first.wait(DRAIN + 5) == 0
            finally:
                first.kill()
                first.wait(5)
            gone = time.monotonic()
            rig.until(rig.connected, "the second has taken over")
            print(f"\nconnected {time.monotonic() - gone:.2f} s after the first was gone")
            rig.until(beyond(talk, talk.count + 20), "they go on")
        settle(rig)
