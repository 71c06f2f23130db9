"""What a crash or a drain left: answered, closed with an honest sentence, or finished again."""

import logging
import time

from dod.bridge.claims import Claim
from dod.bridge.endings import card_writer, finish
from dod.bridge.markdown import cut, joined
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
    if claim.state != "finishing":
        guid = digest(claim.client_id, claim.message.id, "interrupted")
        # A card that was young has none of the text yet: it gets the sentence alone.
        text = claim.text if len(cut(claim.text)) >= claim.cards else ""
        await claim.finishing(_interrupted(text, tongue), guid, failed=True)
    if not claim.cards:
        return await finish(claim, None, serving, tongue)
    claim.style = claim.style or serving.spec.card_style
    writer = card_writer(claim, serving.channel, "final")
    writer.resume(claim.cards - 1)
    return await finish(claim, writer, serving, tongue)


def _interrupted(text: str, tongue: Tongue) -> str:
    key = "cut_off" if text.strip() else "failed"
    return joined(text, say(key, tongue, reason=say("restarted", tongue)))
