"""What a crash or a drain left: answered, closed with an honest sentence, or finished again."""

import logging
import time

from dod.bridge.claim import KEEP, Claim
from dod.bridge.endings import card_writer, finish
from dod.bridge.markdown import joined
from dod.bridge.pages import continued
from dod.bridge.serving import Serving
from dod.messages import digest
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

YOUNG = 300.0  # seconds; an older unanswered message is not answered out of the blue


def age(claim: Claim, now: float) -> float:
    """Seconds since it was said. ``now``: DingTalk's clock; the local one is the last resort."""
    if claim.message.created_at:
        return now - claim.message.created_at
    return time.time() - claim.taken_at


def young(claim: Claim, now: float) -> bool:
    """Whether a ``taken`` message may still be answered."""
    return age(claim, now) < YOUNG


async def close(claim: Claim, serving: Serving, tongue: Tongue) -> bool:
    """End a claim whose answer was interrupted; never asks Dify again (design §5.2).

    False if its card still has to be ended, or the person to be told.
    """
    if age(claim, serving.channel.now()) > KEEP:
        await _close_quietly(claim, serving, tongue)
        return True
    log.info(
        "bot=%s msg=%s leftover state=%s cards=%d is closed",
        serving.spec.name,
        claim.message.id,
        claim.state,
        claim.cards,
    )
    if claim.state == "replying":  # nobody knows whether it was sent
        claim.text, claim.cards = say("unconfirmed", tongue), 0
        return await finish(claim, None, serving, tongue)
    if claim.state != "finishing":
        guid = digest(claim.client_id, claim.message.id, "interrupted")
        # Without a record of where the cards before end, the last one gets the sentence alone.
        text = claim.text if len(claim.ends) >= claim.cards - 1 else ""
        await claim.finishing(_interrupted(text, tongue), guid, failed=True)
    if not claim.cards:
        return await finish(claim, None, serving, tongue)
    claim.style = claim.style or serving.spec.card_style
    writer = card_writer(claim, serving, "final", tongue=tongue)
    writer.resume(claim.cards - 1, claim.ends)
    return await finish(claim, writer, serving, tongue)


async def _close_quietly(claim: Claim, serving: Serving, tongue: Tongue) -> None:
    """After a day nobody waits for a message any more; a card shall not spin even so."""
    log.warning("bot=%s msg=%s left over a day ago", serving.spec.name, claim.message.id)
    if claim.cards:
        claim.style = claim.style or serving.spec.card_style
        writer = card_writer(claim, serving, "final", tongue=tongue)
        writer.resume(claim.cards - 1)
        guid = digest(claim.client_id, claim.message.id, "late")
        await writer.close(_interrupted("", tongue), guid, failed=True)
    await claim.done()


def left_to_say(claim: Claim, tongue: Tongue) -> str:
    """The whole answer if there is one, else what there is of it and a sentence.

    Without what stands on full cards, which have their end.
    """
    if claim.state == "replying" or claim.interrupted or claim.replied:
        return say("unconfirmed", tongue)  # nobody knows whether it was sent
    known = 0 < len(claim.ends) == claim.cards - 1
    rest = continued(claim.text, claim.ends[-1]) if known else claim.text
    return rest if claim.state == "finishing" else _interrupted(rest, tongue)


def _interrupted(text: str, tongue: Tongue) -> str:
    key = "cut_off" if text.strip() else "failed"
    return joined(text, say(key, tongue, reason=say("restarted", tongue)))
