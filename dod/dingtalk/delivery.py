"""What comes by a link: read, acknowledged on the same link, handed over (§2)."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from dod.dingtalk import frames, inbound, presses
from dod.dingtalk.api import Clock
from dod.dingtalk.frames import Frame
from dod.dingtalk.gateway import Link
from dod.dingtalk.times import Times
from dod.messages import Message, Press, PressReply

log = logging.getLogger(__name__)

OnMessage = Callable[[Message], Awaitable[None]]
OnPress = Callable[[Press], Awaitable[PressReply]]

_STRANGE = 20  # kinds of strange frames that the log may name
_ANYTHING = {"response": None}  # DingTalk ignores what is in the ack of a bot message (§2)


async def _nobody(_message: Message) -> None: ...


async def _no_button(_press: Press) -> PressReply:
    return PressReply()


class Delivery:
    """Lifecycle: ``attend`` each link → ``rest`` (bounded by the caller) → ``aclose``.

    ``push`` hears the corp id of each bot message: DingTalk counts them by the month.
    """

    def __init__(
        self, *, name: str, times: Times, clock: Clock, push: Callable[[str], None]
    ) -> None:
        self.on_message: OnMessage = _nobody
        self.on_press: OnPress = _no_button
        self.links: set[Link] = set()
        self._name = name
        self._times = times
        self._clock = clock
        self._push = push
        self._strange: set[str] = set()  # what was complained of
        self._readers: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def attend(self, link: Link) -> None:
        """Read ``link`` from now on, until it ends; also while others are read."""
        self.links.add(link)
        self._start(self._readers, self._read(link), "read")

    def retire(self, link: Link) -> None:
        """Another link serves: close this one as soon as nothing is owed on it."""
        self._start(self._readers, self._close(link), "retire")

    async def rest(self) -> None:
        """Acknowledge, shake hands on every link, hand over all that has come."""
        if self._tasks:  # an acknowledgement cannot be sent any more after the close
            await asyncio.wait(tuple(self._tasks), timeout=self._times.ack)
        await asyncio.gather(*(link.close() for link in self.links))
        while pending := (*self._readers, *self._tasks):
            await asyncio.wait(pending)

    def drop_links(self) -> None:
        for link in self.links:
            link.abort()

    async def aclose(self) -> None:
        """End everything at once, also messages that are still being handed over."""
        rest = [*self._tasks, *self._readers]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    # ------------------------------------------------------------------ links

    async def _read(self, link: Link) -> None:
        try:
            while True:
                self._receive(link, await link.socket.recv())
        except ConnectionClosed as exc:
            link.ending = link.ending or _ending(exc)
        finally:
            self.links.discard(link)
            link.over.set()

    async def _leave_to_dingtalk(self, link: Link) -> None:
        """Let the old connection be read until DingTalk closes it, or ``times.overlap``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.overlap):
                await link.socket.wait_closed()
        await link.close()

    async def _close(self, link: Link) -> None:
        """DingTalk may have pushed before it heard: what comes until it closes is still read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._times.ack + self._times.close):
                await link.all_sent()
        await link.close()

    # ------------------------------------------------------------------ frames

    def _receive(self, link: Link, raw: str | bytes) -> None:
        try:
            frame = frames.read(raw)
        except ValueError as exc:
            self._complain(f"got {exc}; ignored")
            return
        self._clock.see_frame(frame.time)
        log.debug("bot=%s frame %s %s %s", self._name, frame.kind, frame.topic, frame.message_id)
        link.hear(beat=frame.beats, message=frame.topic == frames.BOT_MESSAGE)
        match frame.kind, frame.topic:
            case frames.SYSTEM, frames.PING:
                self._ack(link, frame, frame.data)
            case frames.SYSTEM, frames.DISCONNECT:
                if not link.told_to_go:
                    self._start(self._readers, self._leave_to_dingtalk(link), "retire")
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
                self._complain(f"unknown topic {frame.kind[:80]} {frame.topic[:80]!r}")
                self._ack(link, frame, {}, code=frames.NO_HANDLER)

    def _complain(self, of: str) -> None:
        """Of each kind of strange frame once: a new one may come with every KEEPALIVE."""
        known = of in self._strange or len(self._strange) >= _STRANGE
        if not known:
            self._strange.add(of)
        log.log(logging.DEBUG if known else logging.WARNING, "bot=%s %s", self._name, of)

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
            await self.on_message(message)
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
                with link.owing():
                    async with asyncio.timeout(self._times.press):
                        response = presses.response(await self.on_press(press))
            except TimeoutError:
                log.warning("bot=%s a button was not answered in time", self._name)
            except Exception:
                log.exception("bot=%s a button could not be answered", self._name)
        await self._send_ack(link, frame, {"response": response})

    async def _ack_when(self, handed_over: asyncio.Event, link: Link, frame: Frame) -> None:
        with link.owing(), contextlib.suppress(TimeoutError):
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
        with link.owing():
            text = frames.ack(frame, data, code=code)
            sent = await link.send(text, within=self._times.close)
        if not sent:
            log.debug("bot=%s ack of %s not sent: link is gone", self._name, frame.message_id)

    def _start(
        self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str
    ) -> None:
        task = asyncio.create_task(work, name=f"dingtalk-{name}-{self._name}")
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def _ending(exc: ConnectionClosed) -> str:
    if exc.rcvd is not None:
        return f"DingTalk closed the connection (code {exc.rcvd.code})"
    if exc.sent is not None and exc.sent.code == CloseCode.INTERNAL_ERROR:
        return "The connection to DingTalk is dead: a ping was not answered"
    return "The connection to DingTalk broke off"
