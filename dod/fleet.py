"""Running bots := accepted bots. Restarts the dead, drains all. Thread: main only, so no locks."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dod.botthread import BotThread
from dod.bridge.bot import Bot
from dod.config.spec import BotSpec, Config
from dod.status import BotSnapshot

log = logging.getLogger(__name__)

FIRST_RESTART, LAST_RESTART = 1.0, 60.0  # seconds of back-off
GOOD = 600.0  # seconds alive after which a crash is forgotten


@dataclass(slots=True)
class _Post:
    """A place in the fleet: the thread that holds it, and how often one died there lately."""

    thread: BotThread
    crashes: int = 0
    restart_at: float = 0.0


class Fleet:
    """Lifecycle: ``apply*``, ``check`` at every tick, ``drain`` once."""

    def __init__(self, build: Callable[[BotSpec], Bot]) -> None:
        self._build = build
        self._posts: dict[str, _Post] = {}
        self._disabled: tuple[str, ...] = ()

    def apply(self, config: Config) -> None:
        """Start every enabled bot of ``config`` that does not run yet."""
        self._disabled = tuple(spec.name for spec in config.bots if not spec.enabled)
        for spec in config.bots:
            if spec.enabled and spec.name not in self._posts:
                self._posts[spec.name] = _Post(self._start(spec))

    def check(self) -> None:
        """Start dead bots again, each with its own back-off."""
        now = time.monotonic()
        for name, post in self._posts.items():
            if not post.thread.dead:
                continue
            if not post.restart_at:
                lived = now - post.thread.started_at
                post.crashes = 1 if lived > GOOD else post.crashes + 1
                wait = min(FIRST_RESTART * 2 ** (post.crashes - 1), LAST_RESTART)
                post.restart_at = now + wait
                log.error("bot=%s died, starts again in %.0f s", name, wait)
            elif now >= post.restart_at:
                post.thread, post.restart_at = self._start(post.thread.spec), 0.0

    def drain(self, deadline: float) -> bool:
        """End all bots by ``deadline`` (monotonic seconds). True when all have ended."""
        self.hurry(deadline)
        ended = [
            post.thread.join(deadline - time.monotonic()) or post.thread.spec.name
            for post in self._posts.values()
        ]
        late = [name for name in ended if name is not True]
        if late:
            log.warning("bots not ended in time: %s", ", ".join(map(str, late)))
        return not late

    def hurry(self, deadline: float) -> None:
        for post in self._posts.values():
            post.thread.drain(deadline)

    @property
    def beats(self) -> bool:
        """Every bot's loop is alive; a dead bot that waits for its restart counts as alive."""
        return all(post.thread.beats for post in self._posts.values())

    def snapshots(self) -> tuple[BotSnapshot, ...]:
        running = tuple(post.thread.snapshot() for post in self._posts.values())
        disabled = tuple(
            BotSnapshot(name=name, state="stopped", since=0.0, verdict="disabled")
            for name in self._disabled
        )
        return running + disabled

    def _start(self, spec: BotSpec) -> BotThread:
        thread = BotThread(spec, self._build)
        thread.start()
        log.info("bot=%s started", spec.name)
        return thread
