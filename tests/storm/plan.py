"""What is to happen when: made of a seed alone, so that the same storm can be had again."""

import random
from collections.abc import Collection
from dataclasses import dataclass

# Faults by how often, relative to each other. Families: dingtalk, dify, process, file.
WEIGHTS: dict[str, float] = {
    "dingtalk: redelivery": 8,
    "dingtalk: connection cut": 5,
    "dingtalk: all connections cut": 1,
    "dingtalk: connection half-open": 3,
    "dingtalk: disconnect frame": 5,
    "dingtalk: gateway refuses or hangs": 3,
    "dingtalk: token expired": 5,
    "dingtalk: QPS 403": 4,
    "dingtalk: quota 403": 2,
    "dingtalk: missing scope": 2,
    "dingtalk: address refused": 1,
    "dingtalk: 5xx": 4,
    "dingtalk: a proxy's page": 3,
    "dingtalk: no answer": 2,
    "dingtalk: connection reset": 3,
    "dingtalk: answer lost": 4,
    "dingtalk: latency": 3,
    "dingtalk: outage": 0.5,
    "dingtalk: card vanished": 4,
    "dingtalk: strange frames": 2,
    "dify: refused (4xx)": 4,
    "dify: 5xx": 3,
    "dify: a gateway's page": 3,
    "dify: overload": 4,
    "dify: error event": 5,
    "dify: hang": 2,
    "dify: reset before a byte": 3,
    "dify: reset in mid-answer": 4,
    "dify: end without terminal event": 4,
    "dify: garbage": 3,
    "dify: slow": 3,
    "dify: bytes split anywhere": 3,
    "dify: conversation forgotten": 5,
    "dify: API switched off": 2,
    "dod: kill -9": 5,
    "dod: TERM": 2,
    "dod: frozen": 1,
    "file: a setting changed": 4,
    "file: a bad bot": 3,
    "file: does not parse": 2,
    "file: half-written": 3,
    "file: empty for a moment": 1,
    "file: bot removed and back": 3,
    "file: bot renamed": 1,
    "file: secret renewed": 3,
    "file: wrong secret": 2,
    "file: another DingTalk app": 2,
    "file: another Dify app": 2,
    "file: saved unchanged": 2,
}
# The process is left alone for so many seconds after it was hit, this often; else nobody would
# ever be heard, and nothing else could be tried.
RECOVERY, ALONE = 15.0, 0.85
RESTARTS = frozenset({"dod: kill -9", "dod: TERM"})


@dataclass(frozen=True)
class Event:
    """``at``: seconds from the start. ``seconds``: how long, where it lasts. ``pick``: chance."""

    at: float
    fault: str
    bot: int
    seconds: float
    times: int
    pick: int


@dataclass(frozen=True)
class Utterance:
    at: float
    spot: int
    bot: int


def faults(
    seed: int, seconds: float, *, every: float, bots: int, without: Collection[str] = ()
) -> list[Event]:
    """Faults for ``seconds``, on average one ``every`` so many."""
    chance = random.Random(f"faults {seed}")
    kinds = [kind for kind in WEIGHTS if kind not in without]
    longest = min(20.0, max(3.0, seconds / 12))
    events: list[Event] = []
    at, ended_at = 1.0, -RECOVERY
    while (at := at + chance.expovariate(1 / every)) < seconds:
        kind = chance.choices(kinds, [WEIGHTS[one] for one in kinds])[0]
        if kind.startswith("dod: "):
            if at - ended_at < RECOVERY and chance.random() < ALONE:
                continue
            ended_at = at
        lasts = round(chance.uniform(0.5, longest), 2)
        times, pick = chance.randint(1, 4), chance.randrange(1 << 20)
        events.append(Event(round(at, 3), kind, chance.randrange(bots), lasts, times, pick))
    return events


def talk(seed: int, seconds: float, *, rate: float, spots: int) -> list[Utterance]:
    """Who speaks when: ``rate`` a second, now and then the same person several times in a row."""
    chance = random.Random(f"talk {seed}")
    said, at = [], 0.5
    while (at := at + chance.expovariate(rate / 1.3)) < seconds:
        spot, bot = chance.randrange(spots), chance.randrange(1 << 20)
        more = chance.randint(1, 3) if chance.random() < 0.15 else 0
        said += [Utterance(round(at + n * 0.1, 3), spot, bot) for n in range(more + 1)]
    return sorted(said, key=lambda one: one.at)
