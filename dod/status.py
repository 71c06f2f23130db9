"""What is shown of the running appliance: immutable, without secrets, names of people or texts.

The main thread builds one ``Status`` per tick; page, API, ``dod status`` and health read it.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import dod
from dod.config.problems import Problem
from dod.logs import redact
from dod.ports import Connection
from dod.quota import Shortage

BotState = Literal[
    "starting",
    "connecting",
    "connected",
    "retrying",
    "bad_credentials",
    "draining",
    "stopped",
    "dead",
]
BotVerdict = Literal["running", "running_old", "not_started", "disabled"]
Verdict = Literal["accepted", "partly", "rejected", "waiting"]


def stamp(epoch: float) -> str:
    """``2026-11-22T12:00:00Z``."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Turns:
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class BotSnapshot:
    """One bot as its own loop sees it. ``since``: epoch seconds of the last change of state.

    ``connection``: its websocket, None without one.
    """

    name: str
    state: BotState
    since: float
    generation: int = 0
    verdict: BotVerdict = "running"
    turns: Turns = field(default_factory=Turns)
    connections: int = 0
    calls: int = 0
    pushes: int = 0
    last_error: str = ""
    connection: Connection | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "since": stamp(self.since),
            "generation": self.generation,
            "verdict": self.verdict,
            "turns": {
                "answered": self.turns.answered,
                "failed": self.turns.failed,
                "in_flight": self.turns.in_flight,
                "waiting": self.turns.waiting,
            },
            "connections": self.connections,
            "connection": _ages(self.connection),
            "dingtalk_calls": {"month": self.calls},
            "dingtalk_pushes": {"month": self.pushes},
            "last_error": redact(self.last_error) or None,  # a neighbour's words
        }


def _ages(connection: Connection | None) -> dict[str, int | None] | None:
    """Seconds since it was opened, and since a frame and a message came by it."""
    if connection is None:
        return None
    now = time.monotonic()

    def since(moment: float) -> int | None:
        return round(now - moment) if moment else None

    return {
        "age_seconds": since(connection.opened_at),
        "frame_seconds_ago": since(connection.heard_at),
        "message_seconds_ago": since(connection.message_at),
    }


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """The verdict of the last load.

    ``applied``: some load was accepted, at least partly, since the start.
    """

    file: str = ""
    loads: int = 0
    verdict: Verdict = "waiting"
    loaded_at: float = 0.0
    problems: tuple[Problem, ...] = ()
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """``alive``: the main loop and every bot thread beat; ``trouble``: the store's, if any.

    ``quota``: what is short of the month at DingTalk.
    """

    started_at: float
    config: ConfigStatus = field(default_factory=ConfigStatus)
    bots: tuple[BotSnapshot, ...] = ()
    alive: bool = True
    stopping: bool = False
    trouble: str = ""
    quota: tuple[Shortage, ...] = ()

    @property
    def ready(self) -> bool:
        """Every accepted bot is connected, or waits for a person to mend its credentials."""
        running = [bot for bot in self.bots if bot.verdict in {"running", "running_old"}]
        settled = all(bot.state in {"connected", "bad_credentials"} for bot in running)
        return settled and self.config.applied and not self.stopping

    def to_json(self) -> dict[str, Any]:
        return {
            "version": dod.__version__,
            "ready": self.ready,
            "started_at": stamp(self.started_at),
            "store": self.trouble or None,
            "quota": [it.to_json() for it in self.quota],
            "config": {
                "file": self.config.file,
                "loads": self.config.loads,
                "verdict": self.config.verdict,
                "loaded_at": stamp(self.config.loaded_at) if self.config.loaded_at else None,
                "problems": [problem.to_json() for problem in self.config.problems],
            },
            "bots": [bot.to_json() for bot in self.bots],
        }
