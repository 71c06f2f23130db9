"""One message in, one reply out: the product, told in ``Turn.run``.

A turn holds the spec, app and channel it began with, whatever is saved meanwhile.
"""

import asyncio
import contextlib
import logging
from typing import Any, Literal

from dod.bridge.answer import Answer
from dod.bridge.claims import Claim
from dod.bridge.conversations import Conversations, user_of
from dod.bridge.endings import card_writer, finish
from dod.bridge.inputs import render_inputs
from dod.bridge.lanes import Place
from dod.bridge.markdown import hide_thinking, joined
from dod.bridge.pacing import Pace
from dod.bridge.replies import reply
from dod.bridge.serving import Serving
from dod.bridge.typewriter import Typewriter
from dod.messages import Finished, Message, Question, digest, sound
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

Outcome = Literal["answered", "empty", "stopped", "paused", "failed", "dropped"]
Reason = Literal["stopped", "shutting_down"]

TELL_PLACE_AFTER = 3.0  # seconds in the queue
TELL_RETRYING_AFTER = 1.0  # seconds since Dify was asked first
STOP_GRACE = 2.0  # seconds for Dify to end a stopped answer by itself (dify-api §3: about 0.3)


class Turn:
    """Lifecycle: ``run`` once, in a task of its own; ``give_up`` from outside. Thread: the loop."""

    def __init__(
        self,
        claim: Claim,
        place: Place,
        serving: Serving,
        conversations: Conversations,
        *,
        pace: Pace | Literal["webhook"],
        tongue: Tongue,
    ) -> None:
        self.claim = claim
        self.place = place
        self.serving = serving
        self.tongue = tongue
        self._conversations = conversations
        self._given_up: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._answer = Answer(serving.app, user_of(place.key))
        self._chars = 0  # of the whole reply
        self._retrying_told = False
        self._guid = digest(claim.client_id, claim.message.id, "final")
        on_card = serving.spec.handler == "DifyAiCardBotHandler" and pace != "webhook"
        # A card that an earlier process opened must be ended, whatever has been saved meanwhile.
        if on_card or claim.cards:
            claim.style = claim.style or serving.spec.card_style
            pace = "final" if pace == "webhook" else pace
            self._writer: Typewriter | None = card_writer(
                claim, serving.channel, pace, source=lambda: self._rendered(complete=False)
            )
        else:
            self._writer = None
        self.unsettled = False  # the answer has no end yet: see ``endings.Insisting``

    @property
    def message(self) -> Message:
        return self.claim.message

    def give_up(self, reason: Reason) -> None:
        """End the turn soon, with what there is and a sentence. Idempotent."""
        if not self._given_up.done():
            self._given_up.set_result(reason)

    async def run(self) -> Outcome:
        """Answer the message; every path ends in a reply. Never raises DodError."""
        started = asyncio.get_running_loop().time()
        if not await self.claim.fresh():
            return "dropped"
        try:
            return await self._run(started)
        except asyncio.CancelledError:  # everything ends at once: the next start goes on
            if self._writer is not None:
                self._writer.abandon()
            raise

    async def _run(self, started: float) -> Outcome:
        try:
            if not await self._wait_for_place():
                return await self._end_unasked()
            await self.claim.asked(cards=0 if self._writer is None else 1)
            if self._writer is not None:
                self._writer.begin()
            await self._listen_until_given_up()
            outcome, text = self._verdict()
        except Exception:  # the rim of one answer: its card must not spin
            log.exception("bot=%s msg=%s failed", self.serving.spec.name, self.message.id)
            reason = say("internal", self.tongue)
            outcome, text = "failed", say("failed", self.tongue, reason=reason)
        stopping = self._stop_dify() if self._answer.unfinished else None
        await self._deliver(text, failed=outcome == "failed")
        if stopping is not None:
            await asyncio.wait({stopping}, timeout=STOP_GRACE)
            stopping.cancel()
        self._log(outcome, started)
        return outcome

    # -- before Dify is asked

    async def _wait_for_place(self) -> bool:
        """True when it is this message's turn; False when the turn was given up before."""
        if self.place.free:
            return not self._given_up.done()
        if self._writer is not None:
            self._writer.begin()
        waiting = asyncio.create_task(self.place.wait(), name=f"queue {self.message.id}")
        try:
            await self._first_of(waiting, TELL_PLACE_AFTER)
            if not waiting.done() and not self._given_up.done():
                await self._tell_place()
                await self._first_of(waiting, None)
            return waiting.done() and not self._given_up.done()
        finally:
            waiting.cancel()

    async def _first_of(self, task: asyncio.Task[None], seconds: float | None) -> None:
        """Wait for ``task``, for being given up, or for ``seconds``."""
        waits: set[asyncio.Future[Any]] = {task, self._given_up}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _tell_place(self) -> None:
        await self._notice(say("waiting", self.tongue, place=self.place.number))

    async def _notice(self, sentence: str) -> None:
        """Say something before there is an answer."""
        if self._writer is not None:
            self._writer.notice(sentence)
        else:
            await self._reply(sentence)

    async def _end_unasked(self) -> Outcome:
        """Given up in the queue: stopped by its person, or left for the next start."""
        if self._given_up.result() == "shutting_down":
            if self._writer is not None:
                self._writer.abandon()
            return "dropped"
        if self._writer is not None and self._writer.begun:
            await self._deliver(say("stopped", self.tongue), failed=False)
        else:
            await self.claim.done()
        return "stopped"

    # -- while Dify writes

    async def _listen_until_given_up(self) -> None:
        spec, answer = self.serving.spec, self._answer
        events = self._conversations.ask(
            self.serving.app, self._question(), self.place.key, spec.conversation
        )
        listening = asyncio.create_task(
            answer.listen(events, self._show, self._tell_retrying),
            name=f"listen {self.message.id}",
        )
        try:
            await self._first_of(listening, None)
            if not listening.done():
                stopping = self._stop_dify()
                leaving = self._given_up.result() == "shutting_down"
                grace = STOP_GRACE / 2 if leaving else STOP_GRACE  # time is left for the card
                await asyncio.wait({listening}, timeout=0 if answer.held_off else grace)
                stopping.cancel()
        finally:
            listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening

    async def _tell_retrying(self, seconds: float) -> None:
        """Dify is overloaded, or starting, and is asked again: say so, once."""
        if seconds < TELL_RETRYING_AFTER or self._retrying_told:
            return
        self._retrying_told = True
        await self._notice(say("dify_retrying", self.tongue))

    def _question(self) -> Question:
        return Question(
            text=self.message.text,
            user=user_of(self.place.key),
            inputs=render_inputs(self.serving.spec, self.message),
        )

    def _stop_dify(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self._answer.stop(), name=f"stop {self.message.id}")

    def _show(self) -> None:
        if self._writer is not None:
            self._writer.touch()

    def _rendered(self, *, complete: bool) -> str:
        """What is to be shown of the answer so far. Asked once per update, not per event."""
        text = sound(self._answer.text)
        if not self.serving.spec.show.thinking:
            text = hide_thinking(text, complete=complete)
        return text

    # -- the end

    def _verdict(self) -> tuple[Outcome, str]:
        """How the turn ended, and the whole text to leave with the person."""
        text, answer = self._rendered(complete=True).rstrip(), self._answer
        if self._given_up.done():
            if self._given_up.result() == "shutting_down":
                return "failed", self._cut_off(text, say("shutting_down", self.tongue))
            return "stopped", joined(text, say("stopped", self.tongue))
        if answer.error is not None:
            log.warning("bot=%s turn failed: %s", self.serving.spec.name, answer.error)
            return "failed", self._cut_off(text, say(answer.error.key, self.tongue))
        finished = answer.finished or Finished()
        if finished.outcome == "stopped":  # nobody here has asked for it
            return "failed", self._cut_off(text, say("dify_stopped", self.tongue))
        if finished.outcome == "paused":
            return "paused", joined(text, finished.form, say("paused", self.tongue))
        if not text.strip():
            return "empty", say("empty_answer", self.tongue)
        return "answered", text

    def _cut_off(self, text: str, reason: str) -> str:
        key = "cut_off" if text.strip() else "failed"
        return joined(text, say(key, self.tongue, reason=reason))

    async def _deliver(self, text: str, *, failed: bool) -> None:
        """Leave ``text`` with the person: on the card, or else as a reply. Then it is done."""
        self._chars = len(text)
        if self._writer is None:
            claim = self.claim
            claim.text, claim.guid, claim.failed = text, self._guid, failed
        else:
            # Both at once: the promise goes to disk while the last update comes back.
            await asyncio.gather(
                self.claim.finishing(text, self._guid, failed=failed), self._writer.stop()
            )
        self.unsettled = not await finish(self.claim, self._writer, self.serving, self.tongue)

    async def _reply(self, text: str) -> None:
        await reply(self.serving.channel, self.serving.spec.name, self.message, text)

    def _log(self, outcome: Outcome, started: float) -> None:
        """The canonical line of a turn: no text, no names."""
        writer, now = self._writer, asyncio.get_running_loop().time()
        first = writer.first_shown - started if writer and writer.first_shown else now - started
        log.info(
            "bot=%s turn=%s chat=%s first_text=%.2f total=%.2f chars=%d updates=%d",
            self.serving.spec.name,
            outcome,
            self.message.chat.kind,
            first,
            now - started,
            self._chars,
            writer.updates if writer else 0,
        )
