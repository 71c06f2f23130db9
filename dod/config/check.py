"""``dod check``: the verdict on a file, by the same path as a reload. Offline; starts nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from dod.config.implicit import load_all
from dod.config.load import Loaded, load, load_file, load_text
from dod.config.masking import conceal

FINE, REJECTED, WARNINGS = 0, 1, 2


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
    1 something is wrong, 2 warnings only.
    """
    if file is None:
        loaded = load_all(folder, environ)
    elif file == "-" and stdin:
        loaded = load_text(stdin.read(), environ, folder=folder)
    else:
        path = Path(file)
        loaded = load(path, environ) if path.is_dir() else load_file(path, environ)
    out.write(to_json(loaded) if style == "json" else to_text(loaded))
    return exit_code(loaded)


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


__all__ = ["check", "exit_code", "summary", "to_json", "to_text"]
