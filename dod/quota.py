"""What is nearly or wholly used of an organisation's month at DingTalk, for people to read.

Thread: any.
"""

from dataclasses import dataclass
from typing import Any, Literal

from dod.budget import Ledger
from dod.pace import RESERVE

What = Literal["calls", "pushes"]
Level = Literal["nearly", "used_up", "refused"]  # refused: DingTalk itself said so
Pair = tuple[str, str]  # Chinese, English

NEARLY = 0.8  # share of the month's quota

# No counts in them: each new text is a write of bots.status.txt.
_SAID: dict[tuple[What, Level], Pair] = {
    ("calls", "nearly"): (
        "本月钉钉 API 调用额度（{most} 次）已用掉八成以上；快用完时，回答改用普通消息，不用卡片。",
        (
            "More than 80 % of the month's {most} DingTalk API calls are used. "
            "Near the end answers come as plain messages, not on cards."
        ),
    ),
    ("calls", "used_up"): (
        "本月钉钉 API 调用额度（{most} 次）已基本用完：到下个月为止，回答用普通消息，不用卡片。",
        (
            "The month's {most} DingTalk API calls are all but used up: "
            "until the next month answers come as plain messages, not on cards."
        ),
    ),
    ("calls", "refused"): (
        "钉钉说本月的 API 调用额度已经用完（别的应用也会用掉它）：回答暂时用普通消息，不用卡片。",
        (
            "DingTalk says that the month's API calls are used up (other apps use them, too): "
            "for now answers come as plain messages, not on cards."
        ),
    ),
    ("pushes", "nearly"): (
        "本月钉钉消息推送额度（{most} 条）已用掉八成以上；用完后推来的消息没有文字，无法回答。",
        (
            "More than 80 % of the month's {most} DingTalk messages are used. "
            "After the last one messages come without their text, and cannot be answered."
        ),
    ),
    ("pushes", "used_up"): (
        "本月钉钉消息推送额度（{most} 条）已经用完：推来的消息可能没有文字，那样就无法回答。",
        (
            "The month's {most} DingTalk messages are used up: "
            "messages may come without their text, and then cannot be answered."
        ),
    ),
}
_MORE: Pair = (
    "额度不止这些的话，请改 dingtalk_monthly_{what}。",
    " If you have more, raise dingtalk_monthly_{what}.",
)
_OF_CORP: Pair = ("（组织 {corp}）", " (organisation {corp})")


@dataclass(frozen=True, slots=True)
class Shortage:
    """``most``: the month's quota; ``corp_id``: empty where there is only one organisation."""

    what: What
    level: Level
    most: int
    corp_id: str = ""

    @property
    def sentences(self) -> Pair:
        return self._sentence(0), self._sentence(1)

    def _sentence(self, tongue: int) -> str:
        said = _SAID[self.what, self.level][tongue].replace("{most}", str(self.most))
        if self.level != "refused":
            said += _MORE[tongue].replace("{what}", self.what)
        return said + (_OF_CORP[tongue].replace("{corp}", self.corp_id) if self.corp_id else "")

    def to_json(self) -> dict[str, Any]:
        chinese, english = self.sentences
        message = {"zh": chinese, "en": english}
        return {"what": self.what, "level": self.level, "message": message}


def shortages(ledger: Ledger, calls: int, pushes: int) -> tuple[Shortage, ...]:
    """What is short by now. ``calls``, ``pushes``: the month's quotas; 0: unlimited."""
    counts = ledger.of_corps()
    several = len(counts.keys() - {""}) > 1
    found = []
    for corp_id, count in counts.items():
        name = corp_id or "-" if several else ""
        if ledger.is_exhausted(corp_id):
            found.append(Shortage("calls", "refused", calls, name))
        elif calls and count.calls >= calls * NEARLY:
            level: Level = "used_up" if count.calls >= calls * (1.0 - RESERVE) else "nearly"
            found.append(Shortage("calls", level, calls, name))
        if pushes and count.pushes >= pushes * NEARLY:
            level = "used_up" if count.pushes >= pushes else "nearly"
            found.append(Shortage("pushes", level, pushes, name))
    return tuple(found)
