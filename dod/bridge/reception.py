"""What becomes of a message once it is received: claimed, placed, refused, obeyed or answered.

Thread: the bot's loop. The rim of one message is here: whatever goes wrong stays with it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, Protocol

from dod.bridge.attachments import Intake
from dod.bridge.claims import Claim, Claims
from dod.bridge.commands import AT_ONCE, Command, command_in
from dod.bridge.conversations import Conversations, key_of
from dod.bridge.endings import Insisting
from dod.bridge.extras import Extras
from dod.bridge.lanes import Lanes, Place
from dod.bridge.leftovers import close, young
from dod.bridge.limits import Admission
from dod.bridge.orders import Orders
from dod.bridge.pacing import Pace
from dod.bridge.pairing import Pairing, Waiting, wordless
from dod.bridge.patience import Patience
from dod.bridge.presses import Presses
from dod.bridge.ratings import Ratings
from dod.bridge.replies import reply
from dod.bridge.serving import Serving
from dod.bridge.suggestions import Suggestions
from dod.bridge.tongues import Tongues
from dod.bridge.turn import Turn
from dod.bridge.view import Reason
from dod.config.spec import Config
from dod.errors import DifyError
from dod.messages import ConversationKey, Message, digest
from dod.ports import Store
from dod.status import Turns
from dod.texts import say

log = logging.getLogger(__name__)


class Meter(Protocol):
    """What a bot needs of the budget."""

    @property
    def calls_this_month(self) -> int: ...
    @property
    def pushes_this_month(self) -> int: ...
    async def load(self) -> None: ...
    async def flush(self) -> None: ...
    def pace(
        self, corp_id: str, now: float
    ) -> Literal["balanced", "economical", "final", "webhook"]: ...


class Reception:
    """All messages of one bot. ``serving`` is asked at receipt; a message keeps what it got."""

    def __init__(
        self,
        store: Store,
        serving: Callable[[], Serving],
        config: Callable[[], Config],
        meter: Meter,
    ) -> None:
        self.patience = Patience()
        self.lanes = Lanes(lambda: serving().spec.capacity)
        self.tasks: set[asyncio.Task[None]] = set()
        self.corp_id = ""  # of the last message
        self._serving = serving
        self._meter = meter
        self._store = store
        self._conversations = Conversations(store, self.patience)
        self._suggestions = Suggestions(store)
        self._tongues = Tongues(config)
        self._admission = Admission(store, config, self.patience)
        self._intake = Intake()
        self._pairing = Pairing()
        self._turns: set[Turn] = set()
        self.insisting = Insisting()
        self._stopped: dict[ConversationKey, int] = {}  # what was said before is to be stopped
        self._leftovers: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._answered = 0
        self._failed = 0
        self._ratings = Ratings(store, self.patience)
        self._orders = Orders(self._conversations, self._ratings, self._suggestions)
        self.presses = Presses(
            config, lambda: self._turns, self._ratings, self._tongues, self.spawn
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
        waits = wordless(message) and serving.spec.image_wait_seconds > 0
        if command in {"stop", "new"}:
            dropped = self._pairing.drop((key, message.sender.key))
            running = self._stop(key) or bool(dropped)
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
            paired = self._pairing.enter((key, message.sender.key), claim)
            work = self._take_in_later(claim, paired, serving)
        else:
            work = self._take_in(claim, key, place, command, serving)
        self.spawn(work, f"turn {message.id}")

    def resume(self, claims: Iterable[Claim], connected: asyncio.Event) -> None:
        """Go on with what a crash left, in its order, once ``connected``."""
        for claim in claims:
            spec = self._serving().spec
            key = key_of(claim.client_id, claim.message, spec.conversation)
            place = self.lanes.enter(key) if claim.state == "taken" else None
            work = self._take_up(claim, key, place, connected)
            self._leftovers.append((connected, self.spawn(work, f"leftover {claim.message.id}")))

    async def _take_in(
        self,
        claim: Claim,
        key: ConversationKey,
        place: Place | None,
        command: Command | None,
        serving: Serving,
        *,
        resumed: bool = False,
    ) -> None:
        """Answer, and release ``serving`` and the place whatever happens."""
        message = claim.message
        try:
            counts = command is None and not resumed
            refusal = await self._refusal(message, serving, counts=counts)
            if refusal is not None:
                await self._turn_away(claim, serving, refusal)
            elif command is not None:
                await self._obey(command, claim, place, serving)
            elif place is not None:
                await self._pairing.join((key, message.sender.key), claim)
                await self._take_turn(claim, place, serving)
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, message.id)
            self._failed += 1
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
            await claim.finishing(say("failed", language, reason=sentence), guid, failed=True)
        self.insisting.add(claim, serving, language)

    async def _take_in_later(self, claim: Claim, waiting: Waiting, serving: Serving) -> None:
        """Something to look at: asked with the question that follows, or soon without."""
        try:
            refusal = await self._refusal(claim.message, serving, counts=False)
            if refusal is not None and self._pairing.take_out(waiting, claim):
                await self._turn_away(claim, serving, refusal)
            if waiting.claims:
                claim = waiting.claims[-1]
                if await self._pairing.wait(waiting, serving.spec.image_wait_seconds):
                    place = self.lanes.enter(waiting.owner[0])
                    await self._take_in(claim, place.key, place, None, serving.hold())
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, claim.message.id)
            self._failed += 1
            self._pairing.take_out(waiting, claim)
            await self._apologise(claim, serving)
        finally:
            serving.release()

    async def _take_up(
        self, claim: Claim, key: ConversationKey, place: Place | None, connected: asyncio.Event
    ) -> None:
        """A message that a crash left behind: answered if it may be, else closed."""
        await connected.wait()  # only then DingTalk's clock is known
        serving = self._serving()
        if place is not None and young(claim, serving.channel.now()):
            command = command_in(claim.message.text)
            await self._take_in(claim, key, place, command, serving.hold(), resumed=True)
            return
        serving.hold()
        try:
            if not await close(claim, serving, self._tongues.of(claim.message)):
                self.insisting.add(claim, serving, self._tongues.of(claim.message))
        except Exception:
            log.exception("bot=%s leftover msg=%s failed", serving.spec.name, claim.message.id)
        finally:
            _leave(place, serving)

    async def _take_turn(self, claim: Claim, place: Place, serving: Serving) -> None:
        turn = Turn(
            claim,
            place,
            serving,
            conversations=self._conversations,
            intake=self._intake,
            extras=Extras(
                self._store,
                self.patience,
                self._suggestions,
                serving,
                key=place.key,
                tongue=self._tongues.of(claim.message),
            ),
            pace=self._pace(claim.message, serving),
            tongue=self._tongues.of(claim.message),
        )
        self._turns.add(turn)
        if place.serial < self._stopped.get(place.key, -1):
            turn.give_up("stopped")
        try:
            outcome = await turn.run()
        finally:
            remembered = self._ratings.remember(turn)
            self._turns.discard(turn)
        self.spawn(self._ratings.save(remembered), "rateable")
        if turn.unsettled:
            self.insisting.add(claim, serving, self._tongues.of(claim.message))
        if outcome in {"answered", "empty", "stopped", "paused"}:
            self._answered += 1
        elif outcome == "failed":
            self._failed += 1

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
        await claim.done()
        if sentence:
            await self._say(serving, message, sentence)

    # -- all messages

    def _stop(self, key: ConversationKey) -> bool:
        """Stop what a person has asked so far, running or waiting; False if there is nothing."""
        self._stopped = {one: at for one, at in self._stopped.items() if self.lanes.busy(one)}
        self._stopped[key] = self.lanes.now()
        _give_up([turn for turn in self._turns if turn.place.key == key], "stopped")
        return self.lanes.busy(key)

    def give_up_waiting(self) -> None:
        """Shutting down: nobody's turn begins any more."""
        self.lanes.close()
        self._pairing.close()
        _give_up([turn for turn in self._turns if not turn.place.free], "shutting_down")
        for connected, task in self._leftovers:
            if not connected.is_set():  # it would wait for a connection that never comes
                task.cancel()

    def give_up(self) -> None:
        """Shutting down: end every turn with what it has and a sentence."""
        self.lanes.close()
        self.insisting.hurry()
        _give_up(self._turns, "shutting_down")

    async def until_idle(self, seconds: float) -> None:
        """Wait until every message is answered, at most ``seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (tasks := self._busy()) and (left := deadline - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)

    def _busy(self) -> tuple[asyncio.Task[None], ...]:
        return (*self.tasks, *(self.insisting.tasks if self.insisting.hurried else ()))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
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

    @property
    def turns(self) -> Turns:
        return Turns(
            answered=self._answered,
            failed=self._failed,
            in_flight=len(self.lanes.running),
            waiting=len(self.lanes.waiting),
        )

    # -- small things

    def _pace(self, message: Message, serving: Serving) -> Pace | Literal["webhook"]:
        if serving.spec.card_updates != "auto":
            return serving.spec.card_updates
        return self._meter.pace(message.corp_id, serving.channel.now())

    async def _say(self, serving: Serving, message: Message, sentence: str) -> None:
        await reply(serving.channel, serving.spec.name, message, sentence)


def _leave(place: Place | None, serving: Serving) -> None:
    if place is not None:
        place.leave()
    serving.release()


def _give_up(turns: Iterable[Turn], reason: Reason) -> None:
    for turn in tuple(turns):
        turn.give_up(reason)
