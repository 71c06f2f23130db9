"""What a card callback's answer does to the card (dingtalk-protocol §3.1).

DingTalk waits two seconds; a later or malformed answer changes nothing, and nobody is told.
"""

import time
from typing import Any

from dod.sim.dingtalk.faults import Json
from dod.sim.dingtalk.world import SimPress

DEADLINE = 2.0  # seconds (§3.1)
_PARTS = {"cardUpdateOptions", "cardData", "userPrivateData"}


def settle(press: SimPress, data: Any) -> str:
    """Note the ack's ``data`` and do what it says; returns what was wrong with it, or ""."""
    press.answered_at = time.monotonic()
    if not isinstance(data, dict) or not isinstance(data.get("response"), dict):
        return f"a press was answered without a response: {data!r}"
    press.answer = answer = data["response"]
    took = press.answered_at - press.pressed_at
    if took > DEADLINE:
        return f"a press was answered after {took:.1f} s"
    if wrong := _wrong(answer):
        return f"a press was answered with {wrong}: {answer!r}"
    _apply(press, answer)
    return ""


def _wrong(answer: Json) -> str:
    if set(answer) - _PARTS:
        return "unknown fields"
    for part in ("cardData", "userPrivateData"):
        params = answer.get(part, {"cardParamMap": {}})
        params = params.get("cardParamMap") if isinstance(params, dict) else None
        if not isinstance(params, dict):
            return f"no cardParamMap in {part}"
        if not all(isinstance(text, str) for pair in params.items() for text in pair):
            return f"something else than text in {part}"
    options = answer.get("cardUpdateOptions", {})
    if not isinstance(options, dict) or not all(isinstance(on, bool) for on in options.values()):
        return "cardUpdateOptions that are none"
    return ""


def _apply(press: SimPress, answer: Json) -> None:
    """Without "ByKey" a map replaces all variables, as in an update (§5.5)."""
    options, card = answer.get("cardUpdateOptions", {}), press.card
    if "cardData" in answer:
        by_key = options.get("updateCardDataByKey") is True
        params = answer["cardData"]["cardParamMap"]
        card.put(params, by_key=by_key, blank_chars=0)
    if "userPrivateData" in answer:
        known = card.private.get(press.person.sender_id, {})
        kept = known if options.get("updatePrivateDataByKey") is True else {}
        params = answer["userPrivateData"]["cardParamMap"]
        card.private[press.person.sender_id] = {**kept, **params}
