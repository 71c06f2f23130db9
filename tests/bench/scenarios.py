"""What is measured, one function each; all give ``Row``s. Sizes are chosen for ten minutes in all.

Each scenario asks the same of every bridge, at neighbours made anew, and never asserts a time.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.bridges import Bridge, Kind, Running, until
from tests.bench.neighbours import Crowd, Neighbours, Seen, Speech, p95
from tests.tls import certificate

SHORT = Speech(50, 0.02, 0.3)  # 1.3 s
CROWD = Speech(60, 0.05, 0.3)  # 3.3 s
TEN = Speech(200, 0.05, 0.3)  # the original's README: 200 tokens in 10 s
LONG = Speech(720, 0.25, 0.3)  # three minutes
BOOK = Speech(7140, 0.0, 0.3)  # 50,000 characters as fast as they go
QPS, OURS = 20, 18  # what DingTalk gives an app by default; dod's and the floor's own bound
PATIENCE = 20.0  # seconds from a crowd's question until nobody waits for more answers
SHORTER = 10.0  # seconds, for the original: it would take minutes
SETTLE = 15.0  # seconds of idleness before memory is read
PACES = ("smooth", "balanced", "economical", "final")
IDLE = (1, 50, 200)
OFFICE = 50  # bots that are there while one is reloaded


@dataclass
class Row:
    """One line of the table. ``values``: a number for each run; ``notes``: said instead, or with.

    ``goal``: of design §11, in words; ``unit``: behind a number.
    """

    what: str
    unit: str
    goal: str = ""
    values: dict[Kind, list[float]] = field(default_factory=dict)
    notes: dict[Kind, str] = field(default_factory=dict)

    def add(self, kind: Kind, value: float | None) -> None:
        if value is not None:
            self.values.setdefault(kind, []).append(value)


@dataclass(frozen=True)
class Plan:
    """``kinds``: which bridges; ``runs``: of each."""

    kinds: tuple[Kind, ...]
    runs: int = 3


@contextmanager
def running(
    kind: Kind,
    speech: Speech = SHORT,
    *,
    names: Sequence[str] = ("it",),
    people: int = 1,
    qps: int = 0,
    latency: float = 0.0,
    keys: Mapping[str, Mapping[str, object]] | None = None,
    tls: bool = False,
) -> Iterator[tuple[Running, Neighbours]]:
    """A bridge of ``kind`` between neighbours, all ``names`` connected, with room for ``people``.

    A worker of dod's carries 16 turns, one of the original's one, on a connection of its own.
    ``keys``: of dod's bots, by name.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        files = certificate(folder) if tls else None
        near = stack.enter_context(Neighbours(qps=qps, tls=files))
        for one in names:
            near.add_bot(one, speech)
        near.latency(latency)
        workers = people if kind == "original" else -(-people // 16)
        bridge = Bridge(
            kind,
            names,
            workers=max(1, workers),
            qps=OURS if qps else 0,
            keys=keys or {},
            ca=files[0] if files else None,
        )
        yield stack.enter_context(Running(bridge, near, folder / kind)), near


# ---------------------------------------------------------------------- of people


def _since(
    people: Sequence[Seen],
    end: Callable[[Seen], float | None],
    start: Callable[[Seen], float | None] = lambda seen: seen.said,
) -> list[float]:
    """Seconds from ``start`` to ``end``, of those who saw both."""
    return [
        b - a for seen in people if (a := start(seen)) is not None and (b := end(seen)) is not None
    ]


def _first(people: Sequence[Seen]) -> list[float]:
    return _since(people, lambda seen: seen.first)


def _after_dify(people: Sequence[Seen]) -> list[float]:
    return _since(people, lambda seen: seen.last, lambda seen: seen.dify_last)


def one_person(plan: Plan) -> list[Row]:
    first = Row("first text, 1 person", "s", "≤ 1.10 × floor")
    slow = Row("the same, 100 ms per DingTalk call", "s", "≤ 1.10 × floor")
    late = Row("end of the card after Dify's last token, 100 ms per call", "s")
    calls = Row("DingTalk calls for 50 tokens in 1.3 s", "calls")
    opened = Row("TCP connections opened for it, warm", "connections")
    for latency in (0.0, 0.1):
        for kind in plan.kinds:
            with running(kind, SHORT, latency=latency) as (bridge, _):
                bridge.crowd(1, PATIENCE)  # not counted: connections are opened
                for _ in range(max(4, plan.runs)):
                    seen = bridge.crowd(1, PATIENCE)
                    (slow if latency else first).add(kind, _first(seen.people)[0])
                    if latency:
                        late.add(kind, _after_dify(seen.people)[0])
                    else:
                        calls.add(kind, seen.calls)
                        opened.add(kind, seen.connections)
    return [first, slow, late, calls, opened]


def _crowds(
    plan: Plan, people: int, *, qps: int = 0, kinds: Sequence[Kind] = ()
) -> Iterator[tuple[Kind, Crowd]]:
    for kind in kinds or plan.kinds:
        with running(kind, CROWD, people=people, qps=qps) as (bridge, _):
            for _ in range(plan.runs):
                patience = SHORTER if kind == "original" else PATIENCE + people / QPS
                yield kind, bridge.crowd(people, patience)


def _all(seen: Crowd, *rows: Row, kind: Kind) -> bool:
    """Whether everybody was answered: else there is no time and no cost of an answer to tell."""
    if seen.whole == len(seen.people):
        return True
    for row in rows:
        row.notes[kind] = "not all answered"
    return False


def crowd_50(plan: Plan) -> list[Row]:
    late = Row(
        "50 people: card ended after Dify's last token, p95",
        "s",
        "≤ one update + 0.05 s",
    )
    first = Row("50 people: first text, p95", "s")
    calls = Row("50 people: calls per answer of 3 s", "calls")
    opened = Row("50 people: TCP connections opened for their first 50 answers", "connections")
    cpu = Row("50 people: CPU per answer", "ms")
    lost = Row("50 people: answers not whole", "answers", "0")
    for kind, seen in _crowds(plan, 50):
        lost.add(kind, 50 - seen.whole)
        if not _all(seen, late, first, calls, opened, cpu, kind=kind):
            continue
        late.add(kind, p95(_after_dify(seen.people)))
        first.add(kind, p95(_first(seen.people)))
        calls.add(kind, seen.calls / 50)
        cpu.add(kind, seen.cpu / 50 * 1000)
        if kind not in opened.values:
            opened.add(kind, seen.connections)
    return [late, first, calls, opened, cpu, lost]


def crowd_200(plan: Plan) -> list[Row]:
    first = Row("200 people: first text, p95", "s", "≤ 1.5 × floor")
    late = Row("200 people: card ended after Dify's last token, p95", "s")
    lost = Row("200 people: answers not whole", "answers", "0")
    for kind, seen in _crowds(plan, 200):
        lost.add(kind, 200 - seen.whole)
        if _all(seen, first, late, kind=kind):
            first.add(kind, p95(_first(seen.people)))
            late.add(kind, p95(_after_dify(seen.people)))
    return [first, late, lost]


def throttled(plan: Plan, people: int, kinds: Sequence[Kind]) -> list[Row]:
    """20 calls a second and API."""
    title = f"{people} people at {QPS} QPS: "
    goal = f"≤ {people / OURS + 1:.1f} s" if people == 50 else ""
    late = Row(title + "last card ended after Dify's last token", "s", goal)
    goal = f"≤ {people / OURS + 2:.1f} s" if people == 200 else ""
    card = Row(title + "everybody sees a card", "s", goal)
    refused = Row(title + "calls refused", "calls", "0")
    lost = Row(title + "answers not whole", "answers", "0")
    for kind, seen in _crowds(plan, people, qps=QPS, kinds=kinds):
        last = max(one.dify_last or 0.0 for one in seen.people)
        if all(one.last for one in seen.people):
            late.add(kind, max(one.last or 0.0 for one in seen.people) - last)
        if all(one.card for one in seen.people):
            card.add(kind, max(_since(seen.people, lambda one: one.card)))
        refused.add(kind, seen.refused)
        lost.add(kind, people - seen.whole)
    for kind in kinds:
        for row in (late, card):
            if len(row.values.get(kind, ())) < plan.runs:
                row.values.pop(kind, None)
                row.notes[kind] = "not everybody"
    return [late, card, refused, lost]


def book(plan: Plan) -> list[Row]:
    late = Row("50,000 characters: on the card after Dify's last token", "s")
    calls = Row("50,000 characters: DingTalk calls", "calls")
    events = Row("events of Dify read per second of CPU", "", "≥ 10,000")
    lost = Row("50,000 characters: answers not whole", "answers", "0")
    for kind in plan.kinds:
        # All on cards, as the others have it; usually dod sends a file after the fourth.
        with running(kind, BOOK, keys={"it": {"answer_file_after_cards": 0}}) as (bridge, _):
            if kind != "original":
                bridge.crowd(1, PATIENCE)  # not counted: connections are opened
            # The original's first one would still be under way when the next is asked.
            for _ in range(1 if kind == "original" else plan.runs):
                seen = bridge.crowd(1, SHORTER if kind == "original" else PATIENCE)
                whole = seen.whole == 1
                late.add(kind, _after_dify(seen.people)[0] if whole else None)
                calls.add(kind, seen.calls)
                lost.add(kind, 1 - seen.whole)
                if whole:
                    events.add(kind, BOOK.tokens / max(seen.cpu, 0.01))
            if kind not in late.values:
                late.notes[kind] = events.notes[kind] = f"not within {SHORTER:.0f} s"
    return [late, calls, events, lost]


# ---------------------------------------------------------------------- of machines


def start_up(plan: Plan) -> list[Row]:
    row = Row("start → connected, 1 bot", "s", "≤ 1.5 s")
    for kind in plan.kinds:
        for _ in range(max(5, plan.runs)):
            with running(kind) as (bridge, _):
                row.add(kind, bridge.started_after)
    return [row]


def reload_one(plan: Plan) -> list[Row]:
    """The others have to be restarted to read their file."""
    names = [f"b{n:02}" for n in range(OFFICE)]
    row = Row(f"one of {OFFICE} bots changed in the file → applied", "s", "≤ 1 s")
    disturbed = Row("connections that the other bots open anew for it", "connections", "0")
    for kind in plan.kinds:
        with running(kind, names=names) as (bridge, near):
            for number in range(1, plan.runs + 1):
                name = names[number * 11 % OFFICE]
                before = near.opened()
                if kind == "dod":
                    time.sleep(1.0)
                    took = bridge.bot(name)["generation"] + 1
                began = time.monotonic()
                bridge.write({name: {"max_workers": 2 + number}})
                if kind == "dod":
                    at = until(lambda: bridge.bot(name)["generation"] == took, "applied", 30)  # noqa: B023
                else:
                    bridge.stop()
                    near.gone(names)
                    bridge.start()
                    at = time.monotonic()
                    row.notes[kind] = "restarted"
                row.add(kind, at - began)
                others = sum(
                    count - before.get(one, 0)
                    for one, count in near.opened().items()
                    if one != name
                )
                disturbed.add(kind, others)
    return [row, disturbed]


def idle(plan: Plan) -> list[Row]:
    """Memory while nobody asks: all sizes of one kind at once, which only CPU would notice."""
    base, rows = {}, []
    for scheme in ("wss", "ws"):
        goal = "≤ 65 MB" if scheme == "wss" else ""
        base[scheme] = Row(f"memory of 1 idle bot, {scheme}", "MB", goal)
        rows.append(base[scheme])
        for count in IDLE[1:]:
            goal = "≤ 0.45 MB" if scheme == "wss" else "≤ 0.15 MB"
            rows.append(Row(f"memory of each further of {count} idle bots, {scheme}", "MB", goal))
    cpu = Row(f"CPU of {IDLE[-1]} idle bots, wss", "% of a core")
    for _ in range(plan.runs):
        with ExitStack() as stack:
            found: dict[tuple[Kind, str, int], Running] = {}
            for kind in plan.kinds:
                for scheme in ("wss", "ws"):
                    for count in IDLE:
                        names = [f"b{n:03}" for n in range(count)]
                        made = running(kind, names=names, tls=scheme == "wss")
                        found[kind, scheme, count], _ = stack.enter_context(made)
            time.sleep(SETTLE)
            spent = {kind: -found[kind, "wss", IDLE[-1]].cpu() for kind in plan.kinds}
            time.sleep(5.0)
            for kind in plan.kinds:
                spent[kind] += found[kind, "wss", IDLE[-1]].cpu()
                cpu.add(kind, spent[kind] / 5.0 * 100)
            for (kind, scheme, count), bridge in found.items():
                one = found[kind, scheme, 1].memory()
                if count == 1:
                    base[scheme].add(kind, one)
                    continue
                title = f"memory of each further of {count} idle bots, {scheme}"
                row = next(row for row in rows if row.what == title)
                row.add(kind, (bridge.memory() - one) / (count - 1))
    return [*rows, cpu]


def pacing(plan: Plan) -> list[Row]:
    """Calls and lag of each policy: for 10 s as often as there are runs, for three minutes once.

    The original has no policies: what it does is written beside each. The floor shows no text
    between the first and the last.
    """
    table: dict[tuple[str, str], tuple[Row, Row, Row]] = {}
    for title, most in (("10 s", 9), ("3 min", 20)):
        for pace in PACES:
            ours = pace == "balanced"
            what = f"{title}, {pace}: "
            table[title, pace] = (
                Row(what + "DingTalk calls", "calls", f"≤ {most}" if ours else ""),
                Row(what + "mean lag", "s", "≤ 1.0 s" if ours and most == 9 else ""),
                Row(what + "p95 lag", "s"),
            )

    def measure(kind: Kind, speech: Speech, title: str, runs: int) -> None:
        names = PACES if kind == "dod" else PACES[:1]
        keys = {one: {"card_updates": pace} for one, pace in zip(names, PACES, strict=False)}
        with running(kind, speech, names=names, keys=keys) as (bridge, _):
            for _ in range(runs):
                seconds = speech.tokens * speech.interval + PATIENCE
                seen = bridge.crowd(1, seconds, names)
                for number, pace in enumerate(PACES):
                    at = number if kind == "dod" else 0
                    calls, mean, worst = table[title, pace]
                    calls.add(kind, seen.by_bot.get(names[at], 0))
                    mean.add(kind, seen.people[at].lag)
                    worst.add(kind, seen.people[at].lag_p95)

    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(measure, kind, speech, title, runs)
            for kind in plan.kinds
            if kind != "floor"
            for speech, title, runs in ((TEN, "10 s", plan.runs), (LONG, "3 min", 1))
        ]
    for job in jobs:
        job.result()
    return [row for three in table.values() for row in three]
