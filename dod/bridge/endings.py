"""How an answer ends: on its card, or else by reply; and no card is left spinning (design §5.6).

A claim is ``finishing`` before any of this, with the text that its card is to end with.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from dod.bridge.claims import Claim
from dod.bridge.pacing import Pace
from dod.bridge.replies import reply
from dod.bridge.rest import rest_as_file
from dod.bridge.serving import Serving
from dod.bridge.typewriter import Typewriter
from dod.messages import digest
from dod.ports import Card
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

# Seconds between further tries to end a card that DingTalk does not let us end: one hour in all.
INSIST = (5.0, 15.0, 30.0, 60.0, *(120.0,) * 29)


def card_writer(
    claim: Claim,
    serving: Serving,
    pace: Pace,
    *,
    source: Callable[[], str] = str,
    tongue: Tongue | None = None,
) -> Typewriter:
    """A typewriter on the claim's cards, in the style that they were, or are to be, made from."""
    style = claim.style
    if style is None:
        raise ValueError("a claim without a style has no cards")

    def make_card(number: int) -> Card:
        return serving.channel.card(claim.message, style, number)

    return Typewriter(
        make_card,
        pace,
        source=source,
        existing=claim.cards,
        on_opening=claim.opening,
        on_shown=claim.shown,
        hand_over=rest_as_file(claim, serving.channel, serving.room, tongue),
        room=serving.room,
    )


async def finish(claim: Claim, writer: Typewriter, serving: Serving, tongue: Tongue) -> bool:
    """End the claim's answer. False if a card still has to be ended: see ``insist``."""
    text, guid, failed = claim.text, claim.guid, claim.failed
    ending = await writer.close(text, guid, failed=failed)
    if ending == "landed":
        await claim.done()
        return True
    rest = writer.rest(text)
    if ending == "none":
        await claim.replying()  # first: a reply must not be sent twice
        await reply(serving.channel, serving.spec.name, claim.message, rest)
        await claim.done()
        return True
    # The card is there and does not take its end: the answer goes by reply, and from here on the
    # card is to say so. Written before the reply, so that no crash can show both; a crash before
    # the reply arrived must not promise it.
    moved = digest(guid, "moved")
    await claim.finishing(say("unconfirmed", tongue), moved, failed=False)
    if not await reply(serving.channel, serving.spec.name, claim.message, rest):
        await claim.finishing(text, guid, failed=failed)
        return False
    await claim.finishing(say("answered_below", tongue), moved, failed=False)
    if await writer.end(claim.text, moved, failed=False) != "open":
        await claim.done()
        return True
    return False


async def insist(
    claim: Claim,
    serving: Serving,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Try for an hour to end the claim's last card; the next start goes on."""
    log.warning("bot=%s msg=%s card still open", serving.spec.name, claim.message.id)
    for delay in INSIST:
        await sleep(delay)
        writer = card_writer(claim, serving, "final")
        writer.resume(claim.cards - 1, claim.ends)
        ending = await writer.close(claim.text, claim.guid, failed=claim.failed)
        if ending != "open":
            await claim.done()
            return
    log.error("bot=%s msg=%s card could not be ended", serving.spec.name, claim.message.id)
