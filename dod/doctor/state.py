"""What the dod that runs here tells of one bot."""

from typing import Any

from dod.config.spec import BotSpec
from dod.doctor.findings import Said, Section
from dod.notice import STATES

_LOG = Said("原因见下面各项和 dod 的日志。", "What is below, and dod's log, say why.")


def look_at_state(spec: BotSpec, status: dict[str, Any] | None, section: Section) -> None:
    """``status``: of the running dod, None if there is none."""
    if not spec.enabled:
        section.tell(
            "state",
            "warning",
            Said("这个机器人是停用的（enabled: false）。", "This bot is off (enabled: false)."),
            Said("要用它，删掉 enabled: false。", "To have it answer, delete enabled: false."),
        )
        return
    if status is None:
        return
    bot = next((bot for bot in status["bots"] if bot.get("name") == spec.name), None)
    if bot is None:
        section.tell(
            "state",
            "warning",
            Said("运行中的 dod 没有这个机器人。", "The running dod does not have this bot."),
            Said(
                "它用的可能是另一个配置目录，或还没读到这次保存：看 dod status。",
                "It may use another config folder, or has not read the last save: see dod status.",
            ),
        )
        return
    said = _told(bot)
    sound = bot.get("state") == "connected" and bot.get("verdict") == "running"
    if sound:
        section.tell("state", "ok", said)
    else:
        section.tell("state", "warning", said, _LOG, str(bot.get("last_error") or ""))


def _told(bot: dict[str, Any]) -> Said:
    state = str(bot.get("state"))
    zh, en = STATES.get(state, (state, state))
    if bot.get("verdict") == "running_old":
        zh, en = f"{zh}，用的是上一份好的配置", f"{en}, by its last good configuration"
    turns = bot.get("turns") or {}
    answered, failed = turns.get("answered", 0), turns.get("failed", 0)
    zh = f"{zh}；启动以来回答了 {answered} 次，失败 {failed} 次"
    en = f"{en}; answered {answered}, failed {failed} since its start"
    heard = (bot.get("connection") or {}).get("message_seconds_ago")
    if heard is None:
        return Said(f"{zh}；还没有收到过消息", f"{en}; no message has come yet")
    return Said(f"{zh}；{heard} 秒前收到过消息", f"{en}; a message came {heard} s ago")
