"""Many people at once: every text exact, few calls, nothing refused. Times are printed, not judged:
``make bench`` compares them (a machine's noise must fail no test)."""

import statistics
import time
from collections import Counter
from pathlib import Path

from dod.sim.dify.scripts import echo
from dod.sim.dingtalk.world import SimCard, SimPerson
from tests.e2e.rig import Rig, bot

KEY = "app-it-key-0123456789"
WORDS = "".join(f" w{n:04}" for n in range(1, 200))


def everybody_asks(rig: Rig, count: int, seconds: float) -> list[tuple[SimPerson, SimCard]]:
    people = [rig.person(f"p{n}", f"staff-{n}") for n in range(count)]

    async def ask() -> None:
        for person in people:
            chat = rig.dingtalk.single("ding-it", person)
            await rig.dingtalk.say("ding-it", chat, person, f"question of {person.nick}")

    rig.run(ask())
    deadline = time.monotonic() + seconds
    return [
        (person, rig.answer(rig.single(person), 1, deadline - time.monotonic()))
        for person in people
    ]


def exact(answers: list[tuple[SimPerson, SimCard]]) -> None:
    for person, card in answers:
        assert card.text == f"You said: question of {person.nick}. (turn 1){WORDS}"
        assert card.state == "finished"


def calls_per_answer(rig: Rig, count: int) -> float:
    return (
        sum(n for (_, api), n in rig.dingtalk.calls.items() if api not in {"gateway", "token"})
        / count
    )


def report(rig: Rig, name: str, answers: list[tuple[SimPerson, SimCard]]) -> None:
    """Seconds between Dify's last token and the card's last frame."""
    last = {request.user: request.last_token_at for request in rig.dify.requests}
    lags = sorted(card.frames[-1].at - last[str(person.staff_id)] for person, card in answers)
    first = sorted(card.frames[0].at - card.msg.said_at for _, card in answers if card.msg)
    print(
        f"\n{name}: finished after Dify p50 {statistics.median(lags):.3f} s, "
        f"p95 {lags[int(len(lags) * 0.95)]:.3f} s, max {lags[-1]:.3f} s; "
        f"card after {statistics.median(first):.3f} s, max {first[-1]:.3f} s; "
        f"calls per answer {calls_per_answer(rig, len(answers)):.1f}"
    )


def test_50_people_without_a_qps_limit(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it", max_workers=4)], top={"dingtalk_qps": 0}) as rig:
        rig.dify.app(KEY).answer = echo(tokens=200, interval=0.05, first_delay=0.3)
        answers = everybody_asks(rig, 50, 60)
        exact(answers)
        assert calls_per_answer(rig, 50) <= 9
        assert all(card.frames[-1].kind for _, card in answers)
        report(rig, "50 people, no QPS limit", answers)


def test_50_people_at_20_qps(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it", max_workers=4)], qps=20) as rig:
        rig.dify.app(KEY).answer = echo(tokens=200, interval=0.05, first_delay=0.3)
        answers = everybody_asks(rig, 50, 60)
        exact(answers)
        assert rig.dingtalk.refused == Counter()
        report(rig, "50 people, 20 QPS", answers)


def test_200_people(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it", max_workers=13)], qps=20) as rig:
        rig.dify.app(KEY).answer = echo(tokens=200, interval=0.05, first_delay=0.3)
        answers = everybody_asks(rig, 200, 100)
        exact(answers)
        assert rig.dingtalk.refused == Counter()
        report(rig, "200 people, 20 QPS", answers)


def test_people_beyond_capacity_wait_and_are_answered(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it", max_workers=1)], top={"dingtalk_qps": 0}) as rig:
        rig.dify.app(KEY).answer = echo(tokens=200, interval=0.02, first_delay=0.3)
        answers = everybody_asks(rig, 40, 60)
        exact(answers)
        told = [frame.text for _, card in answers for frame in card.frames if "queue" in frame.text]
        assert told, "who waited was told"
        report(rig, "40 people, room for 16", answers)
