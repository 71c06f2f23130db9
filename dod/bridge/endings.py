"""How an answer ends: on its card, or else by reply; and no card is left spinning (design §5.6).

A claim is ``finishing`` before any of this, with the text that its card is to end with.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from dod.bridge.claim import Claim
from dod.bridge.pacing import Pace
from dod.bridge.replies import Delivery, reply
from dod.bridge.rest import rest_as_file
from dod.bridge.serving import Serving
from dod.bridge.typewriter import Ending, Typewriter
from dod.messages import digest
from dod.ports import Card
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

# Seconds between further tries of an end that did not come about: an hour in all. Each costs at
# most three calls of the month's quota.
INSIST = (1.0, 3.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 600.0, 1200.0, 1200.0)


def card_writer(
    claim: Claim,
    serving: Serving,
    pace: Pace,
    *,
    source: Callable[[], str] = str,
    settled: Callable[[], bool] = lambda: True,
    tongue: Tongue | None = None,
    retries: Sequence[float] | None = None,
    on_opening: Callable[[int, str, Sequence[int]], Awaitable[None]] | None = None,
) -> Typewriter:
    """A typewriter on the claim's cards, in the style that they were, or are to be, made from.

    ``on_opening``: instead of the claim's own.
    """
    style = claim.style
    if style is None:
        raise ValueError("a claim without a style has no cards")

    def make_card(number: int) -> Card:
        return serving.channel.card(claim.message, style, number)

    return Typewriter(
        make_card,
        pace,
        source=source,
        settled=settled,
        existing=claim.cards,
        on_opening=on_opening or claim.opening,
        on_shown=claim.shown,
        hand_over=rest_as_file(claim, serving.channel, serving.room, tongue),
        retries=retries,
        haste=serving.haste,
        room=serving.room,
    )


async def finish(
    claim: Claim,
    writer: Typewriter | None,
    serving: Serving,
    tongue: Tongue,
    *,
    mention: bool = False,
) -> bool:
    """End the claim's answer; ``writer`` is None where it has no card.

    False if that did not come about, but still may: see ``Insisting``. ``mention``: a reply calls
    the asker by name.
    """
    text, guid, failed, ends = claim.text, claim.guid, claim.failed, claim.ends
    ending = await _end(claim, writer) if writer else "none"
    if ending == "landed" or (ending == "none" and claim.told):
        await claim.done()
        return True
    if ending == "open" and claim.replied:
        return False
    rest = writer.rest(text) if writer else text
    if writer is None or ending == "none":
        delivery = await tell(claim, serving, rest, tongue, on_card=False, mention=mention)
        if delivery == "sent" and claim.left and writer:
            claim.left = False  # looked for once more, a moment later
            await claim.moved(say("answered_below", tongue), _moved(claim), ends=())
            return False
        if delivery == "never":
            await claim.done()
        if delivery in {"later", "unsaid"}:
            late = claim.left and writer is not None  # a card may still come about
            if not late:
                claim.cards = 0  # what is there has its end: only the reply is left to do
            if delivery == "unsaid":
                sentence = say("unconfirmed", tongue)
                await claim.finishing(sentence, _moved(claim), failed=False, ends=())
            else:
                await claim.finishing(text if late else rest, guid, failed=failed)
            return False
        return True
    # The card is there and does not take its end: the answer goes by reply.
    delivery = await tell(claim, serving, rest, tongue, on_card=True, mention=mention)
    if delivery in {"later", "never"}:
        claim.refused = not claim.interrupted
        await claim.finishing(text, guid, failed=failed, ends=ends)
    if delivery != "sent" or claim.interrupted:
        return False
    if await writer.end(claim.text, claim.guid, failed=False) != "open":
        await claim.done()
        return True
    return False


async def _end(claim: Claim, writer: Typewriter) -> Ending:
    if claim.guid == _moved(claim):
        return await writer.end(claim.text, claim.guid, failed=claim.failed)
    return await writer.close(claim.text, claim.guid, failed=claim.failed)


async def tell(
    claim: Claim,
    serving: Serving,
    text: str,
    tongue: Tongue,
    *,
    on_card: bool,
    mention: bool = False,
) -> Delivery:
    """Send ``text`` by reply, once; ``on_card``: its card, which is there, is only to say so.

    Written before the reply, so that no crash can send it twice or show both. What was not sent,
    "later" or "never", is for the caller to write as it shall go on.
    """
    if not on_card:
        await claim.replying()
        delivery = await _reply(claim, serving, text, mention=mention)
        if delivery in {"sent", "perhaps"}:
            await claim.done()
        return delivery
    moved = _moved(claim)
    if claim.interrupted or (claim.replied and claim.guid != moved):
        return await _own_up(claim, serving, tongue)
    # A crash before the reply arrived must not promise it.
    await claim.finishing(say("unconfirmed", tongue), moved, failed=False, replied=True, ends=())
    delivery = await _reply(claim, serving, text, mention=mention)
    if delivery in {"sent", "perhaps"}:
        sentence = "answered_below" if delivery == "sent" else "unconfirmed"
        await claim.moved(say(sentence, tongue), moved)
    return delivery


def _moved(claim: Claim) -> str:
    """The guid of a sentence that a card ends with in place of its answer."""
    return digest(claim.client_id, claim.message.id, "moved")


async def _own_up(claim: Claim, serving: Serving, tongue: Tongue) -> Delivery:
    """The answer may stand on the card since before a crash: no reply repeats it.

    The card goes on being tried: the same frame twice is the same.
    """
    text, guid, failed = claim.text, claim.guid, claim.failed
    await claim.finishing(text, guid, failed=failed, replied=True)
    delivery = await _reply(claim, serving, say("unconfirmed", tongue), mention=False)
    if delivery in {"sent", "perhaps"}:
        await claim.moved(text, guid, failed=failed)
    return delivery


async def _reply(claim: Claim, serving: Serving, text: str, *, mention: bool) -> Delivery:
    # Once: between tries here the disk would say that it was sent. ``Insisting`` tries again.
    message, foreign = claim.message, claim.foreign
    return await reply(serving, message, text, mention=mention, once=True, foreign=foreign)


class Insisting:
    """Answers that have no end yet, each tried again for an hour beside everything else.

    What does not come about stays on disk: the next start goes on. Thread: the bot's loop.
    """

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()

    def add(self, claim: Claim, serving: Serving, tongue: Tongue) -> None:
        """Keep ``serving`` in use until the claim's answer has its end."""
        log.warning("bot=%s msg=%s answer has no end yet", serving.spec.name, claim.message.id)
        task = asyncio.create_task(
            self._insist(claim, serving.hold(), tongue), name=f"end {claim.message.id}"
        )
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _insist(self, claim: Claim, serving: Serving, tongue: Tongue) -> None:
        try:
            tries = serving.haste.tries(INSIST)
            while await tries.another():
                if await finish(claim, last_writer(claim, serving, tongue), serving, tongue):
                    return
            if not serving.haste.made:
                log.error(
                    "bot=%s msg=%s answer could not be ended", serving.spec.name, claim.message.id
                )
        except Exception:  # the rim of one answer: the next start goes on
            log.exception("bot=%s msg=%s failed", serving.spec.name, claim.message.id)
        finally:
            serving.release()


def last_writer(claim: Claim, serving: Serving, tongue: Tongue) -> Typewriter | None:
    """A typewriter for the end of the claim's last card, each try once; None if it has no card."""
    if not claim.cards:
        return None
    writer = card_writer(claim, serving, "final", tongue=tongue, retries=())
    writer.resume(claim.cards - 1, claim.ends)
    return writer
