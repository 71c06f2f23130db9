"""One bot: takes messages from its channel, gives each a turn, and drains.

Thread: one loop, its own. It knows no threads and no libraries, only the ports.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol

from dod.bridge.claims import Claim, Claims
from dod.bridge.commands import Command, command_in, id_card
from dod.bridge.conversations import Conversations, key_of
from dod.bridge.lanes import Lanes, Place
from dod.bridge.leftovers import close, young
from dod.bridge.limits import Refusals, may_ask
from dod.bridge.pacing import Pace
from dod.bridge.replies import reply
from dod.bridge.turn import Reason, Serving, Turn
from dod.config.spec import BotSpec, Config
from dod.messages import ConversationKey, Message
from dod.ports import App, Channel, StateChange, Store
from dod.status import BotSnapshot, BotState, Turns
from dod.texts import Tongue, kind_of, say, tongue

log = logging.getLogger(__name__)

STALE = 600.0  # seconds by DingTalk's clock; then a message is not answered out of the blue
CLOSING = 2.5  # seconds before the deadline: Dify is told to stop and cards are closed
LOADING = 10.0  # seconds to wait for a slow store at start


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


class Bot:
    """Lifecycle: ``run`` (until ``drain``) → ``drain(deadline)`` → ``aclose``."""

    def __init__(
        self,
        spec: BotSpec,
        *,
        store: Store,
        channel: Channel,
        app: App,
        meter: Meter,
        config: Callable[[], Config],
    ) -> None:
        self.spec = spec
        self._serving = Serving(spec, app, channel)
        self._config = config
        self._meter = meter
        self._claims = Claims(spec.dingtalk_app_client_id, store)
        self._conversations = Conversations(store)
        self._lanes = Lanes(lambda: self.spec.capacity)
        self._refusals = Refusals()
        self._turns: set[Turn] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._state: BotState = "starting"
        self._since = time.time()
        self._error = ""
        self._generation = 1
        self._answered = 0
        self._failed = 0

    # -- life

    async def run(self) -> None:
        """Serve until drained. What a crash left comes before what is new."""
        channel = self._serving.channel
        try:
            async with asyncio.timeout(LOADING):
                await self._meter.load()
                leftovers = await self._claims.load()
        except TimeoutError:
            log.warning("bot=%s store is slow: starting without its leftovers", self.spec.name)
            leftovers = []
        for claim in leftovers:
            place = self._enter(claim.message) if claim.state == "taken" else None
            self._spawn(self._resume(claim, place), f"leftover {claim.message.id}")
        await channel.run(self.receive, self._on_state)

    async def drain(self, deadline: float) -> None:
        """Take nothing new, finish what runs, close what cannot be finished.

        ``deadline``: loop time by which this returns, whatever the neighbours do.
        """
        loop = asyncio.get_running_loop()
        self._change("draining")
        self._lanes.close()
        leaving = self._spawn(self._serving.channel.leave(), "leave")
        waiting = [turn for turn in self._turns if not turn.place.free]
        _give_up(waiting, "shutting_down")
        await self._until(deadline - CLOSING - loop.time())
        self._serving.channel.hurry()
        _give_up(self._turns, "shutting_down")
        await self._until(deadline - loop.time())
        leaving.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._meter.flush()

    async def aclose(self) -> None:
        await self._serving.channel.aclose()
        await self._serving.app.aclose()
        self._change("stopped")

    async def _until(self, seconds: float) -> None:
        if self._tasks and seconds > 0:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)

    # -- one message

    async def receive(self, message: Message) -> None:
        """Claim a message and give it a turn. Returns when it may be acknowledged."""
        command = command_in(message.text)
        place = None if command in {"stop", "help", "id"} else self._enter(message)
        claim = await self._claims.take(message)
        if claim is None:
            if place is not None:
                place.leave()
            return
        self._spawn(self._answer(claim, place, command), f"turn {message.id}")

    async def _answer(self, claim: Claim, place: Place | None, command: Command | None) -> None:
        """The rim of one message: whatever happens stays here and is said."""
        message = claim.message
        try:
            refusal = self._refusal(message)
            if refusal is not None:
                await claim.done()
                if refusal:
                    await self._say(message, refusal)
            elif command is not None:
                await claim.done()
                await self._obey(command, message, place)
            elif place is not None:
                await self._take_turn(claim, place)
        except Exception:
            log.exception("bot=%s msg=%s failed", self.spec.name, message.id)
            self._failed += 1
            await claim.done()
            await self._say(message, say("internal", self._tongue(message)))
        finally:
            if place is not None:
                place.leave()

    async def _take_turn(self, claim: Claim, place: Place) -> None:
        turn = Turn(
            claim,
            place,
            self._serving,
            self._conversations,
            pace=self._pace(claim.message),
            tongue=self._tongue(claim.message),
        )
        self._turns.add(turn)
        try:
            outcome = await turn.run()
        finally:
            self._turns.discard(turn)
        if outcome in {"answered", "empty", "stopped", "paused"}:
            self._answered += 1
        elif outcome == "failed":
            self._failed += 1

    def _refusal(self, message: Message) -> str | None:
        """Why ``message`` is not for Dify: a sentence, "" for silence, None if it is."""
        language = self._tongue(message)
        if not may_ask(self.spec.allow, self._config().admins, message):
            return say("not_allowed", language) if self._refusals.tell(message) else ""
        if message.error_code:
            log.error("bot=%s DingTalk sent no text: code=%s", self.spec.name, message.error_code)
            return say("over_quota", language)
        if not message.text.strip():
            if message.kind == "text":
                return say("nothing_asked", language)
            return say("only_text", language, kind=kind_of(message.kind, language))
        if message.age > STALE:
            return say("too_old", language, minutes=round(message.age / 60))
        return None

    async def _obey(self, command: Command, message: Message, place: Place | None) -> None:
        language, key = self._tongue(message), self._key(message)
        if command == "stop":
            if not self._stop(key):
                await self._say(message, say("nothing_to_stop", language))
        elif command == "new":
            self._stop(key)
            if place is not None:
                await place.wait()
            await self._conversations.forget(key)
            await self._say(message, say("new_conversation", language))
        elif command == "id":
            await self._say(message, id_card(message, language))
        else:
            await self._say(message, say("help", language))

    def _stop(self, key: ConversationKey) -> bool:
        """Stop the person's answers, running or waiting; False if there are none."""
        turns = [turn for turn in self._turns if turn.place.key == key]
        _give_up(turns, "stopped")
        return bool(turns)

    async def _resume(self, claim: Claim, place: Place | None) -> None:
        """A message that a crash left behind: answered if it may be, else closed."""
        await self._connected.wait()  # only then DingTalk's clock is known
        serving = self._serving
        if place is not None and young(claim, serving.channel.now()):
            await self._answer(claim, place, command_in(claim.message.text))
            return
        try:
            await close(claim, serving, self._tongue(claim.message))
        except Exception:
            log.exception("bot=%s leftover msg=%s failed", self.spec.name, claim.message.id)
        finally:
            if place is not None:
                place.leave()

    # -- small things

    def _enter(self, message: Message) -> Place:
        return self._lanes.enter(self._key(message))

    def _key(self, message: Message) -> ConversationKey:
        return key_of(self.spec.dingtalk_app_client_id, message, self.spec.conversation)

    def _tongue(self, message: Message) -> Tongue:
        return tongue(self._config().language, message.text)

    def _pace(self, message: Message) -> Pace | Literal["webhook"]:
        if self.spec.card_updates != "auto":
            return self.spec.card_updates
        return self._meter.pace(message.corp_id, self._serving.channel.now())

    async def _say(self, message: Message, sentence: str) -> None:
        await reply(self._serving.channel, self.spec.name, message, sentence)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{self.spec.name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_state(self, change: StateChange) -> None:
        self._error = change.error
        if change.state == "connected":
            self._connected.set()
        if self._state != "draining":
            self._change(change.state)

    def _change(self, state: BotState) -> None:
        if state != self._state:
            self._state, self._since = state, time.time()

    def snapshot(self) -> BotSnapshot:
        """May be read from any thread: it only copies numbers and words."""
        return BotSnapshot(
            name=self.spec.name,
            state=self._state,
            since=self._since,
            generation=self._generation,
            turns=Turns(
                answered=self._answered,
                failed=self._failed,
                in_flight=len(self._lanes.running),
                waiting=len(self._lanes.waiting),
            ),
            connections=self._serving.channel.connections,
            calls=self._meter.calls_this_month,
            pushes=self._meter.pushes_this_month,
            last_error=self._error,
        )


def _give_up(turns: "set[Turn] | list[Turn]", reason: Reason) -> None:
    for turn in tuple(turns):
        turn.give_up(reason)
