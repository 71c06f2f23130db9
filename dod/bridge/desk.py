"""Where a claimed message is seen to: refused, obeyed, kept for its question, or answered.

Thread: the bot's loop. The rim of one message is here: whatever goes wrong stays with it.
"""

import logging
from collections.abc import Coroutine
from typing import Any

from dod.bridge.attachments import Intake
from dod.bridge.claim import Claim
from dod.bridge.commands import Command
from dod.bridge.endings import Insisting
from dod.bridge.lanes import Lanes, Place
from dod.bridge.limits import Admission
from dod.bridge.orders import Orders
from dod.bridge.pairing import Pairing, Waiting
from dod.bridge.replies import reply
from dod.bridge.serving import Serving
from dod.bridge.tongues import Tongues
from dod.bridge.underway import Underway
from dod.errors import DifyError
from dod.messages import ConversationKey, Message, digest
from dod.texts import say

log = logging.getLogger(__name__)


class Desk:
    """Of one bot: both for what is received and for what a crash left (``resumed``)."""

    def __init__(
        self,
        lanes: Lanes,
        pairing: Pairing,
        underway: Underway,
        insisting: Insisting,
        *,
        admission: Admission,
        intake: Intake,
        orders: Orders,
        tongues: Tongues,
    ) -> None:
        self._lanes = lanes
        self._pairing = pairing
        self._underway = underway
        self._insisting = insisting
        self._admission = admission
        self._intake = intake
        self._orders = orders
        self._tongues = tongues

    async def take_in(
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
                await self._underway.take(claim, place, serving)
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, message.id)
            self._underway.failed += 1
            await self._apologise(claim, serving)
        finally:
            leave(place, serving)

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
        self._insisting.add(claim, serving, language)

    def take_in_later(
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
                    place = self._lanes.enter(waiting.owner[0])
                    held, told = serving.hold(), waiting.told
                    await self.take_in(
                        claim, place.key, place, None, held, resumed=resumed, told=told
                    )
        except Exception:
            log.exception("bot=%s msg=%s failed", serving.spec.name, claim.message.id)
            self._underway.failed += 1
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

    async def _say(self, serving: Serving, message: Message, sentence: str) -> None:
        await reply(serving, message, sentence)


def leave(place: Place | None, serving: Serving) -> None:
    """A message needs neither its place nor what serves it any more."""
    if place is not None:
        place.leave()
    serving.release()
