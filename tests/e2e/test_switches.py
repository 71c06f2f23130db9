"""What nobody documents about DingTalk, in its other position: people must see the same."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.faults import Switches
from tests.e2e.rig import Rig, bot

# The other position of each switch. Those of PLAIN change nothing that dod could meet.
OTHER: dict[str, object] = {
    "ticket_lifetime": 5.0,
    "bad_ticket_status": 403,
    "max_connections": 1,
    "push_on_connect": True,
    "ack_deadline": 1.5,
    "redeliveries": 1,
    "same_message_id": False,
    "disconnect_grace": 0.5,
    "push_to_half_open": True,
    "registered_frames": True,
    "keepalive": 0.2,
    "staff_ids": False,
    "outsider_staff_id": "empty",
    "created_at_text": True,
    "rich_text_newlines": False,
    "callback_value": False,
    "webhook_lifetime": 0.01,
    "token_lifetime": 2.0,
    "token_status": 401,
    "one_token_space": False,
    "qps_scope": "app",
    "throttle_status": 429,
    "quota_status": 400,
    "content_max_bytes": 10_000,
    "value_max_bytes": 1024,
    "put_blank_chars": 0,
    "after_end": "ignored",
    "same_guid": "refused",
    "card_reused": "ignored",
    "space_model_required": False,
    "public_ended_by_stream": True,
    "unknown_card_status": 500,
    "missing_field": "gateway",
    "webhook_group_only": True,
    "webhook_per_minute": 20,
    "webhook_max_bytes": 10_000,
    "any_file": True,
}
LONG = "\n\n".join(f"第{n}段：" + "回答" * 30 for n in range(60))  # two cards


def test_every_switch_is_turned() -> None:
    assert set(OTHER) == {each.name for each in fields(Switches)}
    for name, value in OTHER.items():
        assert getattr(Switches(), name) != value


def converse(rig: Rig) -> None:
    """Own and public card, group and 1:1, long and short, an outsider, a redelivery."""
    without_staff_id = not rig.dingtalk.switches.staff_ids
    for name in ("own", "public"):
        rig.dify.app(f"app-{name}-key-0123456789").answer = lambda query, *_: Answer(
            LONG if "long" in query else f"You said: {query}", interval=0.0
        )
        ann, guest = rig.person("小安", f"staff-{name}"), rig.person("客人", None)
        group, single = rig.group(ann, guest), rig.single(ann, name)
        message = rig.say(group, ann, "in the group", bot=name)
        assert rig.answer(group).text == "You said: in the group"
        rig.run(rig.dingtalk.push_again(message))
        rig.say(group, guest, "from outside", bot=name)
        assert rig.answer(group, 2).text == "You said: from outside"
        rig.say(single, ann, "a long one", bot=name)
        if without_staff_id:
            whole = rig.reply(single, 2, seconds=30)
            texts = [reply.text for reply in rig.replies(single)]
            assert whole
        else:
            rig.answer(single, 2, seconds=30)
            texts = [card.text for card in rig.cards(single)]
        assert "".join(texts).replace("\n", "") == LONG.replace("\n", "")
        rig.say(rig.single(guest, name), guest, "no card here", bot=name)
        if rig.dingtalk.switches.webhook_lifetime > 1 and not (
            rig.dingtalk.switches.webhook_group_only
        ):
            assert rig.reply(rig.single(guest, name)).text == "You said: no card here"
        assert len(rig.cards(group)) == 2
    rig.until(lambda: len(rig.dify.requests) >= 8, "each was asked")
    assert len(rig.dify.requests) == 8
    assert not [card for card in rig.dingtalk.cards.values() if card.state == "typing"]


@pytest.mark.parametrize("name", sorted(OTHER))
def test_people_see_the_same(tmp_path: Path, name: str) -> None:
    switches = replace(Switches(), **{name: OTHER[name]})  # type: ignore[arg-type]
    public = bot("public")
    del public["dingtalk_ai_card_template_id"]
    with Rig(tmp_path, [bot("own"), public], switches=switches) as rig:
        converse(rig)
