"""A press of a card's button: what a bot is told of it, and what its answer does to the card.

Facts: dingtalk-protocol §3.1. DingTalk waits two seconds; a later or malformed answer changes
nothing, and nobody is told.
"""

import json
import time
from typing import Any

from dod.sim.dingtalk.faults import Json
from dod.sim.dingtalk.world import SimCard, SimPerson, SimPress

DEADLINE = 2.0  # seconds (§3.1)
_PARTS = {"cardUpdateOptions", "cardData", "userPrivateData"}


def body_of(card: SimCard, person: SimPerson, action: str, params: Json, *, value: bool) -> Json:
    """The callback's ``data``; ``value``: it repeats ``content``.

    Raises ValueError for what cannot happen: only own templates have buttons, and only cards that
    were created with ``callbackType`` STREAM say so.
    """
    if card.chat is None or person not in card.chat.people:
        raise ValueError("this person does not see this card")
    if card.template.public or not card.calls_back:
        raise ValueError("this card has no button that is heard of")
    group = card.chat.kind == "group"
    content = json.dumps({"cardPrivateData": {"actionIds": [action], "params": params}})
    body = {
        "type": "actionCallback",
        "outTrackId": card.id,
        "corpId": card.app.corp_id,
        "userId": person.staff_id or "",
        "userIdType": 1,
        "spaceType": "IM_GROUP" if group else "IM_ROBOT",
        "spaceId": card.chat.id,
        "extension": "{}",
        "content": content,
    }
    if value:
        body["value"] = content
    return body


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
