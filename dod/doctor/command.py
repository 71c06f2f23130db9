"""``dod doctor [BOT…]``: reads the configuration, examines, prints. Ctrl-C ends it quietly."""

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TextIO

from dod import logs
from dod.config.check import FINE, REJECTED, WARNINGS, colourful
from dod.config.implicit import load_all
from dod.config.load import Loaded
from dod.config.problems import nearest
from dod.config.spec import BotSpec, Config
from dod.doctor.examination import Bounds, Examination
from dod.doctor.findings import NOTHING, Outcome, Said, Section
from dod.doctor.report import summary, text_of, to_json, verdict

UNKNOWN = 64  # of sysexits.h: wrong arguments, as everywhere in the command line
INTERRUPTED = 130  # as a shell says it
_STATUS: dict[Outcome, int] = {
    "ok": FINE,
    "skipped": FINE,
    "warning": WARNINGS,
    "failed": REJECTED,
}


def doctor(
    names: Sequence[str],
    environ: Mapping[str, str],
    *,
    folder: Path,
    out: TextIO,
    err: TextIO,
    style: Literal["text", "json"] = "text",
    bounds: Bounds | None = None,
) -> int:
    """Examine the bots ``names``, all that are enabled if there are none; print what was found.

    Returns the exit status: 0 fine, 1 something failed, 2 warnings only, 64 a bot that there is
    not, 130 interrupted. Takes ``bounds.whole`` seconds and a little at most.
    """
    loaded = load_all(folder, environ)
    if unknown := _unknown(names, loaded):
        err.write("\n".join(unknown) + "\n")
        return UNKNOWN
    sections: list[Section] = []
    colours = style == "text" and colourful(out, environ)

    def show(section: Section) -> None:
        sections.append(section)
        if style == "text":
            out.write(text_of(section, colours=colours) + "\n")
            out.flush()

    bots, wrong = _chosen(names, loaded)
    examination = Examination(loaded, environ, bots, wrong, show, bounds=bounds or Bounds())
    try:
        examination.run()
    except KeyboardInterrupt:
        return INTERRUPTED
    monthly = (loaded.config or Config()).dingtalk_monthly_calls
    out.write(summary(sections, monthly) if style == "text" else to_json(sections))
    return _STATUS[verdict(sections)]


def run(names: Sequence[str], *, folder: Path, style: Literal["text", "json"]) -> int:
    """``doctor`` as a process of its own."""
    logs.set_up("ERROR")  # what is said in the findings need not be logged, too
    status = doctor(names, os.environ, folder=folder, out=sys.stdout, err=sys.stderr, style=style)
    if threading.active_count() > 1:
        # A look-up of a name that hangs: Python would wait for it.
        sys.stdout.flush()
        os._exit(status)
    return status


def _bots(loaded: Loaded) -> tuple[BotSpec, ...]:
    return loaded.config.bots if loaded.config else ()


def _chosen(names: Sequence[str], loaded: Loaded) -> tuple[list[BotSpec], list[str]]:
    """Whom to examine, and whom the configuration has wrong. By name also who is switched off."""
    bots = [bot for bot in _bots(loaded) if (bot.name in names if names else bot.enabled)]
    wrong = [name for name in loaded.rejected if not names or name in names]
    return bots, wrong


def _unknown(names: Sequence[str], loaded: Loaded) -> list[str]:
    """What to say of names that no bot has. Of a file that cannot be read nobody knows them."""
    there = [*(bot.name for bot in _bots(loaded)), *loaded.rejected]
    if not there and loaded.config is None:
        return []
    lines = []
    for name in names:
        if name in there:
            continue
        meant = nearest(name, there)
        said = Said(
            f"没有叫 {name} 的机器人；有：{'、'.join(there) or '-'}。",
            f"There is no bot called {name}; there are: {', '.join(there) or '-'}.",
        ).safe()
        hint = Said(f"是不是想写 {meant}？", f" Did you mean {meant}?") if meant else NOTHING
        hint = hint.safe()
        lines += [said.zh + hint.zh, said.en + hint.en]
    return lines
