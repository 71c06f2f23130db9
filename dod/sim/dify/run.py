"""One answer of the simulated Dify being written to its socket: paced, stopped, or broken."""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from dod.sim.dify.events import PING
from dod.sim.dify.files import SimFile
from dod.sim.dify.scripts import Answer, Fault, Step
from dod.sim.dify.wire import Wire

Outcome = Literal["", "complete", "stopped", "failed", "refused", "broken", "hung up"]


@dataclass(slots=True)
class Asked:
    """One request for an answer, as it was seen. Times are ``time.monotonic()``, 0 = not yet.

    ``conversation_id``: as sent; ``answered_in``: the one that the answer belongs to. ``outcome``:
    empty while it runs; ``broken`` by a fault on the wire; ``hung up`` by the client.
    """

    key: str
    path: str
    user: str = ""
    query: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    files: list[SimFile] = field(default_factory=list)
    conversation_id: str = ""
    answered_in: str = ""
    status: int = 200
    at: float = field(default_factory=time.monotonic)
    first_token_at: float = 0.0
    last_token_at: float = 0.0
    finished: float = 0.0
    tokens: int = 0
    outcome: Outcome = ""

    def end(self, outcome: Outcome) -> None:
        """Settle how it ended; the first word counts."""
        if not self.outcome:
            self.outcome = outcome
            self.finished = time.monotonic()


class Run:
    """Writes one answer. ``stop`` may be called while it runs, from the same loop.

    ``ping_every``: seconds of silence between pings, 0 = none; ``split``: bytes per write, 0 = an
    event at once.
    """

    def __init__(
        self,
        asked: Asked,
        wire: Wire,
        request: web.BaseRequest,
        *,
        ping_every: float,
        split: int,
    ) -> None:
        self.asked = asked
        self._request = request
        self.stopped = False
        self._wire = wire
        self._ping_every = ping_every
        self._split = split
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._response: web.StreamResponse | None = None

    def stop(self) -> None:
        """End the answer at its next token."""
        self.stopped = True
        _wake(self._waiting)

    async def stream(self, response: web.StreamResponse, answer: Answer, thinking: str) -> None:
        """Write the whole stream, or as much of it as its fault lets through."""
        self._response = response
        pieces = answer.pieces(thinking)
        lines = [self._wire.token(piece) for piece in pieces]
        fault = answer.fail
        strikes = min(fault.after, len(lines)) if fault else -1
        if opening := self._wire.opening():
            await self._write(opening)
        for number, step in enumerate(answer.steps, 1):
            await self._work(step, number, answer.step_seconds)
        if begun := self._wire.writing():
            await self._write(begun)
        due = self._loop.time() + answer.first_delay
        for number, line in enumerate(lines):
            if number == strikes and fault:
                await self._fail(fault, due)
                return
            await self.pause(due)
            if self.stopped:
                break
            await self._write(line)
            self._count()
            due += answer.interval
        else:
            if fault:
                await self._fail(fault, due)
                return
            if not lines:
                await self.pause(due)
        text = "".join(pieces)
        ending = self._wire.ending(text, outputs=answer.outputs, stopped=self.stopped)
        await self._write(ending)
        self.asked.end("stopped" if self.stopped else "complete")

    async def _work(self, step: Step, number: int, seconds: float) -> None:
        """One step before the text; a stop ends them all."""
        if self.stopped or not (begun := self._wire.step(step, number)):
            return
        await self._write(begun)
        await self.pause(self._loop.time() + seconds)
        await self._write(self._wire.step(step, number, done=True))

    async def silence(self, seconds: float, response: web.StreamResponse) -> None:
        """One ping, then nothing until ``seconds`` are over: a start that failed in the worker."""
        self._response = response
        await self._write(PING)
        self._ping_every = 0
        await self.pause(self._loop.time() + seconds)
        self.asked.end("broken")

    async def pause(self, due: float) -> None:
        """Wait until ``due`` by the loop's clock or until stopped; ping meanwhile."""
        while not self.stopped and (left := due - self._loop.time()) > 0:
            ping = 0 < self._ping_every < left and self._response is not None
            self._waiting = self._loop.create_future()
            timer = self._loop.call_later(self._ping_every if ping else left, _wake, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
            if ping and not self.stopped:
                await self._write(PING)

    def _count(self) -> None:
        now = time.monotonic()
        self.asked.tokens += 1
        self.asked.first_token_at = self.asked.first_token_at or now
        self.asked.last_token_at = now

    async def _write(self, data: bytes) -> None:
        assert self._response is not None  # noqa: S101  for mypy
        if not self._split:
            await self._response.write(data)
            return
        for at in range(0, len(data), self._split):
            await self._response.write(data[at : at + self._split])
            await asyncio.sleep(0)

    async def _fail(self, fault: Fault, due: float) -> None:
        await self.pause(due)
        match fault.kind:
            case "error":
                told = self._wire.failure(fault.code, fault.status, fault.message)
                await self._write(told)
                self.asked.end("failed")
            case "hang":
                self._ping_every = 0
                await self.pause(self._loop.time() + fault.seconds)
            case "garbage":
                await self._write(b'data: {"event": "mess\n\n')
            case "reset":
                reset(self._request)
        self.asked.end("broken")


def reset(request: web.BaseRequest) -> None:
    """Reset the request's connection: RST, not FIN."""
    if (transport := request.transport) is None:
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
