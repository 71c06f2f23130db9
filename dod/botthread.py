"""One bot on one thread with one event loop: a leak, a crash or a blocking call hurts one bot."""

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from dod.bridge.bot import Bot
from dod.config.spec import BotSpec
from dod.lookups import Lookups
from dod.status import BotSnapshot

log = logging.getLogger(__name__)

BEAT = 1.0  # seconds between heartbeats
DEAF = 30.0  # seconds without a beat: the loop is blocked

# Owners of promises on disk whose thread still runs: what they promised is no leftover.
_ALIVE: set[str] = set()


def alive(owner: str) -> bool:
    """Whether the thread with this ``owner`` still runs. Thread: any."""
    return owner in _ALIVE


class BotThread:
    """Lifecycle: ``start`` → ``drain`` → ``join``; single use.

    Thread: made and asked by the main thread; everything asynchronous happens in its own.
    """

    def __init__(
        self,
        spec: BotSpec,
        build: Callable[[BotSpec, str], Bot],
        *,
        begin_with: BotSpec | None = None,
    ) -> None:
        """``begin_with``: what is known to have worked, to serve by until ``spec`` is taken."""
        self._begin_with = begin_with
        self.spec = spec  # the newest one given
        self.owner = uuid.uuid4().hex
        self._refused = ""
        self.started_at = time.monotonic()
        self._build = build
        self._bot: Bot | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()  # a shorter deadline has come
        self._deadline: float | None = None
        self._patient = False
        self._beat = time.monotonic()
        self._crash = ""
        self._since = time.time()
        self._thread = threading.Thread(target=self._main, name=f"bot {spec.name}", daemon=True)

    def start(self) -> None:
        """Raises RuntimeError where the host gives no more threads."""
        self._thread.start()

    def take(self, spec: BotSpec) -> None:
        """Give the bot a new spec; its generation tells when it has taken it."""
        self.spec = spec
        self._call(lambda bot: self._take(bot, spec))

    def _take(self, bot: Bot, spec: BotSpec) -> None:
        """The rim of a change: what cannot be taken leaves the bot as it is, and is said."""
        try:
            bot.take(spec)
            self._refused = ""
        except Exception as error:
            log.exception("bot=%s cannot take its new settings", spec.name)
            self._refused = f"new settings cannot be taken: {type(error).__name__}, see the log"

    def tell(self, staff_ids: Sequence[str], text: str) -> "Future[None] | None":
        """Send a message unasked; None where no loop runs."""
        bot, loop = self._bot, self._loop
        if bot is None or loop is None or not self._thread.is_alive():
            return None
        telling = bot.tell(staff_ids, text)
        try:
            return asyncio.run_coroutine_threadsafe(telling, loop)
        except RuntimeError:  # the loop has ended meanwhile
            telling.close()
            return None

    def drain(self, deadline: float, *, patient: bool = False) -> None:
        """Ask the bot to end by ``deadline`` (monotonic seconds). A later call may shorten it.

        ``patient``: who waits is still served (see ``Bot.drain``).
        """
        self._patient = patient and self._deadline is None
        self._deadline = deadline
        self._call(lambda _: self._hurry.set() if self._stop.is_set() else self._stop.set())

    def _call(self, work: Callable[[Bot], None]) -> None:
        """Do ``work`` on the bot's loop, if it has begun; it begins with the newest spec."""
        bot, loop = self._bot, self._loop
        if bot is not None and loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(work, bot)

    def join(self, seconds: float) -> bool:
        """True when the thread has ended."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    @property
    def served(self) -> BotSpec | None:
        """What the bot served by last: with the credentials that worked. Thread: any."""
        return self._bot.spec if self._bot is not None else None

    @property
    def dead(self) -> bool:
        """The thread ended without being asked to."""
        return bool(self._crash) and not self._thread.is_alive()

    @property
    def beats(self) -> bool:
        return not self._thread.is_alive() or time.monotonic() - self._beat < DEAF

    def snapshot(self) -> BotSnapshot:
        if self._bot is None:
            snapshot = BotSnapshot(name=self.spec.name, state="starting", since=self._since)
        else:
            snapshot = self._bot.snapshot()
        if self._crash:
            return replace(snapshot, state="dead", since=self._since, last_error=self._crash)
        if self._refused:
            return replace(snapshot, verdict="running_old", last_error=self._refused)
        return snapshot

    def _main(self) -> None:
        _ALIVE.add(self.owner)
        try:
            with asyncio.Runner() as runner:
                runner.run(self._live())
        except Exception as error:
            log.exception("bot=%s thread died", self.spec.name)
            self._crash, self._since = f"{type(error).__name__}, see the log", time.time()
        finally:
            _ALIVE.discard(self.owner)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        # One worker: DNS is all that ever blocks here.
        loop.set_default_executor(Lookups(1, f"dns {self.spec.name}"))
        begun_with = self._begin_with or self.spec
        bot = self._build(begun_with, self.owner)
        self._bot, self._loop = bot, loop
        if self.spec is not begun_with:  # another came while it was built
            self._take(bot, self.spec)
        beating = asyncio.create_task(self._keep_beating(), name="beat")
        running = asyncio.create_task(bot.run(), name="run")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        if self._deadline is not None:  # asked before the loop was there
            self._stop.set()
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await self._drain(bot)
        finally:
            for task in (beating, running, stopping):
                task.cancel()
            await bot.aclose()

    async def _drain(self, bot: Bot) -> None:
        """Drain by the deadline, and again by a shorter one that comes meanwhile."""
        deadline = self._deadline or time.monotonic()
        draining = asyncio.create_task(bot.drain(deadline, patient=self._patient), name="drain")
        hurrying = asyncio.create_task(self._hurry.wait(), name="hurry")
        await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not draining.done():
            draining.cancel()
            await asyncio.wait({draining})
            await bot.drain(self._deadline or time.monotonic())

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT)
