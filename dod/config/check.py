"""``dod check``: the verdict on a file, by the same path as a reload. Offline; starts nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from dod.config.load import Loaded, load, load_file, load_text
from dod.config.masking import conceal
from dod.config.schema import schema_text

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
    """Print what is wrong with ``file`` (None: the folder's; ``-``: ``stdin``).

    Returns the exit code: 0 fine, 1 something is rejected, 2 warnings only.
    """
    if file is None:
        loaded = load(folder, environ)
    elif file == "-" and stdin:
        loaded = load_text(stdin.read(), environ, folder=folder)
    else:
        loaded = load_file(Path(file), environ)
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
    """One line: what is applied and what is not."""
    if loaded.config is None and not loaded.rejected:
        return "=> 整个文件未采用，继续用上一份好的配置 · file rejected, last good config stays"
    applied = conceal(", ".join(loaded.accepted)) or "-"
    rejected = conceal(", ".join(loaded.rejected)) or "-"
    keep = "（这些机器人继续用旧配置 · keep their last good config）" if loaded.rejected else ""
    return f"=> 采用 applied: {applied}; 未采用 rejected: {rejected}{keep}"


def to_json(loaded: Loaded) -> str:
    answer = {
        "file": loaded.file,
        "verdict": loaded.verdict,
        "applied": [conceal(name) for name in loaded.accepted],
        "rejected": [conceal(name) for name in loaded.rejected],
        "problems": [problem.to_json() for problem in loaded.problems],
    }
    return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"


__all__ = ["check", "exit_code", "schema_text", "summary", "to_json", "to_text"]
