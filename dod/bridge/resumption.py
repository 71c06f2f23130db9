"""What a crash left is gone on with: in its order, once there is a connection.

Thread: the bot's loop.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from dod.bridge.claim import Claim
from dod.bridge.commands import command_in
from dod.bridge.conversations import key_of
from dod.bridge.desk import Desk, leave
from dod.bridge.endings import Insisting
from dod.bridge.lanes import Lanes, Place
from dod.bridge.leftovers import close, young
from dod.bridge.pairing import waits_for_question
from dod.bridge.serving import Serving
from dod.bridge.tongues import Tongues
from dod.messages import ConversationKey

log = logging.getLogger(__name__)


class Resumption:
    """Lifecycle: ``resume`` for each client id that is served."""

    def __init__(
        self,
        lanes: Lanes,
        tongues: Tongues,
        insisting: Insisting,
        desk: Desk,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._lanes = lanes
        self._tongues = tongues
        self._insisting = insisting
        self._desk = desk
        self._spawn = spawn

    def resume(self, claims: Iterable[Claim], serving: Serving) -> None:
        """Go on with what a crash left, in its order, by the channel of the app it was left at.

        Only once that is connected: then DingTalk's clock is known.
        """
        for claim in claims:
            spec = serving.spec
            key = key_of(claim.client_id, claim.message, spec.conversation)
            asks = claim.state == "taken" and not waits_for_question(claim.message, spec)
            place = self._lanes.enter(key) if asks else None
            work = self._take_up(claim, key, place, serving.hold())
            self._spawn(work, f"leftover {claim.message.id}")

    async def _take_up(
        self, claim: Claim, key: ConversationKey, place: Place | None, serving: Serving
    ) -> None:
        """A message that a crash left behind: answered if it may be, else closed."""
        if claim.state == "taken" and young(claim, serving.channel.now()):
            # No wait from here to where it is paired: each in the order of its receipt.
            if place is None:
                await self._desk.take_in_later(claim, key, serving, resumed=True)
            else:
                command = command_in(claim.message.text)
                await self._desk.take_in(claim, key, place, command, serving, resumed=True)
            return
        try:
            if not await close(claim, serving, self._tongues.of(claim.message)):
                self._insisting.add(claim, serving, self._tongues.of(claim.message))
        except Exception:
            log.exception("bot=%s leftover msg=%s failed", serving.spec.name, claim.message.id)
        finally:
            leave(place, serving)
