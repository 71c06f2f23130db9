"""``dod migrate``: from the files of dify-on-dingtalk to a ``bots.yaml`` and a ``secrets.yaml``.

The old folder is only read. The new files are made in a folder of their own, loaded there as dod
will load them, and appear under their names only when that gave the same bots without a word.
"""

import contextlib
import difflib
import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from dod.config.check import colourful, painted_diff
from dod.config.credentials import conceal
from dod.config.example import EXAMPLE
from dod.config.load import Loaded, load
from dod.config.masking import Mask
from dod.config.source import Remark, Source
from dod.migrate.moved import Moved, move
from dod.migrate.original import NAME, Original, Unreadable, read_original
from dod.ownfiles import own

BOTS, SECRETS = "bots.yaml", "secrets.yaml"
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK}


def migrate(
    source: Path,
    target: Path,
    *,
    out: TextIO,
    environ: Mapping[str, str],
    dry: bool = False,
) -> int:
    """Make the files of ``target`` out of those of ``source``; tell all of it on ``out``.

    Returns the exit code: 0 written (or, ``dry``, could be), 1 nothing was written.
    """
    try:
        original = read_original(source)
        moved = move(original)
    except Unreadable as exc:
        out.write("".join(f"{problem.render()}\n\n" for problem in exc.problems))
        return _refuse(out, exc.remark)
    except OSError as exc:
        return _refuse(out, unreachable(source, exc))
    diff = "".join(_diff(original, moved))
    out.write(painted_diff(diff) if colourful(out, environ) else diff)
    out.write("\n" + "".join(f"- {it.zh}\n  {it.en}\n" for it in moved.notes))
    if taken := [it for it in (BOTS, SECRETS) if os.path.lexists(target / it)]:
        return _refuse(out, in_the_way(target, taken))
    try:
        loaded = _write(moved, target, environ, dry=dry)
    except Unreadable as exc:
        return _refuse(out, exc.remark)
    except OSError as exc:
        return _refuse(out, unreachable(target, exc))
    told = {it.zh for it in loaded.problems}  # of the new file, where it can be mended
    old = [it for it in original.warnings if it.zh not in told]
    out.write("".join(f"\n{it.render()}\n" for it in (*old, *loaded.problems)))
    _say(out, "=> ", would_be(target) if dry else written(target, len(moved.bots)))
    return 0


def _refuse(out: TextIO, remark: Remark) -> int:
    _say(out, "=> ", remark)
    return 1


def _say(out: TextIO, mark: str, remark: Remark) -> None:
    out.write(f"{mark}{remark.zh}\n{' ' * len(mark)}{remark.en}\n")


def _diff(original: Original, moved: Moved) -> list[str]:
    """The old file and the new one, as far as both may be shown."""
    old = [f"{_shown(line, original.mask, original.source)}\n" for line in original.source.lines]
    new = [f"{conceal(original.mask.text(line))}\n" for line in moved.text.splitlines()]
    return list(difflib.unified_diff(old, new, NAME, BOTS, n=2))


def _shown(line: str, mask: Mask, source: Source) -> str:
    """A line without secrets, also one that is commented out."""
    mark = line[: len(line) - len(line.lstrip(" #"))] if line.lstrip().startswith("#") else ""
    alone = Source(source.file, line[len(mark) :])
    return mark + mask.line(alone.at(1, 1))[0]


# -- writing
def _write(moved: Moved, target: Path, environ: Mapping[str, str], *, dry: bool) -> Loaded:
    """Both files, or none. Returns what ``dod check`` says of the folder then."""
    made = not target.exists()
    if made:
        target.mkdir()
        own(target, target.parent)
    try:
        stage = Path(tempfile.mkdtemp(prefix=".migrate-", dir=target))
        try:
            loaded = _staged(moved, stage)
            if not dry:
                _publish(stage, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                target.rmdir()
        raise
    if dry and made:
        target.rmdir()
    return loaded if dry else load(target, environ)


def _staged(moved: Moved, stage: Path) -> Loaded:
    """Write both into ``stage`` and load them. Raises Unreadable if anything is not as it was."""
    folder = stage.parent.stat().st_mode
    for name, text in ((BOTS, moved.text), (SECRETS, moved.secrets)):
        path = stage / name
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(handle)
        own(path, stage.parent)
        if name == SECRETS:
            # Whoever works in the folder may; the rest of the machine only if it may there anyway.
            path.chmod(folder & (0o666 if folder & 0o002 else 0o660))
    loaded = load(stage, {})
    for bot, spec in zip(moved.bots, loaded.config.bots if loaded.config else (), strict=False):
        for key, value in bot.items():
            if getattr(spec, key) != value:
                raise Unreadable(not_the_same(key))
    if len(loaded.accepted) != len(moved.bots):
        errors = [it for it in loaded.problems if it.severity == "error"]
        raise Unreadable(refused(errors[0].zh, errors[0].en) if errors else not_the_same("bots"))
    return loaded


def _publish(stage: Path, target: Path) -> None:
    """Secrets first: a dod that runs must never see a ``bots.yaml`` without them."""
    _appear(stage / SECRETS, target / SECRETS)
    try:
        _appear(stage / BOTS, target / BOTS)
    except OSError:
        (target / SECRETS).unlink(missing_ok=True)
        raise


def _appear(staged: Path, path: Path) -> None:
    """``staged`` under the name ``path``, whole, and never over a file. Raises FileExistsError."""
    try:
        os.link(staged, path)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # A share or a stick without links: the name is taken first, then filled at one stroke.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        staged.replace(path)


# -- the sentences
def unreachable(path: Path, exc: OSError) -> Remark:
    if isinstance(exc, FileExistsError):
        return in_the_way(path, [Path(str(exc.filename2 or exc.filename)).name])
    why = exc.strerror or type(exc).__name__
    return Remark(
        f"{path}：读不了或写不进去（{why}）；什么都没有写。",
        f"{path} cannot be read or written ({why}). Nothing was written.",
    )


def in_the_way(target: Path, names: list[str]) -> Remark:
    zh, en = "、".join(names), " and ".join(names)
    example = BOTS in names and _is_example(target / BOTS)
    return Remark(
        f"{target} 里已经有 {zh}，绝不覆盖；什么都没有写。请先改名或移走，或换一个文件夹。"
        + ("（这个 bots.yaml 只是首次启动时的样例，可以删掉。）" if example else ""),
        f"There is already {en} in {target}, and no file is ever replaced; nothing was written. "
        "Rename it, or name another folder."
        + (" (This bots.yaml is only the example of the first start.)" if example else ""),
    )


def _is_example(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.read_bytes() == EXAMPLE.encode()
    return False


def not_the_same(key: str) -> Remark:
    return Remark(
        f"生成的文件读回来时 {key} 与原来不同，所以什么都没有写；请把这件事报告给我们。",
        f"Read back, {key} of the new files differs from the old one, so nothing was written. "
        "Please report this.",
    )


def refused(zh: str, en: str) -> Remark:
    return Remark(f"什么都没有写：{zh}", f"Nothing was written: {en}")


def would_be(target: Path) -> Remark:
    return Remark(
        f"没有写任何文件；去掉 --dry-run 就会写到 {target}。",
        f"No file was written; without --dry-run they go to {target}.",
    )


def written(target: Path, bots: int) -> Remark:
    return Remark(
        f"已写入 {target / BOTS} 和 {SECRETS}（{bots} 个机器人）。旧文件没有动；"
        "先停掉旧程序，再启动 dod。",
        f"Written: {target / BOTS} and {SECRETS} ({bots} bots). The old files are as they were; "
        "stop the old program before you start dod.",
    )
