"""What becomes of a message once it is received: claimed, placed, refused, obeyed or answered.

Thread: the bot's loop. The rim of one message is here: whatever goes wrong stays with it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dod.bridge.attachments import Intake
from dod.bridge.claim import Claim
from dod.bridge.claims import Claims
from dod.bridge.commands import AT_ONCE, Command, command_in
from dod.bridge.conversations import Conversations, key_of
from dod.bridge.endings import Insisting
from dod.bridge.haste import Haste
from dod.bridge.lanes import Lanes, Place
from dod.bridge.limits import Admission
from dod.bridge.orders import Orders
from dod.bridge.pairing import Pairing, Waiting, waits_for_question
from dod.bridge.patience import Patience
from dod.bridge.presses import Presses
from dod.bridge.ratings import Ratings
from dod.bridge.replies import reply
from dod.bridge.resumption import Resumption
from dod.bridge.serving import Serving
from dod.bridge.suggestions import Suggestions
from dod.bridge.tongues import Tongues
from dod.bridge.underway import Meter, Underway
from dod.config.spec import Config
from dod.errors import DifyError
from dod.messages import ConversationKey, Message, digest
from dod.ports import Store
from dod.texts import say

log = logging.getLogger(__name__)

T = TypeVar("T")


class Reception:
    """All messages of one bot. ``serving`` is asked at receipt; a message keeps what it got."""

    def __init__(
        self,
        store: Store,
        serving: Callable[[], Serving],
        config: Callable[[], Config],
        meter: Meter,
        haste: Haste,
    ) -> None:
        self.patience = Patience()
        self.lanes = Lanes(lambda: serving().spec.capacity)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.corp_id = ""  # of the last message
        self._tongues = Tongues(config)
        self._admission = Admission(store, config, self.patience)
        self._intake = Intake()
        self._pairing = Pairing()
        self._haste = haste
        self.insisting = Insisting()
        conversations = Conversations(store, self.patience)
        suggestions = Suggestions(store)
        ratings = Ratings(store, self.patience)
        self._orders = Orders(conversations, ratings, suggestions)
        self.underway = Underway(
            store,
            self.patience,
            self.lanes,
            meter,
            conversations=conversations,
            intake=self._intake,
            ratings=ratings,
            suggestions=suggestions,
            tongues=self._tongues,
            insisting=self.insisting,
            spawn=self.spawn,
        )
        self.presses = Presses(
            config, lambda: self.underway.turns, ratings, self._tongues, self.spawn
        )
        self.resumption = Resumption(
            self.lanes,
            self._tongues,
            self.insisting,
            take_in=self._take_in,
            take_in_later=self._take_in_later,
            spawn=self.spawn,
        )

    # -- one message

    async def receive(
        self, message: Message, client_id: str, claims: Claims, serving: Serving
    ) -> None:
        """Claim a message and give it a turn. Returns when it may be acknowledged."""
        command = command_in(message.text)
        self.corp_id = message.corp_id or self.corp_id
        key = key_of(client_id, message, serving.spec.conversation)
        place, running = None, False
        waits = waits_for_question(message, serving.spec)
        if command in {"stop", "new"}:
            dropped = self._pairing.drop((key, message.sender.key))
            running = self.underway.stop(key) or bool(dropped)
            for waiting in dropped:
                self.spawn(waiting.done(), f"dropped {waiting.message.id}")
        if command not in AT_ONCE and not waits:
            place = self.lanes.enter(key, light=command is not None)
        serving.hold()  # until the task below releases it
        try:
            claim = await claims.take(message)
        except BaseException:
            _leave(place, serving)
            raise
        if claim is None:
            _leave(place, serving)
            return
        if command == "stop" and not running:
            command = "stop_nothing"
        if waits:
            work = self._take_in_later(claim, key, serving)
        else:
            work = self._take_in(claim, key, place, command, serving)
        self.spawn(work, f"turn {message.id}")

    async def _take_in(
        self,
        claim: Claim,
        key: ConversationKey,
        place: Place | None,
        command: Command | None,
        serving: Serving,
        *,
        resumed: bool = False,
        told: bool = False,
    ) -> None:
        """Answer, and release ``serving`` and the place whatever happens.

        ``told``: why it may be refused has been said.
        """
        message = claim.message
        try:
            counts = command is None and not resumed
            refusal = await self._refusal(message, serving, counts=counts)
            if refusal is not None:
                if command is None and message.text.strip():
                    owner, wait = (key, message.sender.key), serving.spec.image_wait_seconds
                    self._pairing.refused(owner, wait)
                await self._turn_away(claim, serving, "" if told else refusal)
            elif command is not None:
                await self._obey(command, claim, place, serving)
            elif place is not None:
                await self._pairing.join((key, message.sender.key), claim)
                await self.underway.take(claim, place, serving)
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, message.id)
            self.underway.failed += 1
            await self._apologise(claim, serving)
        finally:
            _leave(place, serving)

    async def _apologise(self, claim: Claim, serving: Serving) -> None:
        """Something of ours broke: say so, on the card if there is one."""
        language = self._tongues.of(claim.message)
        sentence = say("internal", language)
        if not claim.cards:
            await claim.done()
            await self._say(serving, claim.message, sentence)
            return
        if claim.state != "finishing":
            guid = digest(claim.client_id, claim.message.id, "internal")
            failed = say("failed", language, reason=sentence)
            await claim.finishing(failed, guid, failed=True, ends=())
        self.insisting.add(claim, serving, language)

    def _take_in_later(
        self, claim: Claim, key: ConversationKey, serving: Serving, *, resumed: bool = False
    ) -> Coroutine[Any, Any, None]:
        """Something to look at: asked with the question that follows, or soon without."""
        waiting = self._pairing.enter((key, claim.message.sender.key), claim)
        return self._wait(claim, waiting, serving, resumed=resumed)

    async def _wait(
        self, claim: Claim, waiting: Waiting, serving: Serving, *, resumed: bool
    ) -> None:
        """Wait for the question, and release ``serving`` whatever happens."""
        try:
            refusal = await self._refusal(claim.message, serving, counts=False)
            if refusal is not None and self._pairing.take_out(waiting, claim):
                await self._turn_away(claim, serving, refusal)
            if waiting.claims:
                claim = waiting.claims[-1]
                if await self._pairing.wait(waiting, serving.spec.image_wait_seconds):
                    place = self.lanes.enter(waiting.owner[0])
                    held, told = serving.hold(), waiting.told
                    await self._take_in(
                        claim, place.key, place, None, held, resumed=resumed, told=told
                    )
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, claim.message.id)
            self.underway.failed += 1
            self._pairing.take_out(waiting, claim)
            await self._apologise(claim, serving)
        finally:
            serving.release()

    async def _turn_away(self, claim: Claim, serving: Serving, sentence: str) -> None:
        await claim.done()
        if sentence:
            await self._say(serving, claim.message, sentence)

    async def _refusal(self, message: Message, serving: Serving, *, counts: bool) -> str | None:
        """Why ``message`` is not for the app: see ``Admission``."""
        tongue, now = self._tongues.of(message), serving.channel.now()
        refusal = await self._admission.refusal(message, serving.spec, now, tongue, counts=counts)
        if refusal is not None or message.text.strip():
            return refusal
        try:
            return await self._intake.takes(message, serving, tongue) or None
        except DifyError:
            return None  # the turn will meet it again, and say it

    async def _obey(
        self,
        command: Command,
        claim: Claim,
        place: Place | None,
        serving: Serving,
    ) -> None:
        """Commands may be obeyed twice but not lost, so they are done when they are done."""
        message, tongue = claim.message, self._tongues.of(claim.message)
        sentence = await self._orders.obey(command, message, place, serving, tongue)
        if sentence is None:
            return
        await claim.done()
        if sentence:
            await self._say(serving, message, sentence)

    # -- all messages

    def give_up_waiting(self) -> None:
        """Shutting down: nobody's turn begins any more."""
        self.lanes.close()
        self._pairing.close()
        self.underway.give_up_waiting()

    def give_up(self) -> None:
        """Shutting down: end every turn with what it has and a sentence."""
        self.lanes.close()
        self._pairing.close()
        self.underway.give_up()

    async def until_idle(self, seconds: float) -> None:
        """Wait until every message is answered, at most ``seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (tasks := self._busy()) and (left := deadline - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)

    def _busy(self) -> tuple[asyncio.Task[Any], ...]:
        return (*self.tasks, *(self.insisting.tasks if self._haste.made else ()))

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run ``work`` in a task that is kept."""
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def halt(self) -> None:
        """End everything at once: what was promised stays on disk for the next start."""
        self.lanes.close()
        tasks = (*self.tasks, *self.insisting.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    # -- small things

    async def _say(self, serving: Serving, message: Message, sentence: str) -> None:
        await reply(serving, message, sentence)


def _leave(place: Place | None, serving: Serving) -> None:
    if place is not None:
        place.leave()
    serving.release()
