"""Stay connected to DingTalk: open, keep, doubt, replace, reconnect, leave (§1, §2).

Own loop, not the SDK's, which cannot be cancelled, blocks, acknowledges on the wrong socket and
leaves a gap at each ``disconnect`` (dingtalk-protocol §10.1 to §10.15).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dod.dingtalk.api import Api
from dod.dingtalk.delivery import Delivery, OnMessage, OnPress
from dod.dingtalk.gateway import Link, open_link
from dod.dingtalk.liveness import MOST, Doubt, Sleep
from dod.dingtalk.states import States
from dod.dingtalk.times import EAGER, Backoff
from dod.errors import BadCredentials, DingTalkBusy, DingTalkError
from dod.ports import Connection, StateChange

log = logging.getLogger(__name__)

T = TypeVar("T")


class Stream:
    """Lifecycle: ``run`` (a task of its own) → ``leave`` → ``aclose``. Thread: the bot's loop.

    ``push`` hears the corp id of each bot message; ``wall`` is the local clock, epoch seconds.
    """

    def __init__(
        self,
        api: Api,
        *,
        name: str,
        push: Callable[[str], None],
        backoff: Backoff = EAGER,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.opened = 0
        self._api = api
        self._times = api.times
        self._name = name
        self._backoff = backoff
        self._wall = wall
        self._states = States(name)
        self._delivery = Delivery(name=name, times=api.times, clock=api.clock, push=push)
        self._leaving = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._link: Link | None = None  # the newest
        self._sleep = Sleep(api.times.slept, wall=wall)  # since then
        self._failures = 0  # attempts and short-lived connections in a row
        self._denials = 0  # refused credentials in a row
        self._brief = 0  # connections in a row that ended before they were settled

    async def run(
        self,
        on_message: OnMessage,
        on_state: Callable[[StateChange], None],
        on_press: OnPress | None = None,
    ) -> None:
        """See ``Channel.run``."""
        if self._leaving.is_set():
            return
        self._delivery.on_message, self._states.on_state = on_message, on_state
        self._delivery.on_press = on_press or self._delivery.on_press
        self._ended.clear()
        try:
            self._states.tell(StateChange("connecting"))
            wait = 0.0
            while (link := await self._unless_leaving(self._connect(wait))) is not None:
                over = await self._unless_leaving(self._keep(link))
                if over is None:
                    break
                wait = self._wait_after(over)
            await self._hang_up()
            self._states.tell(StateChange("stopped"))
        finally:
            self._link = None
            self._delivery.drop_links()
            self._ended.set()

    async def leave(self) -> None:
        """See ``Channel.leave``. Bounded by ``times.leave``."""
        self._leaving.set()
        await self._ended.wait()

    async def aclose(self) -> None:
        """End everything at once, also messages that are still being handed over."""
        self._leaving.set()
        self._delivery.drop_links()
        await self._ended.wait()
        await self._delivery.aclose()

    @property
    def connection(self) -> Connection | None:
        """See ``Channel.connection``."""
        link = self._link
        if link is None or link.over.is_set():
            return None
        life = link.life
        return Connection(life.opened_at, life.heard_at, life.message_at)

    # ------------------------------------------------------------------ connecting

    async def _connect(self, wait: float) -> Link:
        """Open a connection, however long it takes; the first attempt after ``wait`` seconds."""
        while True:
            await asyncio.sleep(wait)
            try:
                link = await open_link(self._api)
            except BadCredentials as error:
                wait = self._times.credentials.delay(self._denials)
                self._denials += 1
                self._states.tell(StateChange("bad_credentials", error.detail))
            except DingTalkError as error:
                wait = self._backoff.delay(self._failures)
                self._failures += 1
                self._denials = 0
                self._states.tell(StateChange("retrying", error.detail))
            else:
                self._denials = 0
                self._adopt(link)  # here: who is cancelled now must know what there is to close
                return link

    def _adopt(self, link: Link) -> None:
        self.opened += 1
        self._link = link
        self._sleep = Sleep(self._times.slept, wall=self._wall)
        self._delivery.attend(link)
        # A gateway may accept and hang up again and again (a suspended app): after the second time
        # a connection must last, or deliver, before it is believed.
        if self._brief < 2:
            self._states.tell(StateChange("connected"))

    def _wait_after(self, link: Link) -> float:
        """Seconds until the next attempt, now that ``link`` is over.

        Told to go, the next connection is opened at once, but not again and again: a gateway that
        accepts and hangs up must not make a hot loop (dingtalk-protocol §10.3).
        """
        if link.age >= self._times.settled:
            self._failures = self._brief = 0
        earlier = self._failures
        self._failures += 1
        if link.told_to_go:
            return self._backoff.delay(earlier - 1) if earlier else 0.0
        self._brief += 1
        if not self._leaving.is_set():
            self._states.tell(StateChange("retrying", link.ending))
        return self._backoff.delay(earlier)

    # ------------------------------------------------------------------ keeping

    async def _keep(self, link: Link) -> Link:
        """Serve by ``link`` and its successors; returns the one that is over."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.look):
                    await link.over.wait()
            slept = self._sleep.over(self._times.look)
            if link.closing and not link.told_to_go:
                await link.close()
                await link.over.wait()
            if link.over.is_set():
                return link
            if link.age >= self._times.settled or link.life.message_at:
                self._believe()
            doubt = link.life.doubt(time.monotonic(), self._times, slept=slept)
            if doubt is not None:
                link = await self._replace(link, doubt)
                self._sleep.over(0.0)

    def _believe(self) -> None:
        if self._brief:
            self._failures = self._brief = 0
            self._states.tell(StateChange("connected"))

    async def _replace(self, link: Link, doubt: Doubt) -> Link:
        """The next connection first, then ``link`` may go; without a next one it stays."""
        level = logging.WARNING if doubt.grave and not link.life.refusals else logging.DEBUG
        log.log(level, "bot=%s connection replaced: %s", self._name, doubt.reason)
        if link.life.slept and not link.life.refusals:
            await asyncio.sleep(self._times.apart.delay(0))
        try:
            successor = await open_link(self._api)
        except DingTalkError as error:
            self._put_off(link, doubt, error)
            return link
        self._adopt(successor)
        self._states.tell(StateChange("connected"))
        self._delivery.retire(link)
        return successor

    def _put_off(self, link: Link, doubt: Doubt, error: DingTalkError) -> None:
        """No other connection is to be had: this one goes on, unless it is most likely dead."""
        life = link.life
        delay = self._backoff if doubt.grave else self._times.put_off
        life.put_off(time.monotonic(), delay.delay(life.refusals))
        log.debug("bot=%s connection not replaced: %s", self._name, error.detail)
        if doubt.grave and life.refusals >= MOST:
            link.ending = f"The connection to DingTalk is most likely dead: {doubt.reason}"
            link.abort()
        elif not isinstance(error, DingTalkBusy):
            told = f"no further connection is to be had, this one goes on: {error.detail}"
            self._states.tell(StateChange("connected", told))

    # ------------------------------------------------------------------ leaving

    async def _unless_leaving(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of ``work``, or None as soon as the channel leaves; cancels what is left."""
        if self._leaving.is_set():
            work.close()
            return None
        task = asyncio.create_task(work, name=f"dingtalk-connect-{self._name}")
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            leaving.cancel()
            task.cancel()
            await asyncio.gather(task, leaving, return_exceptions=True)

    async def _hang_up(self) -> None:
        """Acknowledge, shake hands, hand over what has come; within ``times.leave``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.leave):
                await self._delivery.rest()
