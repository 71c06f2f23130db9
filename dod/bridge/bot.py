"""One bot: its channel, its app, and how both are changed without losing a message.

Thread: one loop, its own. It knows no threads and no libraries, only the ports.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from dod.bridge.haste import Haste
from dod.bridge.line import Line
from dod.bridge.lines import Lines
from dod.bridge.promises import Promises
from dod.bridge.reception import Reception
from dod.bridge.servings import Servings
from dod.bridge.underway import Meter
from dod.config.spec import BotSpec, Config
from dod.ports import App, Channel, StateChange, Store
from dod.status import BotSnapshot, BotState

log = logging.getLogger(__name__)

CLOSING = 2.5  # seconds before the deadline: Dify is told to stop and cards are closed


class Bot:
    """Lifecycle: ``run`` (until drained) → ``take*`` meanwhile → ``drain(deadline)`` → ``aclose``.

    New credentials are served once they have proven themselves: see ``Lines``.
    """

    def __init__(
        self,
        spec: BotSpec,
        *,
        store: Store,
        make_channel: Callable[[BotSpec], Channel],
        make_app: Callable[[BotSpec], App],
        meter: Meter,
        config: Callable[[], Config],
        owner: str = "",
        alive: Callable[[str], bool] = lambda _owner: False,
    ) -> None:
        """``owner`` names this bot's run, ``alive`` tells of others (see ``Claims``)."""
        self._meter = meter
        line = Line(spec, make_channel(spec))
        self._haste = Haste()
        self._servings = Servings(spec, line, make_app, self._haste)
        self._reception = Reception(
            store, lambda: self._servings.newest, config, meter, self._haste
        )
        self._promises = Promises(
            store,
            self._reception.patience,
            self._reception.resumption,
            config,
            bot=lambda: self.spec.name,
            serving=lambda: self._servings.newest,
            owner=owner,
            alive=alive,
            spawn=self._reception.spawn,
        )
        self._lines = Lines(
            line,
            make_channel,
            self._servings,
            self._reception,
            self._promises,
            on_state=self._on_state,
            on_end=self._on_end,
        )
        self._over = asyncio.Event()
        self._broken: BaseException | None = None
        self._state: BotState = "starting"
        self._since = time.time()
        self._error = ""

    @property
    def spec(self) -> BotSpec:
        return self._servings.newest.spec

    # -- life

    async def run(self) -> None:
        """Serve until drained. What a crash left comes before what is new. Raises if broken."""
        line = self._lines.current
        await self._promises.soon(lambda: self._load(line))
        self._lines.open(line)
        await self._over.wait()
        if self._broken is not None:
            raise self._broken

    async def _load(self, line: Line) -> None:
        await self._meter.load()
        await self._lines.read(line)
        self._promises.look_after_orphans()

    def take(self, spec: BotSpec) -> None:
        """Serve by ``spec`` from the next message on; new credentials once they are connected."""
        if self._state != "draining":
            self._lines.take(spec)

    async def drain(self, deadline: float, *, patient: bool = False) -> None:
        """Take nothing new, finish what runs, close what cannot be finished.

        ``deadline``: loop time by which this returns, whatever the neighbours do. ``patient``:
        who waits is still served (the bot left the file); else left for the next start.
        """
        loop = asyncio.get_running_loop()
        self._change("draining")
        self._lines.leave()
        if not patient:
            self._haste.make()
            self._reception.give_up_waiting()
        await self._reception.until_idle(deadline - CLOSING - loop.time())
        self._haste.make()
        self._servings.hurry()
        self._reception.give_up()
        await self._reception.until_idle(deadline - loop.time())
        self._promises.halt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._meter.flush()

    async def aclose(self) -> None:
        """End everything at once, close everything. Idempotent."""
        self._promises.halt()  # first: it makes tasks of the reception's
        await self._reception.halt()
        self._servings.halt()
        await self._lines.aclose()
        await self._servings.aclose()
        self._change("stopped")

    async def tell(self, staff_ids: Sequence[str], text: str) -> None:
        """Send a message unasked. Raises DingTalkError."""
        channel = self._lines.current.channel
        await channel.tell(staff_ids, text, corp_id=self._reception.corp_id)

    # -- telling

    def _on_state(self, change: StateChange) -> None:
        self._error = change.error
        if self._state != "draining":
            self._change(change.state)

    def _on_end(self, error: BaseException | None) -> None:
        """The line that serves has ended; by itself, unless the bot is draining."""
        if self._state not in {"draining", "stopped"}:
            self._broken = error or RuntimeError("the channel ended without being asked to")
        self._over.set()

    def _change(self, state: BotState) -> None:
        if state != self._state:
            self._state, self._since = state, time.time()

    def snapshot(self) -> BotSnapshot:
        """May be read from any thread: it only copies numbers and words."""
        line, upcoming = self._lines.current, self._lines.upcoming
        refused = upcoming.error if upcoming else ""
        return BotSnapshot(
            name=self.spec.name,
            state=self._state,
            since=self._since,
            generation=self._servings.generation,
            verdict="running_old" if refused else "running",
            turns=self._reception.underway.counts,
            connections=self._lines.connections,
            calls=self._meter.calls_this_month,
            pushes=self._meter.pushes_this_month,
            last_error=f"new credentials do not connect, the old ones go on: {refused}"
            if refused
            else self._error,
            connection=line.channel.connection,
        )
