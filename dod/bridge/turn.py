"""One message in, one reply out: the product, told in ``Turn.run``.

A turn holds the spec, app and channel it began with, whatever is saved meanwhile.
Nothing that it holds holds it when it has ended well, so that its memory is free at once.
"""

import asyncio
import functools
import logging
from typing import Any, Literal

from dod.bridge.answer import Answer
from dod.bridge.asking import Asking
from dod.bridge.attachments import Intake
from dod.bridge.claim import Claim
from dod.bridge.conversations import Conversations, user_of
from dod.bridge.extras import Extras
from dod.bridge.lanes import Place
from dod.bridge.pacing import Pace
from dod.bridge.pictures import Pictures
from dod.bridge.serving import Serving
from dod.bridge.telling import Telling
from dod.bridge.view import Outcome, Reason, View
from dod.messages import Message
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

TELL_PLACE_AFTER = 3.0  # seconds in the queue
STOP_GRACE = 2.0  # seconds for Dify to end a stopped answer by itself (dify-api §3: about 0.3)


class Turn:
    """Lifecycle: ``run`` once, in a task of its own; ``give_up`` from outside. Thread: the loop."""

    def __init__(
        self,
        claim: Claim,
        place: Place,
        serving: Serving,
        *,
        conversations: Conversations,
        intake: Intake,
        extras: Extras,
        pace: Pace | Literal["webhook"],
        tongue: Tongue,
    ) -> None:
        self.claim = claim
        self.place = place
        self.serving = serving
        self.tongue = tongue
        self._pictures = pictures = Pictures(serving, claim.message, tongue, self._show)
        self._conversations = conversations
        self._intake = intake
        self._extras = extras
        self._given_up: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._answer = Answer(serving.app, user_of(place.key))
        self._view = View(self._answer, self._pictures, extras, serving.spec, tongue)
        self._telling = Telling(
            claim,
            place,
            serving,
            tongue,
            pace=pace,
            source=functools.partial(self._view.text, complete=False),
            settled=lambda: not pictures.under_way,
        )
        self._started = 0.0
        self.unsettled = False  # the answer has no end yet: see ``endings.Insisting``

    @property
    def message(self) -> Message:
        return self.claim.message

    @property
    def dify_message(self) -> str:
        """Dify's name for the answer, from its first event on; a workflow's has none."""
        return self._answer.message_id

    def give_up(self, reason: Reason) -> None:
        """End the turn soon, with what there is and a sentence. Idempotent."""
        if not self._given_up.done():
            self._given_up.set_result(reason)

    async def run(self) -> Outcome:
        """Answer the message; every path ends in a reply. Never raises DodError."""
        self._started = started = asyncio.get_running_loop().time()
        if not await self.claim.fresh():
            return "dropped"
        try:
            return await self._run(started)
        except asyncio.CancelledError:  # everything ends at once: the next start goes on
            self._telling.abandon()
            raise
        finally:
            self._pictures.close()

    async def _run(self, started: float) -> Outcome:
        try:
            if not await self._wait_for_place():
                return await self._end_unasked()
            cards = 1 if self._telling.on_card else 0
            await asyncio.gather(self.claim.asked(cards=cards), self._extras.meet())
            self._telling.begin()
            await self._listen_until_given_up()
            await self._fetch_pictures()
            given_up = self._given_up.result() if self._given_up.done() else None
            outcome, text = self._view.verdict(given_up)
        except Exception:  # the rim of one answer: its card must not spin
            log.exception("bot=%s msg=%s failed", self.serving.spec.name, self.message.id)
            reason = say("internal", self.tongue)
            outcome, text = "failed", say("failed", self.tongue, reason=reason)
        stopping = self._stop_dify() if self._answer.unfinished else None
        await self._deliver(text, failed=outcome == "failed")
        if stopping is not None:
            await asyncio.wait({stopping}, timeout=STOP_GRACE)
            stopping.cancel()
        await self._pictures.send_files()
        if outcome == "answered":
            await self._extras.delivered()
        await self._extras.close()
        self._log(outcome, started)
        return outcome

    # -- before Dify is asked

    async def _wait_for_place(self) -> bool:
        """True when it is this message's turn; False when the turn was given up before."""
        if self.place.free:
            return not self._given_up.done()
        number = self.place.number
        self._telling.begin()
        waiting = asyncio.create_task(self.place.wait(), name=f"queue {self.message.id}")
        try:
            await self._first_of(waiting, TELL_PLACE_AFTER)
            if not waiting.done() and not self._given_up.done():
                # Once, in words that stay true: to tell each nearer place would cost a call.
                await self._telling.notice(say("waiting", self.tongue, place=number))
                await self._first_of(waiting, None)
            return self.place.free and not self._given_up.done()
        finally:
            waiting.cancel()

    async def _first_of(self, task: asyncio.Task[Any], seconds: float | None) -> None:
        """Wait for ``task``, for being given up, or for ``seconds``."""
        waits: set[asyncio.Future[Any]] = {task, self._given_up}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _end_unasked(self) -> Outcome:
        """Given up in the queue: stopped by its person, or left for the next start."""
        if self._given_up.result() == "shutting_down":
            self._telling.abandon()
            return "dropped"
        if self._telling.begun:
            await self._deliver(say("stopped", self.tongue), failed=False)
        else:
            await self.claim.done()
        return "stopped"

    # -- while Dify writes

    async def _listen_until_given_up(self) -> None:
        answer = self._answer
        listening = asyncio.create_task(self._ask().listen(), name=f"listen {self.message.id}")
        stopping: asyncio.Task[None] | None = None
        try:
            await self._first_of(listening, None)
            if not listening.done():
                stopping = self._stop_dify()
                leaving = self._given_up.result() == "shutting_down"
                grace = STOP_GRACE / 2 if leaving else STOP_GRACE  # time is left for the card
                await asyncio.wait({listening}, timeout=0 if answer.held_off else grace)
        finally:
            listening.cancel()
            if stopping is not None:
                stopping.cancel()
        await asyncio.wait({listening})  # to await it would take our own end for its
        if not listening.cancelled():
            listening.result()

    def _ask(self) -> Asking:
        return Asking(
            self.claim,
            self.place.key,
            self.serving,
            answer=self._answer,
            view=self._view,
            pictures=self._pictures,
            extras=self._extras,
            conversations=self._conversations,
            intake=self._intake,
            telling=self._telling,
            tongue=self.tongue,
        )

    async def _fetch_pictures(self) -> None:
        """Also those that no update has shown yet. Who wants it to end need not wait for them."""
        self._view.text(complete=True)
        settling = asyncio.create_task(self._pictures.settle(), name=f"files {self.message.id}")
        await self._first_of(settling, None)
        settling.cancel()
        self._pictures.close()

    def _stop_dify(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self._answer.stop(), name=f"stop {self.message.id}")

    def _show(self) -> None:
        self._telling.show()

    # -- the end

    async def _deliver(self, text: str, *, failed: bool) -> None:
        self.unsettled = not await self._telling.deliver(text, failed=failed, since=self._started)

    def _log(self, outcome: Outcome, started: float) -> None:
        """The canonical line of a turn: no text, no names."""
        telling, now = self._telling, asyncio.get_running_loop().time()
        first = (telling.first_shown or now) - started
        log.info(
            "bot=%s turn=%s chat=%s first_text=%.2f total=%.2f chars=%d updates=%d",
            self.serving.spec.name,
            outcome,
            self.message.chat.kind,
            first,
            now - started,
            telling.chars,
            telling.updates,
        )
