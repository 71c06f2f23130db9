"""What a crash or a drain left: answered, closed with an honest sentence, or finished again."""

import logging
import time

from dod.bridge.claims import Claim
from dod.bridge.replies import reply
from dod.bridge.turn import Serving
from dod.bridge.typewriter import Typewriter
from dod.messages import digest
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

YOUNG = 300.0  # seconds; an older unanswered message is not answered out of the blue


def young(claim: Claim, now: float) -> bool:
    """Whether a ``taken`` message may still be answered. ``now``: DingTalk's clock."""
    if claim.message.created_at:
        return now - claim.message.created_at < YOUNG
    return time.time() - claim.taken_at < YOUNG


async def close(claim: Claim, serving: Serving, tongue: Tongue) -> None:
    """End a claim whose answer was interrupted. Never asks Dify again (design §5.2)."""
    text, guid, failed = claim.text, claim.guid, claim.failed
    if claim.state != "finishing":
        text, failed = _interrupted(claim.text, tongue), True
        guid = digest(claim.client_id, claim.message.id, "interrupted")
    log.info(
        "bot=%s leftover state=%s cards=%d is closed", serving.spec.name, claim.state, claim.cards
    )
    if claim.cards:
        writer = Typewriter(
            lambda number: serving.channel.card(claim.message, serving.spec.card_style, number),
            "final",
            on_opening=claim.opening,
            on_shown=claim.shown,
        )
        writer.resume(claim.cards - 1)
        await claim.finishing(text, guid, failed=failed)
        if await writer.close(text, guid, failed=failed):
            await claim.done()
            return
    await claim.done()
    await reply(serving.channel, serving.spec.name, claim.message, text)


def _interrupted(text: str, tongue: Tongue) -> str:
    if not text.strip():
        return say("failed", tongue, reason=say("restarted", tongue))
    return text.rstrip() + "\n\n" + say("cut_off", tongue, reason=say("restarted", tongue))
