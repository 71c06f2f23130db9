"""What a crash or a drain left: answered, closed with an honest sentence, or finished again."""

import logging
import time

from dod.bridge.claims import Claim
from dod.bridge.endings import card_writer, finish
from dod.bridge.markdown import joined
from dod.bridge.replies import reply
from dod.bridge.serving import Serving
from dod.messages import digest
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

YOUNG = 300.0  # seconds; an older unanswered message is not answered out of the blue


def young(claim: Claim, now: float) -> bool:
    """Whether a ``taken`` message may still be answered. ``now``: DingTalk's clock."""
    if claim.message.created_at:
        return now - claim.message.created_at < YOUNG
    return time.time() - claim.taken_at < YOUNG


async def close(claim: Claim, serving: Serving, tongue: Tongue) -> bool:
    """End a claim whose answer was interrupted; never asks Dify again (design §5.2).

    False if its card still has to be ended.
    """
    log.info(
        "bot=%s leftover state=%s cards=%d is closed", serving.spec.name, claim.state, claim.cards
    )
    if claim.state == "replying":  # nobody knows whether it was sent
        sentence = say("unconfirmed", tongue)
        await reply(serving.channel, serving.spec.name, claim.message, sentence)
        await claim.done()
        return True
    if not claim.cards:
        await claim.replying()
        await reply(serving.channel, serving.spec.name, claim.message, _interrupted("", tongue))
        await claim.done()
        return True
    if claim.state != "finishing":
        guid = digest(claim.client_id, claim.message.id, "interrupted")
        # Without a record of where the cards before end, the last one gets the sentence alone.
        text = claim.text if len(claim.ends) >= claim.cards - 1 else ""
        await claim.finishing(_interrupted(text, tongue), guid, failed=True)
    claim.style = claim.style or serving.spec.card_style
    writer = card_writer(claim, serving, "final", tongue=tongue)
    writer.resume(claim.cards - 1, claim.ends)
    return await finish(claim, writer, serving, tongue)


def _interrupted(text: str, tongue: Tongue) -> str:
    key = "cut_off" if text.strip() else "failed"
    return joined(text, say(key, tongue, reason=say("restarted", tongue)))
