"""What a turn tells its person: on cards while Dify writes, or else in one reply at the end."""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from dod.bridge.claim import Claim
from dod.bridge.endings import card_writer, finish
from dod.bridge.lanes import Place
from dod.bridge.pacing import Pace
from dod.bridge.serving import Serving
from dod.bridge.typewriter import Typewriter
from dod.errors import DingTalkError
from dod.messages import digest
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

MENTION_AFTER = 20.0  # seconds: then the asker has looked away


class Telling:
    """Lifecycle: ``begin`` → ``notice``, ``progress``, ``show`` → ``deliver`` or ``abandon``.

    Thread: the bot's loop. ``source``, ``settled``: see ``Typewriter``.
    """

    def __init__(
        self,
        claim: Claim,
        place: Place,
        serving: Serving,
        tongue: Tongue,
        *,
        pace: Pace | Literal["webhook"],
        source: Callable[[], str],
        settled: Callable[[], bool],
    ) -> None:
        self._claim = claim
        self._serving = serving
        self._tongue: Tongue = tongue
        self._guid = digest(claim.client_id, claim.message.id, "final")
        self._writer: Typewriter | None = None
        self.chars = 0  # of the whole reply
        on_card = serving.spec.handler == "DifyAiCardBotHandler" and pace != "webhook"
        # A card that an earlier process opened must be ended, whatever has been saved meanwhile.
        if on_card or claim.cards:
            claim.style = claim.style or serving.spec.card_style
            self._writer = card_writer(
                claim,
                serving,
                "final" if pace == "webhook" else pace,
                source=source,
                settled=settled,
                tongue=tongue,
                on_opening=functools.partial(_opening, claim, place),
            )

    @property
    def on_card(self) -> bool:
        return self._writer is not None

    @property
    def begun(self) -> bool:
        """There is, or will be, a card."""
        return self._writer is not None and self._writer.begun

    @property
    def updates(self) -> int:
        return 0 if self._writer is None else self._writer.updates

    @property
    def first_shown(self) -> float | None:
        """Loop time of the first text on a card."""
        return None if self._writer is None else self._writer.first_shown

    def begin(self) -> None:
        """Open the card, if there is to be one. Idempotent."""
        if self._writer is not None:
            self._writer.begin()

    async def notice(self, sentence: str) -> None:
        """Say something before there is an answer."""
        if self._writer is not None:
            self._writer.notice(sentence)
        else:
            await self._say_once(sentence)

    async def _say_once(self, sentence: str) -> None:
        """Tried once, never owned up to: the answer waits for it, and says more."""
        try:
            await self._serving.channel.reply(self._claim.message, sentence)
        except DingTalkError as error:
            log.info("bot=%s notice not delivered: %s", self._serving.spec.name, error)

    def progress(self, line: str) -> None:
        """What Dify is busy with, below the text. Never waits."""
        if self._writer is not None:
            self._writer.progress(line)

    def show(self, *, withdrawn: bool = False) -> None:
        """There is more to show; ``withdrawn``: what was shown is no longer true. Never waits."""
        if self._writer is not None:
            if withdrawn:
                self._claim.withdrawn()
                self._writer.replaced(say("withdrawn", self._tongue))
            self._writer.touch()

    async def deliver(self, text: str, *, failed: bool, since: float) -> bool:
        """Leave ``text`` with the person: on the card, or else as a reply. Then it is done.

        False if it has no end yet: see ``endings.Insisting``. ``since``: loop time of the question.
        """
        self.chars = len(text)
        if self._writer is None:
            claim = self._claim
            claim.text, claim.guid, claim.failed = text, self._guid, failed
        else:
            # Both at once: the promise goes to disk while the last update comes back.
            await asyncio.gather(
                self._claim.finishing(text, self._guid, failed=failed), self._writer.stop()
            )
        late = asyncio.get_running_loop().time() - since > MENTION_AFTER
        return await finish(self._claim, self._writer, self._serving, self._tongue, mention=late)

    def abandon(self) -> None:
        """Everything ends at once: the next start goes on with the card as it is."""
        if self._writer is not None:
            self._writer.abandon()


async def _opening(claim: Claim, place: Place, cards: int, text: str, ends: Sequence[int]) -> None:
    """A card is about to be created: a chat's first ones in the order of its messages."""
    await claim.opening(cards, text, ends)
    if cards == 1:
        await place.in_order()
        place.opened()
