"""The card templates of the simulated DingTalk: what they make of a card's variables.

Facts: dingtalk-protocol §5.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CardState = Literal["processing", "typing", "finished", "failed"]

# DingTalk's public templates (dingtalk-protocol §5). The first two are steered by flowStatus.
PUBLIC_CARD = "02fcf2f4-5e02-4a85-b672-46d1f715543e.schema"
PUBLIC_MARKDOWN = "382e4302-551d-4880-bf29-a30acfab2e71.schema"
PUBLIC_DEMO = "8aebdfb9-28f4-4a98-98f5-396c3dde41a0.schema"

STATES: dict[str, CardState] = {
    "1": "processing",
    "2": "typing",
    "3": "finished",
    "4": "processing",
    "5": "failed",
}


@dataclass(frozen=True)
class SimTemplate:
    """``public``: text shows and state changes only by flowStatus and sys_full_json_obj."""

    id: str
    key: str
    public: bool = False
    markdown: bool = True
    published: bool = True

    def lays_out(self, params: Mapping[str, str]) -> bool:
        """Whether a public template shows its text: flowStatus 2, 3 or 5, and an order."""
        if params.get("flowStatus") not in {"2", "3", "5"}:
            return False
        try:
            order = json.loads(params.get("sys_full_json_obj", "{}"))["order"]
        except (ValueError, KeyError, TypeError):
            return False
        return isinstance(order, list) and self.key in order


PUBLIC = (
    SimTemplate(PUBLIC_CARD, "msgContent", public=True),
    SimTemplate(PUBLIC_MARKDOWN, "msgContent", public=True),
    SimTemplate(PUBLIC_DEMO, "content"),
)
