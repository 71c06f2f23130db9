"""Buttons on cards: stop what is being written, rate what was (docs/card-template.md).

A callback must be answered within two seconds (dingtalk-protocol §3.1), whatever Dify does.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from dod.bridge.ratings import Answered, Ratings, answered_by, buttons_of
from dod.bridge.serving import Serving
from dod.bridge.tongues import Tongues
from dod.bridge.turn import Turn
from dod.config.spec import Config
from dod.errors import DifyError
from dod.messages import Press, PressReply, Rating
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds for the disk and for Dify together; then a rating goes on by itself


class Presses:
    """What a press comes to. ``spawn`` keeps work that may outlive its answer.

    Thread: the bot's loop.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        turns: Callable[[], Iterable[Turn]],
        ratings: Ratings,
        tongues: Tongues,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._config = config
        self._turns = turns
        self._ratings = ratings
        self._tongues = tongues
        self._spawn = spawn

    async def answer(self, press: Press, serving: Serving) -> PressReply:
        """Do it, or say privately why not. Pressed twice is pressed once."""
        tongue = self._tongues.of_person(press.staff_id)
        turn = next((it for it in self._turns() if press.card_id in buttons_of(it)), None)
        log.info("bot=%s button=%s running=%s", serving.spec.name, press.action, turn is not None)
        if press.action == "":
            return PressReply()
        if press.action == "stop":
            return self._stop(press, turn, tongue)
        return await self._rate(press, press.action, turn, serving)

    def _stop(self, press: Press, turn: Turn | None, tongue: Tongue) -> PressReply:
        if turn is None or turn.claim.settled:  # long over, or of a process before this one
            return PressReply(notice=say("nothing_to_stop", tongue), stopped=True)
        asker, presser = turn.message.sender.staff_id, press.staff_id
        if not presser or presser not in {asker, *self._config().admins}:
            return PressReply(notice=say("stop_not_yours", tongue))
        turn.give_up("stopped")
        return PressReply(stopped=True)

    async def _rate(
        self, press: Press, rating: Rating, turn: Turn | None, serving: Serving
    ) -> PressReply:
        """Wait for Dify a moment; what comes later can only be thanked for in advance."""
        replies: list[PressReply] = []

        async def work() -> None:
            try:
                replies.append(await self._rated(press, rating, turn, serving))
            finally:
                serving.release()

        serving.hold()
        task = self._spawn(work(), f"rate {press.card_id}")
        await asyncio.wait({task}, timeout=PATIENCE)
        if replies:
            return replies[0]
        thanks = say("rated", self._tongues.of_person(press.staff_id))
        return PressReply(notice=thanks, rating=rating)

    async def _rated(
        self, press: Press, rating: Rating, turn: Turn | None, serving: Serving
    ) -> PressReply:
        tongue = self._tongues.of_person(press.staff_id)
        answered = answered_by(turn) if turn else await self._ratings.of_card(press.card_id)
        if answered is None:
            return PressReply(notice=say("rating_gone", tongue))
        if not _may_rate(press, answered):
            return PressReply(notice=say("rating_not_yours", tongue))
        try:
            await self._ratings.rate(answered, rating, turn.serving if turn else serving)
        except DifyError as error:
            log.warning("bot=%s rating not taken: %s", serving.spec.name, error)
            return PressReply(notice=say(error.key, tongue))
        return PressReply(notice=say("rated", tongue), rating=rating)


def _may_rate(press: Press, answered: Answered) -> bool:
    """Dify keeps one rating per answer and asker: nobody else's may take its place."""
    return answered.asker == "*" or (bool(press.staff_id) and press.staff_id == answered.asker)
