"""``dod check``: the verdict on a file, by the same path as a reload. Offline; starts nothing."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from dod.config import explain as key_by_key
from dod.config.credentials import conceal
from dod.config.implicit import load_all
from dod.config.load import Loaded, load, load_file, load_text
from dod.config.problems import HEADS

FINE, REJECTED, WARNINGS = 0, 1, 2
_RED, _YELLOW, _GREEN, _BOLD = "31;1", "33;1", "32", "1"


def check(
    file: str | None,
    environ: Mapping[str, str],
    *,
    folder: Path,
    out: TextIO,
    stdin: BinaryIO | None = None,
    style: Literal["text", "json"] = "text",
) -> int:
    """Print what is wrong with ``file`` (None: that of ``folder``; ``-``: ``stdin``).

    A folder stands for the file that dod would take from it. Returns the exit code: 0 fine,
    1 something is wrong, 2 warnings only, of which advice is one (design §2.3). Colours only on a
    terminal, and not under NO_COLOR.
    """
    if file is None:
        loaded = load_all(folder, environ)
    elif file == "-" and stdin:
        loaded = load_text(stdin.read(), environ, folder=folder)
    else:
        path = Path(file)
        loaded = load(path, environ) if path.is_dir() else load_file(path, environ)
    text = to_json(loaded) if style == "json" else to_text(loaded)
    out.write(painted(text) if style == "text" and colourful(out, environ) else text)
    return exit_code(loaded)


def explain(word: str, *, out: TextIO, style: Literal["text", "json"] = "text") -> int:
    """Print what the key ``word`` is for; 1 if there is none, with the nearest one."""
    keys = key_by_key.find(word)
    if style == "json":
        out.write(json.dumps([key_by_key.to_json(it) for it in keys], ensure_ascii=False, indent=2))
        out.write("\n")
    else:
        out.write("\n".join(map(key_by_key.to_text, keys)) or key_by_key.unknown(word))
    return FINE if keys else REJECTED


def colourful(out: TextIO, environ: Mapping[str, str]) -> bool:
    """https://no-color.org: any value but an empty one says no."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def painted(text: str) -> str:
    """``text`` of ``to_text`` with the colours of a terminal."""
    lines, colour = [], _BOLD
    for line in text.split("\n"):
        if head := re.match("|".join(HEADS.values()), line):
            colour = _RED if head[0] == HEADS["error"] else _YELLOW
            lines.append(_paint(head[0], colour) + _paint(line[head.end() :], _BOLD))
        elif re.fullmatch(r" +\| \s*\^", line):
            lines.append(line[:-1] + _paint("^", colour))
        elif line.startswith("  改成 fix: "):
            lines.append(_paint(line, _GREEN))
        elif line.startswith("=> "):
            lines.append(_paint(line, _BOLD))
        else:
            lines.append(line)
    return "\n".join(lines)


def painted_diff(diff: str) -> str:
    """A unified diff with the colours of a terminal."""
    colours = {"+": _GREEN, "-": _RED, "@": _BOLD}
    lines = diff.split("\n")
    return "\n".join(
        _paint(line, colours[line[0]]) if line[:1] in colours else line for line in lines
    )


def _paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if text else ""


def exit_code(loaded: Loaded) -> int:
    if any(problem.severity == "error" for problem in loaded.problems):
        return REJECTED
    return WARNINGS if loaded.problems else FINE


def to_text(loaded: Loaded) -> str:
    """Every problem, and one line of summary, in both languages."""
    return "\n\n".join(problem.render() for problem in loaded.problems) + (
        f"\n{summary(loaded)}\n" if loaded.problems else f"{summary(loaded)}\n"
    )


def summary(loaded: Loaded) -> str:
    """One line: what could run with this file. Nothing here knows what a dod runs now."""
    return "=> {} · {}".format(*_judged(loaded))


def _judged(loaded: Loaded) -> tuple[str, str]:
    good = conceal(", ".join(loaded.accepted))
    bad = conceal(", ".join(loaded.rejected))
    if loaded.verdict == "waiting":
        return "还没有可以检查的内容。", "There is nothing to check yet."
    if loaded.config is None and bad:
        return f"不能用：机器人都有错误（{bad}）。", f"Not usable: every bot has errors ({bad})."
    if loaded.config is None:
        return (
            "不能用：先改好上面的错误，才能读出机器人。",
            "Not usable: no bot can be read before the errors above are corrected.",
        )
    if bad:
        return (
            f"部分可用：可以运行 {good}；有错误、不能用的是 {bad}。",
            f"Partly usable: {good} can run; {bad} cannot, because of errors.",
        )
    if exit_code(loaded) == REJECTED:
        return (
            f"部分可用：机器人都能运行（{good or '-'}），但上面的错误要改。",
            f"Partly usable: all bots can run ({good or '-'}); the errors above need correcting.",
        )
    bots = (f"机器人：{good}", f"bots: {good}") if good else ("还没有机器人", "no bots yet")
    if loaded.problems:
        return (f"可以用，只有提醒（{bots[0]}）。", f"Usable, with warnings only ({bots[1]}).")
    return f"没有问题，可以用（{bots[0]}）。", f"The file is fine ({bots[1]})."


def to_json(loaded: Loaded) -> str:
    answer = {
        "file": loaded.file,
        "verdict": loaded.verdict,
        "applied": [conceal(name) for name in loaded.accepted],
        "rejected": [conceal(name) for name in loaded.rejected],
        "problems": [problem.to_json() for problem in loaded.problems],
    }
    return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"
