"""What becomes of a message once it is received: claimed, placed, refused, obeyed or answered.

Thread: the bot's loop. The rim of one message is here: whatever goes wrong stays with it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, Protocol

from dod.bridge.claims import Claim, Claims
from dod.bridge.commands import Command, command_in, id_card
from dod.bridge.conversations import Conversations, key_of
from dod.bridge.endings import Insisting
from dod.bridge.lanes import Lanes, Place
from dod.bridge.leftovers import close, young
from dod.bridge.limits import Refusals, may_ask
from dod.bridge.pacing import Pace
from dod.bridge.patience import Patience
from dod.bridge.replies import reply
from dod.bridge.serving import Serving
from dod.bridge.turn import Reason, Turn
from dod.config.spec import Config
from dod.messages import ConversationKey, Message, digest
from dod.ports import Store
from dod.status import Turns
from dod.texts import Tongue, kind_of, say, tongue

log = logging.getLogger(__name__)

STALE = 600.0  # seconds by DingTalk's clock; then a message is not answered out of the blue


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
        self._config = config
        self._meter = meter
        self._conversations = Conversations(store, self.patience)
        self._refusals = Refusals()
        self._turns: set[Turn] = set()
        self.insisting = Insisting()
        self._stopped: dict[ConversationKey, int] = {}  # what was said before is to be stopped
        self._tongues: dict[str, Tongue] = {}  # in which language a person spoke last
        self._leftovers: list[tuple[asyncio.Event, asyncio.Task[None]]] = []
        self._answered = 0
        self._failed = 0

    # -- one message

    async def receive(
        self, message: Message, client_id: str, claims: Claims, serving: Serving
    ) -> None:
        """Claim a message and give it a turn. Returns when it may be acknowledged."""
        command = command_in(message.text)
        self.corp_id = message.corp_id or self.corp_id
        key = key_of(client_id, message, serving.spec.conversation)
        place, running = None, False
        if command in {"stop", "new"}:
            running = self._stop(key)
        if command not in {"stop", "help", "id"}:
            place = self.lanes.enter(key, light=command == "new")
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
        self.spawn(self._take_in(claim, key, place, command, serving), f"turn {message.id}")

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
    ) -> None:
        """Answer, and release ``serving`` and the place whatever happens."""
        message = claim.message
        try:
            refusal = self._refusal(message, serving)
            if refusal is not None:
                await claim.done()
                if refusal:
                    await self._say(serving, message, refusal)
            elif command is not None:
                await self._obey(command, claim, key, place, serving)
            elif place is not None:
                await self._take_turn(claim, place, serving)
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, message.id)
            self._failed += 1
            await self._apologise(claim, serving)
        finally:
            _leave(place, serving)

    async def _apologise(self, claim: Claim, serving: Serving) -> None:
        """Something of ours broke: say so, on the card if there is one."""
        language = self._tongue(claim.message)
        sentence = say("internal", language)
        if not claim.cards:
            await claim.done()
            await self._say(serving, claim.message, sentence)
            return
        if claim.state != "finishing":
            guid = digest(claim.client_id, claim.message.id, "internal")
            await claim.finishing(say("failed", language, reason=sentence), guid, failed=True)
        self.insisting.add(claim, serving, language)

    async def _take_up(
        self, claim: Claim, key: ConversationKey, place: Place | None, connected: asyncio.Event
    ) -> None:
        """A message that a crash left behind: answered if it may be, else closed."""
        await connected.wait()  # only then DingTalk's clock is known
        serving = self._serving()
        if place is not None and young(claim, serving.channel.now()):
            command = command_in(claim.message.text)
            await self._take_in(claim, key, place, command, serving.hold())
            return
        serving.hold()
        try:
            if not await close(claim, serving, self._tongue(claim.message)):
                self.insisting.add(claim, serving, self._tongue(claim.message))
        except Exception:
            log.exception("bot=%s leftover msg=%s failed", serving.spec.name, claim.message.id)
        finally:
            _leave(place, serving)

    async def _take_turn(self, claim: Claim, place: Place, serving: Serving) -> None:
        turn = Turn(
            claim,
            place,
            serving,
            self._conversations,
            pace=self._pace(claim.message, serving),
            tongue=self._tongue(claim.message),
        )
        self._turns.add(turn)
        if place.serial < self._stopped.get(place.key, -1):
            turn.give_up("stopped")
        try:
            outcome = await turn.run()
        finally:
            self._turns.discard(turn)
        if turn.unsettled:
            self.insisting.add(claim, serving, self._tongue(claim.message))
        if outcome in {"answered", "empty", "stopped", "paused"}:
            self._answered += 1
        elif outcome == "failed":
            self._failed += 1

    def _refusal(self, message: Message, serving: Serving) -> str | None:
        """Why ``message`` is not for Dify: a sentence, "" for silence, None if it is."""
        language = self._tongue(message)
        if not may_ask(serving.spec.allow, self._config().admins, message):
            return say("not_allowed", language) if self._refusals.tell(message) else ""
        if message.error_code:
            log.error("bot=%s no text came: code=%s", serving.spec.name, message.error_code)
            return say("over_quota", language)
        if not message.text.strip():
            if message.kind == "text":
                return say("nothing_asked", language)
            return say("only_text", language, kind=kind_of(message.kind, language))
        if message.age > STALE:
            return say("too_old", language, minutes=round(message.age / 60))
        return None

    async def _obey(
        self,
        command: Command,
        claim: Claim,
        key: ConversationKey,
        place: Place | None,
        serving: Serving,
    ) -> None:
        """Commands may be obeyed twice but not lost, so they are done when they are done."""
        message, language = claim.message, self._tongue(claim.message)
        if command == "new":
            if place is not None:
                await place.wait()
            await self._conversations.forget(key)
        await claim.done()
        sentence = {
            "new": say("new_conversation", language),
            "stop": "",  # the card says it
            "stop_nothing": say("nothing_to_stop", language),
            "id": id_card(message, language),
            "help": say("help", language),
        }[command]
        if sentence:
            await self._say(serving, message, sentence)

    # -- all messages

    def _stop(self, key: ConversationKey) -> bool:
        """Stop what a person has asked so far, running or waiting; False if there is nothing."""
        self._stopped[key] = self.lanes.now()
        _give_up([turn for turn in self._turns if turn.place.key == key], "stopped")
        return self.lanes.busy(key)

    def give_up_waiting(self) -> None:
        """Shutting down: nobody's turn begins any more."""
        self.lanes.close()
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

    def _tongue(self, message: Message) -> Tongue:
        """A command has no language of its own: it is answered in the one spoken last."""
        language, person = self._config().language, message.sender.key
        if language != "auto" or not command_in(message.text):
            spoken = tongue(language, message.text)
            if len(self._tongues) > 10_000:
                self._tongues.clear()
            if message.text.strip():
                self._tongues[person] = spoken
            return spoken
        return self._tongues.get(person, tongue(language, message.text))

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
