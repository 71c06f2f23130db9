"""A bot's lines: the one that serves, and the one that is to take over from it.

Thread: the bot's loop. Which line serves, leaves or waits is decided here.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from dod.bridge.line import Line
from dod.bridge.promises import Promises
from dod.bridge.reception import Reception
from dod.bridge.servings import Servings
from dod.config.spec import BotSpec
from dod.messages import Message, Press, PressReply
from dod.ports import Channel, StateChange

log = logging.getLogger(__name__)

PROOF = 0.25  # seconds that a new connection must last before the old one leaves for it


class Lines:
    """Lifecycle: ``open`` → ``take*`` meanwhile → ``leave`` → ``aclose``.

    New credentials open a second line; when it is connected the old one leaves (design §6). A line
    that cannot connect never replaces one that works. ``on_state`` tells of the line that serves,
    ``on_end`` that its channel has ended, and what broke it.
    """

    def __init__(
        self,
        line: Line,
        make_channel: Callable[[BotSpec], Channel],
        servings: Servings,
        reception: Reception,
        promises: Promises,
        *,
        on_state: Callable[[StateChange], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.current = line
        self.upcoming: Line | None = None
        self._make_channel = make_channel
        self._servings = servings
        self._reception = reception
        self._promises = promises
        self._on_state = on_state
        self._on_end = on_end
        self._leaving = False
        self._opened = 0  # websockets of lines that have left

    @property
    def connections(self) -> int:
        """Websockets opened so far. May be read from any thread."""
        upcoming = self.upcoming
        return (
            self._opened
            + self.current.channel.connections
            + (upcoming.channel.connections if upcoming else 0)
        )

    def take(self, spec: BotSpec) -> None:
        """Serve by ``spec`` from the next message on; new credentials once they are connected."""
        client_id, secret = self.current.spec.credentials
        now = replace(spec, dingtalk_app_client_id=client_id, dingtalk_app_client_secret=secret)
        if now != self._servings.newest.spec:  # live keys do not wait for credentials
            self._serve(now, self.current)
        if spec.credentials == self.current.spec.credentials:
            self._drop_upcoming()
        elif self.upcoming and self.upcoming.spec.credentials == spec.credentials:
            self.upcoming.spec = spec
        else:
            self._drop_upcoming()
            self.upcoming = Line(spec, self._make_channel(spec))
            self._reception.spawn(self._open_upcoming(self.upcoming), "new credentials")

    def leave(self) -> None:
        """The bot drains: nothing new comes in, and no line replaces another."""
        self._leaving = True
        self._drop_upcoming()
        self._reception.spawn(self.current.channel.leave(), "leave")

    async def aclose(self) -> None:
        for line in (self.current, self.upcoming):
            if line is not None:
                await line.aclose()

    # -- one line

    def open(self, line: Line) -> None:
        client_id = line.spec.dingtalk_app_client_id
        claims = self._promises.claims(client_id)

        async def receive(message: Message) -> None:
            self._believe(line)  # a message is the best proof
            # Who came by the old channel is answered there, also while it leaves.
            serving = line.serving or self._servings.newest
            await self._reception.receive(message, client_id, claims, serving)

        async def press(pressed: Press) -> PressReply:
            serving = line.serving or self._servings.newest
            return await self._reception.presses.answer(pressed, serving)

        running = line.open(receive, lambda change: self._heard(line, change), press)
        running.add_done_callback(lambda task: self._ended(line, task))

    async def _open_upcoming(self, line: Line) -> None:
        """Know what the new app's messages came to before, then connect."""
        await self._promises.soon(lambda: self.read(line))
        if line is self.upcoming:
            self.open(line)

    def _drop_upcoming(self) -> None:
        if self.upcoming is not None:
            line, self.upcoming = self.upcoming, None
            self._leave_behind(line)
            self._reception.spawn(line.aclose(), "credentials given up")

    def _heard(self, line: Line, change: StateChange) -> None:
        line.change = change
        if change.state == "connected":
            line.connected.set()
            if line is self.current:
                self._take_up_left()
                self._promises.connected.set()
            elif self.current.change.state == "connected":
                # A suspended app's connection is accepted and closed at once (dingtalk-protocol
                # §10.3): it must not replace one that works.
                asyncio.get_running_loop().call_later(PROOF, self._believe, line)
            else:
                self._believe(line)
        if line is self.current:
            self._on_state(change)

    def _believe(self, line: Line) -> None:
        """The next line is connected, and has lasted or delivered: it serves from here on."""
        if line is self.upcoming and line.change.state == "connected":
            self.upcoming = None
            self._swap(line)
            self._promises.connected.set()
            self._on_state(line.change)

    def _swap(self, line: Line) -> None:
        """From here nothing can fail: the new line serves, the old one leaves."""
        old, self.current = self.current, line
        self._opened += old.channel.connections
        old.leaving = self._reception.spawn(old.channel.leave(), "old channel leaves")
        self._serve(line.spec, line, leaving=old)
        self._take_up_left()  # before the first new message
        self._leave_behind(old)

    def _serve(self, spec: BotSpec, line: Line, *, leaving: Line | None = None) -> None:
        self._servings.serve(spec, line, leaving=leaving)
        self._reception.lanes.admit()

    def _ended(self, line: Line, task: asyncio.Task[None]) -> None:
        """A line that ends by itself breaks the bot, which is then started again."""
        error = None if task.cancelled() else task.exception()
        if line is self.current:
            self._on_end(error)
        elif error is not None:
            line.change = StateChange("retrying", type(error).__name__)
            log.error("bot=%s a channel broke", line.spec.name, exc_info=error)

    # -- what crashes left

    async def read(self, line: Line) -> None:
        """Know what was promised at the line's app; another one may serve by then."""
        await self._promises.read(line.spec.dingtalk_app_client_id)
        self._take_up_left()
        self._leave_behind(line)

    def _take_up_left(self) -> None:
        """Go on with it at the app that serves, once that is connected."""
        if self.current.connected.is_set() and not self._leaving:
            self._promises.take_up(self.current.spec.dingtalk_app_client_id)

    def _leave_behind(self, line: Line) -> None:
        """Leave it on disk, unless another line has the same app."""
        client_id = line.spec.dingtalk_app_client_id
        lines = (self.current, self.upcoming)
        if all(one is None or one.spec.dingtalk_app_client_id != client_id for one in lines):
            self._promises.leave_behind(client_id)
