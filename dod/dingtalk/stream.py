"""Stay connected to DingTalk: open, read, acknowledge, hand over, reconnect (§1, §2).

Own loop, not the SDK's, which cannot be cancelled, blocks, acknowledges on the wrong socket and
leaves a gap at each ``disconnect`` (dingtalk-protocol §10.1 to §10.15).
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from dod.dingtalk import frames, inbound, presses
from dod.dingtalk.api import Api
from dod.dingtalk.frames import Frame
from dod.dingtalk.gateway import Link, open_link
from dod.dingtalk.times import EAGER, Backoff
from dod.errors import BadCredentials, DingTalkError
from dod.messages import Message, Press, PressReply
from dod.ports import StateChange

log = logging.getLogger(__name__)

T = TypeVar("T")
OnMessage = Callable[[Message], Awaitable[None]]
OnState = Callable[[StateChange], None]
OnPress = Callable[[Press], Awaitable[PressReply]]

_LEVELS = {"retrying": logging.WARNING, "bad_credentials": logging.ERROR}


_ANYTHING = {"response": None}  # DingTalk ignores what is in the ack of a bot message (§2)


async def _nobody(_message: Message) -> None: ...


async def _no_button(_press: Press) -> PressReply:
    return PressReply()


def _ending(exc: ConnectionClosed) -> str:
    if exc.rcvd is not None:
        return f"DingTalk closed the connection (code {exc.rcvd.code})"
    if exc.sent is not None and exc.sent.code == CloseCode.INTERNAL_ERROR:
        return "The connection to DingTalk is dead: a ping was not answered"
    return "The connection to DingTalk broke off"


class Stream:
    """Lifecycle: ``run`` (a task of its own) → ``leave`` → ``aclose``. Thread: the bot's loop.

    ``push`` hears the corp id of each bot message: DingTalk counts them by the month.
    """

    def __init__(
        self, api: Api, *, name: str, push: Callable[[str], None], backoff: Backoff = EAGER
    ) -> None:
        self.opened = 0
        self._api = api
        self._times = api.times
        self._name = name
        self._push = push
        self._backoff = backoff
        self._on_message: OnMessage = _nobody
        self._on_state: OnState = lambda _change: None
        self._on_press: OnPress = _no_button
        self._state: StateChange | None = None
        self._leaving = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._links: set[Link] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0  # attempts and short-lived connections in a row
        self._denials = 0  # refused credentials in a row

    async def run(
        self, on_message: OnMessage, on_state: OnState, on_press: OnPress | None = None
    ) -> None:
        """See ``Channel.run``."""
        if self._leaving.is_set():
            return
        self._on_message, self._on_state = on_message, on_state
        self._on_press = on_press or _no_button
        self._ended.clear()
        try:
            self._tell(StateChange("connecting"))
            wait = 0.0
            while (link := await self._unless_leaving(self._connect(wait))) is not None:
                self._start(self._readers, self._read(link), "read")
                await self._unless_leaving(link.over.wait())
                wait = self._wait_after(link)
            await self._hang_up()
            self._tell(StateChange("stopped"))
        finally:
            self._drop_links()
            self._ended.set()

    async def leave(self) -> None:
        """See ``Channel.leave``. Bounded by ``times.leave``."""
        self._leaving.set()
        await self._ended.wait()

    async def aclose(self) -> None:
        """End everything at once, also messages that are still being handed over."""
        self._leaving.set()
        self._drop_links()
        await self._ended.wait()
        rest = [*self._tasks, *self._readers]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

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
                self._tell(StateChange("bad_credentials", error.detail))
            except DingTalkError as error:
                wait = self._backoff.delay(self._failures)
                self._failures += 1
                self._denials = 0
                self._tell(StateChange("retrying", error.detail))
            else:
                self._denials = 0
                self.opened += 1
                self._links.add(link)
                self._tell(StateChange("connected"))
                return link

    def _wait_after(self, link: Link) -> float:
        """Seconds until the next attempt, now that ``link`` is over.

        Told to go, the next connection is opened at once, but not again and again: a gateway that
        accepts and hangs up must not make a hot loop (dingtalk-protocol §10.3).
        """
        if link.age >= self._times.settled:
            self._failures = 0
        earlier = self._failures
        self._failures += 1
        if link.told_to_go:
            return self._backoff.delay(earlier - 1) if earlier else 0.0
        if not self._leaving.is_set():
            self._tell(StateChange("retrying", link.ending))
        return self._backoff.delay(earlier)

    def _tell(self, change: StateChange) -> None:
        if change == self._state:
            return
        self._state = change
        level = _LEVELS.get(change.state, logging.INFO)
        error = f" error={change.error!r}" if change.error else ""
        log.log(level, "channel bot=%s state=%s%s", self._name, change.state, error)
        self._on_state(change)

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
                if self._tasks:  # an acknowledgement cannot be sent any more after the close
                    await asyncio.wait(tuple(self._tasks), timeout=self._times.ack)
                await asyncio.gather(*(link.close() for link in self._links))
                while pending := (*self._readers, *self._tasks):
                    await asyncio.wait(pending)

    def _drop_links(self) -> None:
        for link in self._links:
            link.abort()

    # ------------------------------------------------------------------ reading

    async def _read(self, link: Link) -> None:
        try:
            while True:
                self._receive(link, await link.socket.recv())
        except ConnectionClosed as exc:
            link.ending = _ending(exc)
        finally:
            self._links.discard(link)
            link.over.set()

    def _receive(self, link: Link, raw: str | bytes) -> None:
        try:
            frame = frames.read(raw)
        except ValueError as exc:
            log.warning("bot=%s got %s; ignored", self._name, exc)
            return
        self._api.clock.see_frame(frame.time)
        log.debug("bot=%s frame %s %s %s", self._name, frame.kind, frame.topic, frame.message_id)
        match frame.kind, frame.topic:
            case frames.SYSTEM, frames.PING:
                self._ack(link, frame, frame.data)
            case frames.SYSTEM, frames.DISCONNECT:
                if not link.told_to_go:
                    self._start(self._readers, self._retire(link), "retire")
                link.told_to_go = True
                link.over.set()
            case frames.SYSTEM, topic if topic in frames.CALM:
                pass
            case frames.EVENT, _:
                self._ack(link, frame, {"status": "SUCCESS", "message": "success"})
            case frames.CALLBACK, frames.BOT_MESSAGE:
                self._start(self._tasks, self._take(link, frame), f"frame-{frame.message_id}")
            case frames.CALLBACK, frames.CARD_CALLBACK:
                self._start(self._tasks, self._answer_press(link, frame), "press")
            case _:
                log.warning("bot=%s unknown topic %s %r", self._name, frame.kind, frame.topic[:80])
                self._ack(link, frame, {}, code=frames.NO_HANDLER)

    async def _retire(self, link: Link) -> None:
        """Let the old connection be read until DingTalk closes it, or ``times.overlap``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.overlap):
                await link.socket.wait_closed()
        await link.close()

    async def _take(self, link: Link, frame: Frame) -> None:
        """Hand over one bot message; acknowledge it when that is done, or after a second."""
        message = inbound.message(frame)
        if message is None:
            log.warning("bot=%s got a message of nobody or nowhere; ignored", self._name)
            self._ack(link, frame, _ANYTHING)
            return
        self._push(message.corp_id)
        handed_over = asyncio.Event()
        self._start(self._tasks, self._ack_when(handed_over, link, frame), "ack")
        try:
            await self._on_message(message)
        except Exception:
            log.exception("bot=%s message %s could not be taken", self._name, message.id)
        finally:
            handed_over.set()

    async def _answer_press(self, link: Link, frame: Frame) -> None:
        """Hand over a pressed button; what becomes of the card travels in the ack (§3.1)."""
        response: dict[str, Any] = {}
        press = presses.press(frame)
        if press is None:
            log.warning("bot=%s got a press of no card; ignored", self._name)
        else:
            self._push(press.corp_id)
            try:
                async with asyncio.timeout(self._times.press):
                    response = presses.response(await self._on_press(press))
            except TimeoutError:
                log.warning("bot=%s a button was not answered in time", self._name)
            except Exception:
                log.exception("bot=%s a button could not be answered", self._name)
        await self._send_ack(link, frame, {"response": response})

    async def _ack_when(self, handed_over: asyncio.Event, link: Link, frame: Frame) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.ack):
                await handed_over.wait()
        await self._send_ack(link, frame, _ANYTHING)

    def _ack(self, link: Link, frame: Frame, data: dict[str, Any], code: int = frames.OK) -> None:
        self._start(self._tasks, self._send_ack(link, frame, data, code), "ack")

    async def _send_ack(
        self, link: Link, frame: Frame, data: dict[str, Any], code: int = frames.OK
    ) -> None:
        if not frame.message_id:  # nothing to refer to
            return
        sent = await link.send(frames.ack(frame, data, code=code), within=self._times.close)
        if not sent:
            log.debug("bot=%s ack of %s not sent: link is gone", self._name, frame.message_id)

    def _start(
        self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str
    ) -> None:
        task = asyncio.create_task(work, name=f"dingtalk-{name}-{self._name}")
        tasks.add(task)
        task.add_done_callback(tasks.discard)
