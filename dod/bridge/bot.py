"""One bot: its channel, its app, and how both are changed without losing a message.

Thread: one loop, its own. It knows no threads and no libraries, only the ports.
Which line serves, leaves or waits is decided here.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from dod.bridge.haste import Haste
from dod.bridge.line import Line
from dod.bridge.promises import Promises
from dod.bridge.reception import Reception
from dod.bridge.servings import Servings
from dod.bridge.underway import Meter
from dod.config.spec import BotSpec, Config
from dod.messages import Message, Press, PressReply
from dod.ports import App, Channel, StateChange, Store
from dod.status import BotSnapshot, BotState

log = logging.getLogger(__name__)

CLOSING = 2.5  # seconds before the deadline: Dify is told to stop and cards are closed
PROOF = 0.25  # seconds that a new connection must last before the old one leaves for it


class Bot:
    """Lifecycle: ``run`` (until drained) → ``take*`` meanwhile → ``drain(deadline)`` → ``aclose``.

    New credentials open a second line; when it is connected the old one leaves (design §6). A line
    that cannot connect never replaces one that works.
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
        self._make_channel = make_channel
        self._meter = meter
        self._line = Line(spec, make_channel(spec))
        self._next_line: Line | None = None
        self._haste = Haste()
        self._servings = Servings(spec, self._line, make_app, self._haste)
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
        self._over = asyncio.Event()
        self._broken: BaseException | None = None
        self._state: BotState = "starting"
        self._since = time.time()
        self._error = ""
        self._opened = 0  # websockets of lines that have left

    @property
    def spec(self) -> BotSpec:
        return self._servings.newest.spec

    # -- life

    async def run(self) -> None:
        """Serve until drained. What a crash left comes before what is new. Raises if broken."""
        line = self._line
        await self._promises.soon(lambda: self._load(line))
        self._open(line)
        await self._over.wait()
        if self._broken is not None:
            raise self._broken

    async def _load(self, line: Line) -> None:
        await self._meter.load()
        await self._read(line)
        self._promises.look_after_orphans()

    async def _read(self, line: Line) -> None:
        """Know what was promised at the line's app; another one may serve by then."""
        await self._promises.read(line.spec.dingtalk_app_client_id)
        self._take_up_left()
        self._leave_behind(line)

    def take(self, spec: BotSpec) -> None:
        """Serve by ``spec`` from the next message on; new credentials once they are connected."""
        if self._state == "draining":
            return
        client_id, secret = self._line.spec.credentials
        now = replace(spec, dingtalk_app_client_id=client_id, dingtalk_app_client_secret=secret)
        if now != self.spec:  # live keys do not wait for credentials
            self._serve(now, self._line)
        if spec.credentials == self._line.spec.credentials:
            self._drop_next_line()
        elif self._next_line and self._next_line.spec.credentials == spec.credentials:
            self._next_line.spec = spec
        else:
            self._drop_next_line()
            self._next_line = Line(spec, self._make_channel(spec))
            self._reception.spawn(self._open_next(self._next_line), "new credentials")

    async def drain(self, deadline: float, *, patient: bool = False) -> None:
        """Take nothing new, finish what runs, close what cannot be finished.

        ``deadline``: loop time by which this returns, whatever the neighbours do. ``patient``:
        who waits is still served (the bot left the file); else left for the next start.
        """
        loop = asyncio.get_running_loop()
        self._change("draining")
        self._drop_next_line()
        self._reception.spawn(self._line.channel.leave(), "leave")
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
        for line in (self._line, self._next_line):
            if line is not None:
                await self._close_line(line)
        await self._servings.aclose()
        self._change("stopped")

    async def tell(self, staff_ids: Sequence[str], text: str) -> None:
        """Send a message unasked. Raises DingTalkError."""
        await self._line.channel.tell(staff_ids, text, corp_id=self._reception.corp_id)

    # -- lines

    def _open(self, line: Line) -> None:
        client_id = line.spec.dingtalk_app_client_id
        claims = self._promises.claims(client_id)

        async def receive(message: Message) -> None:
            self._believe(line)  # a message is the best proof
            # Who came by the old channel is answered there, also while it leaves.
            serving = line.serving or self._servings.newest
            await self._reception.receive(message, client_id, claims, serving)

        async def press(pressed: Press) -> PressReply:
            return await self._reception.presses.answer(
                pressed, line.serving or self._servings.newest
            )

        async def run() -> None:
            await line.channel.run(receive, lambda change: self._on_state(line, change), press)

        line.running = asyncio.create_task(run(), name=f"channel of {line.spec.name}")
        line.running.add_done_callback(lambda task: self._on_end(line, task))

    async def _open_next(self, line: Line) -> None:
        """Know what the new app's messages came to before, then connect."""
        await self._promises.soon(lambda: self._read(line))
        if line is self._next_line:
            self._open(line)

    def _take_up_left(self) -> None:
        if self._line.connected.is_set() and self._state != "draining":
            self._promises.take_up(self._line.spec.dingtalk_app_client_id)

    def _leave_behind(self, line: Line) -> None:
        client_id = line.spec.dingtalk_app_client_id
        lines = (self._line, self._next_line)
        if all(one is None or one.spec.dingtalk_app_client_id != client_id for one in lines):
            self._promises.leave_behind(client_id)

    def _drop_next_line(self) -> None:
        if self._next_line is not None:
            line, self._next_line = self._next_line, None
            self._leave_behind(line)
            self._reception.spawn(self._close_line(line), "credentials given up")

    async def _close_line(self, line: Line) -> None:
        if line.running is not None:
            line.running.cancel()
            await asyncio.wait({line.running})
        await line.channel.aclose()

    def _on_state(self, line: Line, change: StateChange) -> None:
        line.change = change
        if change.state == "connected":
            line.connected.set()
            if line is self._line:
                self._take_up_left()
                self._promises.connected.set()
            elif self._line.change.state == "connected":
                # A suspended app's connection is accepted and closed at once (dingtalk-protocol
                # §10.3): it must not replace one that works.
                asyncio.get_running_loop().call_later(PROOF, self._believe, line)
            else:
                self._believe(line)
        self._show(line)

    def _believe(self, line: Line) -> None:
        """The next line is connected, and has lasted or delivered: it serves from here on."""
        if line is self._next_line and line.change.state == "connected":
            self._next_line = None
            self._swap(line)
            self._promises.connected.set()
            self._show(line)

    def _show(self, line: Line) -> None:
        if line is self._line:
            self._error = line.error
            if self._state != "draining":
                self._change(line.change.state)

    def _on_end(self, line: Line, task: asyncio.Task[None]) -> None:
        """A line that ends by itself breaks the bot, which is then started again."""
        error = None if task.cancelled() else task.exception()
        if line is self._line:
            if self._state not in {"draining", "stopped"}:
                self._broken = error or RuntimeError("the channel ended without being asked to")
            self._over.set()
        elif error is not None:
            line.change = StateChange("retrying", type(error).__name__)
            log.error("bot=%s a channel broke", line.spec.name, exc_info=error)

    def _swap(self, line: Line) -> None:
        """From here nothing can fail: the new line serves, the old one leaves."""
        old, self._line = self._line, line
        self._opened += old.channel.connections
        old.leaving = self._reception.spawn(old.channel.leave(), "old channel leaves")
        self._serve(line.spec, line, leaving=old)
        self._take_up_left()  # before the first new message
        self._leave_behind(old)

    def _serve(self, spec: BotSpec, line: Line, *, leaving: Line | None = None) -> None:
        self._servings.serve(spec, line, leaving=leaving)
        self._reception.lanes.admit()

    # -- telling

    def _change(self, state: BotState) -> None:
        if state != self._state:
            self._state, self._since = state, time.time()

    def snapshot(self) -> BotSnapshot:
        """May be read from any thread: it only copies numbers and words."""
        line, upcoming = self._line, self._next_line
        refused = upcoming.error if upcoming else ""
        return BotSnapshot(
            name=self.spec.name,
            state=self._state,
            since=self._since,
            generation=self._servings.generation,
            verdict="running_old" if refused else "running",
            turns=self._reception.underway.counts,
            connections=self._opened
            + line.channel.connections
            + (upcoming.channel.connections if upcoming else 0),
            calls=self._meter.calls_this_month,
            pushes=self._meter.pushes_this_month,
            last_error=f"new credentials do not connect, the old ones go on: {refused}"
            if refused
            else self._error,
            connection=line.channel.connection,
        )
