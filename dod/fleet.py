"""Running bots := accepted bots. Starts, changes, restarts and drains them; touches no other.

Thread: main only, so no locks. A *post* is a bot's place: it stays when its thread died, and when
the bot is renamed.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Literal

from dod.botthread import BotThread
from dod.bridge.bot import Bot
from dod.config.spec import BotSpec
from dod.errors import Undeliverable
from dod.status import BotSnapshot

log = logging.getLogger(__name__)

FIRST_RESTART, LAST_RESTART = 1.0, 60.0  # seconds of back-off
GOOD = 600.0  # seconds alive after which a crash is forgotten
LEAVE = 60.0  # seconds that a bot which left the file may finish its answers

Change = Literal[
    "untouched",
    "started",
    "live",
    "credentials",
    "renamed",
    "gone",
    "disabled",
    "keeps_old",
    "not_started",
    "held",
]


@dataclass(slots=True)
class _Post:
    """``thread`` is None before it is started, again or for the first time."""

    spec: BotSpec
    thread: BotThread | None = None
    served: BotSpec | None = None  # by a thread that died: its credentials had worked
    crashes: int = 0
    restart_at: float = 0.0


class Fleet:
    """Lifecycle: ``apply*``, ``check`` at every tick, ``drain`` and ``join`` at the end."""

    def __init__(self, build: Callable[[BotSpec, str], Bot]) -> None:
        """``build(spec, owner)`` is called on the bot's own loop."""
        self._build = build
        self._posts: dict[str, _Post] = {}
        self._leaving: list[BotThread] = []
        self._disabled: tuple[str, ...] = ()
        self._rejected: frozenset[str] = frozenset()

    # -- what shall run

    def apply(
        self, specs: Iterable[BotSpec], rejected: Collection[str] = (), *, remove: bool = True
    ) -> dict[str, Change]:
        """Make ``specs`` what runs; says what happened to each bot.

        A ``rejected`` bot keeps running as it is. Without ``remove`` nobody leaves yet: "held".
        Nobody leaves either while a rejected entry has no name ("#2"): it may be the one.
        """
        wanted = {spec.name: spec for spec in specs}
        changes: dict[str, Change] = {}
        self._rename(wanted, changes)
        for name, spec in wanted.items():
            if spec.enabled:
                changes.setdefault(name, self._set(spec))
        self._rejected = frozenset(rejected)
        for name in rejected:
            changes[name] = "keeps_old" if name in self._posts else "not_started"
        unnamed = any(name.startswith("#") for name in rejected)
        for name in [name for name in self._posts if name not in changes]:
            if name in wanted:  # and not enabled
                changes[name] = "disabled"
                self._leave(name)
            elif remove and not unnamed:
                changes[name] = "gone"
                self._leave(name)
            else:
                changes[name] = "held"
        self._disabled = tuple(name for name, spec in wanted.items() if not spec.enabled)
        self._fill()
        return changes

    def _rename(self, wanted: dict[str, BotSpec], changes: dict[str, Change]) -> None:
        """An unknown name with the client id of a bot that is listed no more is that bot."""
        by_client = {
            post.spec.dingtalk_app_client_id: name
            for name, post in self._posts.items()
            if name not in wanted
        }
        for name, spec in wanted.items():
            old = by_client.get(spec.dingtalk_app_client_id)
            if name not in self._posts and old is not None and spec.enabled:
                self._posts[name] = self._posts.pop(old)
                self._set(spec)
                changes[name] = "renamed"

    def _set(self, spec: BotSpec) -> Change:
        post = self._posts.get(spec.name)
        if post is None:
            self._posts[spec.name] = _Post(spec)
            return "started"
        old, post.spec = post.spec, spec
        if spec == old:
            return "untouched"
        if post.thread is not None:
            post.thread.take(spec)
        return "live" if spec.credentials == old.credentials else "credentials"

    def _leave(self, name: str) -> None:
        post = self._posts.pop(name)
        if post.thread is not None:
            post.thread.drain(time.monotonic() + LEAVE, patient=True)
            self._leaving.append(post.thread)

    # -- what runs

    @property
    def specs(self) -> tuple[BotSpec, ...]:
        """Of all bots that are to run, as they were last applied."""
        return tuple(post.spec for post in self._posts.values())

    def check(self) -> None:
        """Start what can be started, also dead bots again, each with its own back-off."""
        self._leaving = [thread for thread in self._leaving if not thread.join(0)]
        now = time.monotonic()
        for name, post in self._posts.items():
            if post.thread is None or not post.thread.dead:
                continue
            if not post.restart_at:
                lived = now - post.thread.started_at
                post.crashes = 1 if lived > GOOD else post.crashes + 1
                wait = min(FIRST_RESTART * 2 ** (post.crashes - 1), LAST_RESTART)
                post.restart_at = now + wait
                log.error("bot=%s died, starts again in %.0f s", name, wait)
            elif now >= post.restart_at:
                post.served, post.thread = post.thread.served, None
        self._fill()

    def _fill(self) -> None:
        """Start a thread at every empty post."""
        for name, post in self._posts.items():
            if post.thread is not None or time.monotonic() < post.restart_at:
                continue
            thread = BotThread(post.spec, self._build, begin_with=post.served)
            try:
                thread.start()
            except RuntimeError as error:  # the host's limit of threads, which may be lifted
                log.error("bot=%s cannot be started: %s", name, error)  # noqa: TRY400
                post.restart_at = time.monotonic() + LAST_RESTART
                continue
            post.thread, post.served, post.restart_at = thread, None, 0.0
            log.info("bot=%s started", name)

    def drain(self, deadline: float) -> None:
        """Ask all bots to end by ``deadline`` (monotonic seconds); a later call may shorten it."""
        for thread in self._threads():
            thread.drain(deadline)

    def join(self, seconds: float) -> list[str]:
        """Wait at most ``seconds``; the names of bots that have not ended."""
        until = time.monotonic() + seconds
        late = [thread for thread in self._threads() if not thread.join(until - time.monotonic())]
        return [thread.spec.name for thread in late]

    def tell(self, staff_ids: Sequence[str], text: str) -> bool:
        """Send a message unasked, by the first connected bot that can. False if none is."""
        connected = [t for t in self._threads() if t.snapshot().state == "connected"]
        if connected:
            _tell(connected, staff_ids, text)
        return bool(connected)

    def _threads(self) -> list[BotThread]:
        posts = [post.thread for post in self._posts.values() if post.thread is not None]
        return posts + self._leaving

    # -- telling

    @property
    def beats(self) -> bool:
        """Every bot's loop is alive; a dead bot that waits for its restart counts as alive."""
        return all(thread.beats for thread in self._threads())

    def snapshots(self) -> tuple[BotSnapshot, ...]:
        running = [self._snapshot(name, post) for name, post in self._posts.items()]
        absent = [
            BotSnapshot(name=name, state="stopped", since=0.0, verdict="not_started")
            for name in sorted(self._rejected - self._posts.keys())
        ]
        absent += [
            BotSnapshot(name=name, state="stopped", since=0.0, verdict="disabled")
            for name in self._disabled
        ]
        leaving = [thread.snapshot() for thread in self._leaving]
        shown = {bot.name for bot in running + absent}
        return (*running, *absent, *(bot for bot in leaving if bot.name not in shown))

    def _snapshot(self, name: str, post: _Post) -> BotSnapshot:
        if post.thread is None:
            snapshot = BotSnapshot(name=name, state="starting", since=0.0)
        else:
            snapshot = replace(post.thread.snapshot(), name=name)
        return replace(snapshot, verdict="running_old") if name in self._rejected else snapshot


def _tell(threads: list[BotThread], staff_ids: Sequence[str], text: str) -> None:
    """By the first of ``threads``; when that fails, by the next. Thread: any."""
    if not threads:
        log.warning("no bot could send the message to the admins")
        return
    sending = threads[0].tell(staff_ids, text)

    def sent(future: "Future[None]") -> None:
        error = None if future.cancelled() else future.exception()
        if error is None:
            return
        log.warning("bot=%s admins not told: %s", threads[0].spec.name, error)
        if not isinstance(error, Undeliverable):  # else no bot of the organisation knows them
            _tell(threads[1:], staff_ids, text)

    if sending is None:
        _tell(threads[1:], staff_ids, text)
    else:
        sending.add_done_callback(sent)
