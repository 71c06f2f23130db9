"""The turns of one bot that are under way: begun, stopped, given up, counted.

Thread: the bot's loop.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Literal, Protocol

from dod.bridge.attachments import Intake
from dod.bridge.claim import Claim
from dod.bridge.conversations import Conversations
from dod.bridge.endings import Insisting
from dod.bridge.extras import Extras
from dod.bridge.lanes import Lanes, Place
from dod.bridge.pacing import Pace
from dod.bridge.patience import Patience
from dod.bridge.ratings import Ratings
from dod.bridge.serving import Serving
from dod.bridge.suggestions import Suggestions
from dod.bridge.tongues import Tongues
from dod.bridge.turn import Turn
from dod.bridge.view import Reason
from dod.messages import ConversationKey, Message
from dod.ports import Store
from dod.status import Turns


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


class Underway:
    """``turns``: those that run or wait for their place; ``failed``: how many came to nothing."""

    def __init__(
        self,
        store: Store,
        patience: Patience,
        lanes: Lanes,
        meter: Meter,
        *,
        conversations: Conversations,
        intake: Intake,
        ratings: Ratings,
        suggestions: Suggestions,
        tongues: Tongues,
        insisting: Insisting,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self.turns: set[Turn] = set()
        self.failed = 0
        self._store = store
        self._patience = patience
        self._lanes = lanes
        self._meter = meter
        self._conversations = conversations
        self._intake = intake
        self._ratings = ratings
        self._suggestions = suggestions
        self._tongues = tongues
        self._insisting = insisting
        self._spawn = spawn
        self._stopped: dict[ConversationKey, int] = {}  # what was said before is to be stopped
        self._answered = 0
        self._leaving = False  # who has no place yet gets none
        self._over = False

    async def take(self, claim: Claim, place: Place, serving: Serving) -> None:
        """Answer ``claim``, in its ``place``; left for the next start where it is too late."""
        if self._over or (self._leaving and not place.free):
            return
        turn = Turn(
            claim,
            place,
            serving,
            conversations=self._conversations,
            intake=self._intake,
            extras=Extras(
                self._store,
                self._patience,
                self._suggestions,
                serving,
                key=place.key,
                tongue=self._tongues.of(claim.message),
            ),
            pace=self._pace(claim.message, serving),
            tongue=self._tongues.of(claim.message),
        )
        self.turns.add(turn)
        if place.serial < self._stopped.get(place.key, -1):
            turn.give_up("stopped")
        try:
            outcome = await turn.run()
        finally:
            remembered = self._ratings.remember(turn)
            self.turns.discard(turn)
        self._spawn(self._ratings.save(remembered), "rateable")
        if turn.unsettled:
            self._insisting.add(claim, serving, self._tongues.of(claim.message))
        if outcome in {"answered", "empty", "stopped", "paused"}:
            self._answered += 1
        elif outcome == "failed":
            self.failed += 1

    def stop(self, key: ConversationKey) -> bool:
        """Stop what a person has asked so far, running or waiting; False if there is nothing."""
        self._stopped = {one: at for one, at in self._stopped.items() if self._lanes.busy(one)}
        self._stopped[key] = self._lanes.now()
        _give_up([turn for turn in self.turns if turn.place.key == key], "stopped")
        return self._lanes.busy(key)

    def give_up_waiting(self) -> None:
        """Shutting down: who waits for a place, now or later, is left for the next start."""
        self._leaving = True
        _give_up([turn for turn in self.turns if not turn.place.free], "shutting_down")

    def give_up(self) -> None:
        """Shutting down: end every turn with what it has and a sentence; no other one begins."""
        self._over = True
        _give_up(self.turns, "shutting_down")

    @property
    def counts(self) -> Turns:
        return Turns(
            answered=self._answered,
            failed=self.failed,
            in_flight=len(self._lanes.running),
            waiting=len(self._lanes.waiting),
        )

    def _pace(self, message: Message, serving: Serving) -> Pace | Literal["webhook"]:
        if serving.spec.card_updates != "auto":
            return serving.spec.card_updates
        return self._meter.pace(message.corp_id, serving.channel.now())


def _give_up(turns: Iterable[Turn], reason: Reason) -> None:
    for turn in tuple(turns):
        turn.give_up(reason)
