"""The findings as people read them at a terminal, and as tools do."""

import json
from collections.abc import Sequence

from dod.config.problems import width
from dod.doctor.findings import Finding, Outcome, Section, count

# What an outcome is called, as wide as the widest.
HEADS: dict[Outcome, str] = {
    "ok": "正常 ok",
    "warning": "提醒 WARNING",
    "failed": "失败 FAILED",
    "skipped": "没查 skipped",
}
_WIDEST = max(map(width, HEADS.values()))
_COLOURS: dict[Outcome, str] = {"ok": "32", "warning": "33;1", "failed": "31;1", "skipped": "2"}
_INDENT = " " * 6


def text_of(section: Section, *, colours: bool = False) -> str:
    """Its findings, one line each, more where something is to be done."""
    told = section.to_json()
    head = f"机器人 bot {told['bot']}" if section.bot else "本机 this host"
    lines = [f"\x1b[1m{head}\x1b[0m" if colours else head]
    for finding in section.findings:
        lines += _lines(finding, colours=colours)
    return "\n".join(lines) + "\n"


def _lines(finding: Finding, *, colours: bool) -> list[str]:
    told = finding.to_json()
    title, said, fix = told["title"], told["message"], told["fix"]
    head = HEADS[finding.outcome]
    pad = " " * (_WIDEST - width(head))
    if colours:
        head = f"\x1b[{_COLOURS[finding.outcome]}m{head}\x1b[0m"
    line = f"  {head}{pad}  {title['zh']} {title['en']}"
    if finding.outcome in {"ok", "skipped"}:
        same = said["zh"] == said["en"]
        what = said["zh"] if same else f"{said['zh']} · {said['en']}"
        return [f"{line}: {what}" if what else line]
    lines = [line, _INDENT + said["zh"], _INDENT + said["en"]]
    if told["detail"]:
        lines.append(f"{_INDENT}({told['detail']})")
    if fix["zh"]:
        lines += [f"{_INDENT}怎么办: {fix['zh']}", f"{_INDENT}fix: {fix['en']}"]
    return lines


def summary(sections: Sequence[Section], monthly: int) -> str:
    """One line of all; what is left to look at if it is good. ``monthly``: calls, 0 = unlimited."""
    failed, warnings = count(sections, "failed"), count(sections, "warning")
    if failed or warnings:
        zh = f"{failed} 项失败，{warnings} 项提醒"
        en = f"{failed} failed, {warnings} warning{'' if warnings == 1 else 's'}"
    else:
        zh, en = "没有发现问题", "nothing wrong was found"
    calls = sum(section.calls for section in sections)
    if calls:
        of = (f"（每月 {monthly} 次）", f" of {monthly} a month") if monthly else ("", "")
        zh += f"；用了 {calls} 次钉钉 API 调用{of[0]}"
        en += f"; {calls} DingTalk API call{'' if calls == 1 else 's'} used{of[1]}"
    line = f"=> {zh}。 · {en[0].upper()}{en[1:]}.\n"
    return line if failed or warnings else line + _STILL


_STILL = (
    "   还是不回答？群里要 @ 它；看看有没有别的程序用着同一个 Client ID；再看 dod 的日志。\n"
    "   Still no answer? In a group, @ it; does another program use the same Client ID? Then look "
    "at dod's log.\n"
)


def to_json(sections: Sequence[Section]) -> str:
    answer = {
        "outcome": verdict(sections),
        "dingtalk_calls": sum(section.calls for section in sections),
        "sections": [section.to_json() for section in sections],
    }
    return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"


def verdict(sections: Sequence[Section]) -> Outcome:
    if count(sections, "failed"):
        return "failed"
    return "warning" if count(sections, "warning") else "ok"
