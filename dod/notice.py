"""``bots.status.txt``: the verdict of the last load, where the admin already looks (design §2.1).

For Notepad on any Windows: UTF-8 with BOM, CRLF. Nothing in it counts or ages, because each new
text is a write, which wakes a sleeping disk. Thread: main.
"""

import codecs
import re
import time
from collections.abc import Iterable
from pathlib import Path

from dod.config.credentials import conceal
from dod.config.problems import HEADS, Problem
from dod.config.spec import Language
from dod.ownfiles import Trouble, write
from dod.status import BotSnapshot, Status

FILE = "bots.status.txt"
Pair = tuple[str, str]  # Chinese, English

_VERDICTS: dict[str, Pair] = {
    "accepted": (
        "{file} 已全部采用。",
        "All of {file} is applied.",
    ),
    "partly": (
        "{file} 只采用了一部分：有错误的地方见下面，改好保存即可，不用重启。",
        "Only a part of {file} is applied. Correct what is listed below and save: no restart.",
    ),
    "rejected": (
        "{file} 有错误，没有采用；继续用上一份好的配置。改好保存即可，不用重启。",
        "{file} is not applied; the last good version stays. Correct it and save: no restart.",
    ),
    "waiting": (
        "没有可用的配置：{file} 不存在，或里面还没有内容；正在运行的机器人继续运行。",
        "There is no configuration: no {file}, or nothing in it yet. Bots that run go on.",
    ),
}
STATES: dict[str, Pair] = {
    "starting": ("正在启动", "starting"),
    "connecting": ("正在连接钉钉", "connecting to DingTalk"),
    "connected": ("已连接钉钉，运行正常", "connected to DingTalk"),
    "retrying": (
        "连不上钉钉，正在自动重试（检查网络，或看日志）",
        "cannot connect to DingTalk, keeps trying (check the network, or see the log)",
    ),
    "bad_credentials": (
        "钉钉不接受它的 Client ID 和 Client Secret，请到开放平台核对",
        "DingTalk refuses its client id and secret; compare them with the developer console",
    ),
    "draining": ("正在结束手上的回答", "finishing its answers"),
    "stopped": ("已停止", "stopped"),
    "dead": ("出了故障，会自动重启（详情见日志）", "crashed, is started again (see the log)"),
}
_OLD = (
    "仍按旧配置运行，新的没有采用{because}",
    "runs with its OLD configuration, the new one is not applied{because}",
)
_NEW_CREDENTIALS = ("（新凭证连不上钉钉）", " (its new credentials do not connect)")
_NOT_STARTED = ("没有启动{because}", "not started{because}")
_DISABLED = ("已停用（enabled: false）", "disabled (enabled: false)")
_NO_BOTS = ("没有机器人。", "There are no bots.")
_TROUBLE = ("存储：{trouble}", "Store: {trouble}")
_TITLE = (
    "dod 自动生成：bots.yaml 的检查结果。改这个文件没有用。",
    "Written by dod: what became of bots.yaml. Editing this file changes nothing.",
)
_LOADED = ("读取时间：{time}", "Read at: {time}")
_PROBLEMS = ("== 问题 ==", "== Problems ==")
_BOTS = ("== 机器人 ==", "== Bots ==")
_FIX = ("改成：{fix}", "Write instead: {fix}")
_OF_BOT = ("（机器人 {bot}）", " (bot {bot})")
_NAMELESS = ("第 {number} 个机器人", "bot no. {number}")
_BECAUSE = ("，见问题 {numbers}", ", see problem {numbers}")


def render(status: Status, language: Language = "auto") -> str:
    """The whole text, with LF: Chinese first, English under it; the reverse for ``en``."""
    order = (1, 0) if language == "en" else (0, 1)
    return "\n\n\n".join(_one(status, tongue) for tongue in order) + "\n"


def _one(status: Status, tongue: int) -> str:
    config = status.config
    verdict = _VERDICTS[config.verdict][tongue].replace("{file}", config.file or "bots.yaml")
    lines = [_TITLE[tongue], "", verdict]
    if config.loaded_at:
        when = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(config.loaded_at))
        lines.append(_LOADED[tongue].replace("{time}", when))
    if status.trouble:
        lines.append(_TROUBLE[tongue].replace("{trouble}", status.trouble))
    lines += [it.sentences[tongue] for it in status.quota]
    if config.problems:
        lines += ["", _PROBLEMS[tongue]]
        for number, problem in enumerate(config.problems, 1):
            lines += _problem(number, problem, tongue)
    lines += ["", _BOTS[tongue]]
    lines += [_bot(bot, status, tongue) for bot in status.bots] or [_NO_BOTS[tongue]]
    return "\n".join(lines)


def _problem(number: int, problem: Problem, tongue: int) -> Iterable[str]:
    kind = HEADS[problem.severity].split()[tongue].lower()
    whose = _OF_BOT[tongue].replace("{bot}", problem.bot) if problem.bot else ""
    yield f"{number}. [{kind}] {problem.place}{whose}"
    yield from problem.quote
    yield f"   {(problem.zh, problem.en)[tongue]}"
    if problem.fix:
        yield f"   {_FIX[tongue].replace('{fix}', problem.fix)}"


def _bot(bot: BotSnapshot, status: Status, tongue: int) -> str:
    name = conceal(bot.name)
    if bot.verdict == "not_started" and re.fullmatch("#[0-9]+", name):
        name = _NAMELESS[tongue].replace("{number}", name[1:])
    numbers = [
        str(number)
        for number, problem in enumerate(status.config.problems, 1)
        if problem.bot == name and problem.severity == "error"
    ]
    because = _BECAUSE[tongue].replace("{numbers}", ", ".join(numbers)) if numbers else ""
    state = STATES[bot.state][tongue]
    if bot.verdict == "disabled":
        said = _DISABLED[tongue]
    elif bot.verdict == "not_started":
        said = _NOT_STARTED[tongue].replace("{because}", because)
    elif bot.verdict == "running_old":
        if status.config.verdict == "accepted":  # then the file is not what keeps it
            because = _NEW_CREDENTIALS[tongue]
        old = _OLD[tongue].replace("{because}", because)
        said = f"{state}{'；' if tongue == 0 else '; '}{old}"
    else:
        said = state
    return f"- {name}{'：' if tongue == 0 else ': '}{said}"


def encode(text: str) -> bytes:
    """As every Notepad shows it: BOM, CRLF. Half a surrogate pair becomes a question mark."""
    lines = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return codecs.BOM_UTF8 + lines.encode("utf-8", "replace")


class Notice:
    """Keeps ``bots.status.txt`` of ``folder`` true. Lifecycle: as long as the program.

    ``settle``: seconds that a text must stand if only bots changed, so that a connection that is
    lost for a moment costs no write; a new load is told at once. ``again``: seconds after which a
    failed write is tried once more.
    """

    def __init__(self, folder: Path, *, settle: float = 5.0, again: float = 60.0) -> None:
        self._folder = folder
        self._settle = settle
        self._again = again
        self._trouble = Trouble(FILE)
        self._written = ""
        self._loads = -1
        self._text, self._since = "", 0.0
        self._not_before = 0.0

    def show(
        self, status: Status, language: Language = "auto", *, now: float | None = None
    ) -> bool:
        """Call it at every tick; True if the file has just been written. Never raises.

        ``now``: monotonic seconds.
        """
        now = time.monotonic() if now is None else now
        text = render(status, language)
        if text != self._text:
            self._text, self._since = text, now
        if text == self._written:
            return False
        fresh = status.config.loads != self._loads
        if not fresh and now < max(self._since + self._settle, self._not_before):
            return False
        self._loads = status.config.loads
        return self.write(text, now=now)

    def write(self, text: str, *, now: float = 0.0) -> bool:
        """Write ``text``; False if it stood there already, or cannot be written. Never raises.

        A folder that does not exist is not made.
        """
        self._not_before = now + self._again
        if not self._folder.is_dir():
            return False
        try:
            changed = write(self._folder / FILE, encode(text))
        except OSError as exc:
            self._trouble.met(exc)
            return False
        self._trouble.over()
        self._written, self._not_before = text, 0.0
        return changed
