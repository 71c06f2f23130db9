"""What came of the checks: one finding each, gathered in sections."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from dod.config.credentials import tame
from dod.logs import redact

Outcome = Literal["ok", "warning", "failed", "skipped"]


class Said(NamedTuple):
    """The same in both languages."""

    zh: str
    en: str

    def safe(self) -> "Said":
        """Without secrets, and without what could trick a terminal: neighbours' words are in it."""
        return Said(tame(redact(self.zh)), tame(redact(self.en)))


NOTHING = Said("", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's. ``title``: what was looked at; ``said``: what there is, or why nobody did.

    ``fix``: what to do. ``detail``: the neighbour's own words.
    """

    check: str
    title: Said
    outcome: Outcome
    said: Said = NOTHING
    fix: Said = NOTHING
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "outcome": self.outcome,
            "title": self.title._asdict(),
            "message": self.said.safe()._asdict(),
            "fix": self.fix.safe()._asdict(),
            "detail": tame(redact(self.detail)),
        }


@dataclass(slots=True)
class Section:
    """Those of one bot, or with ``bot`` empty of the host. ``calls``: DingTalk API calls used."""

    bot: str = ""
    findings: list[Finding] = field(default_factory=list)
    calls: int = 0

    def tell(
        self,
        check: str,
        outcome: Outcome,
        said: Said = NOTHING,
        fix: Said = NOTHING,
        detail: str = "",
    ) -> None:
        self.findings.append(Finding(check, TITLES[check], outcome, said, fix, detail))

    def skip(self, why: Said, *checks: str) -> None:
        """What depends on something that failed is no failure of its own."""
        for check in checks:
            self.tell(check, "skipped", why)

    def to_json(self) -> dict[str, Any]:
        return {
            "bot": tame(redact(self.bot)),
            "findings": [finding.to_json() for finding in self.findings],
        }


def count(sections: Iterable[Section], outcome: Outcome) -> int:
    return sum(it.outcome == outcome for section in sections for it in section.findings)


TITLES: dict[str, Said] = {
    # -- of the host
    "configuration": Said("配置", "configuration"),
    "data": Said("数据目录", "data folder"),
    "certificates": Said("证书", "certificates"),
    "dod": Said("运行中的 dod", "the running dod"),
    "store": Said("运行中的存储", "its store"),
    "quota": Said("本月额度", "this month's quota"),
    "proxy": Said("代理", "proxy"),
    "dingtalk": Said("到钉钉的网络", "way to DingTalk"),
    "dify": Said("到 Dify 的网络", "way to Dify"),
    "clock": Said("时钟", "clock"),
    # -- of a bot
    "state": Said("运行状态", "state"),
    "credentials": Said("钉钉凭证", "DingTalk credentials"),
    "stream": Said("Stream 模式", "stream mode"),
    "websocket": Said("到钉钉的长连接", "way to DingTalk's websocket"),
    "card": Said("卡片模板", "card template"),
    "typing": Said("在卡片上打字", "typing on cards"),
    "sending": Said("发消息", "sending messages"),
    "app": Said("Dify 地址和密钥", "Dify address and key"),
    "type": Said("Dify 应用类型", "Dify app type"),
    "inputs": Said("Dify 输入变量", "Dify inputs"),
    "time": Said("检查时间", "time"),
}
