"""Buttons of a card: what a callback says, and what its answer sets (dingtalk-protocol §3.1).

The names here are the contract with the template: docs/card-template.md.
"""

import json
from typing import Any, Literal

from dod.dingtalk.frames import Frame, words
from dod.messages import Press, PressReply

Json = dict[str, Any]

# By the parameter ``action`` of a button, else by its action id. Names of templates that people
# already have for other bots count, too.
_ACTIONS: dict[str, Literal["stop", "like", "dislike"]] = {
    "stop": "stop",
    "btn_stop": "stop",
    "like": "like",
    "feedback_up": "like",
    "ai_res_like": "like",
    "dislike": "dislike",
    "feedback_down": "dislike",
    "ai_res_dislike": "dislike",
}
STOPPED, NOTICE, RATING = "stopped", "notice", "rating"  # variables
_SPELLINGS = ("content", "value")  # newer clients repeat the one as the other


def press(frame: Frame) -> Press | None:
    """Which button of which card; None if the frame names no card. Lenient."""
    card_id = words(frame.data.get("outTrackId"))
    if not card_id:
        return None
    return Press(
        card_id=card_id,
        staff_id=words(frame.data.get("userId")),
        action=_action(frame.data),
        corp_id=words(frame.data.get("corpId")),
    )


def response(reply: PressReply) -> Json:
    """What goes back in the ack; other variables and other people's stay as they are."""
    private = {NOTICE: reply.notice} if reply.notice else {}
    if reply.rating is not None:
        private[RATING] = reply.rating
    answer: Json = {}
    if reply.stopped:
        answer["cardData"] = {"cardParamMap": {STOPPED: "true"}}
    if private:
        answer["userPrivateData"] = {"cardParamMap": private}
    if answer:
        by_key = {"updateCardDataByKey": True, "updatePrivateDataByKey": True}
        answer["cardUpdateOptions"] = by_key
    return answer


def _action(data: Json) -> Literal["stop", "like", "dislike", ""]:
    for spelling in _SPELLINGS:
        private = _object(_object(data.get(spelling)).get("cardPrivateData"))
        ids = private.get("actionIds")
        named = [_object(private.get("params")).get("action")]
        named += ids if isinstance(ids, list) else []
        for name in named:
            if isinstance(name, str) and name.strip().lower() in _ACTIONS:
                return _ACTIONS[name.strip().lower()]
    return ""


def _object(value: object) -> Json:
    """An object, also where it comes as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
