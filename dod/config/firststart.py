"""The first start: an example where there is nothing, and a word on folders of the wrong owner.

The example is all comments, so no bot runs before a person wanted one. Written at the start only,
never in reaction to a change: a file that is gone for a moment is being saved (pitfall 17).
"""

import logging
import os
from pathlib import Path

from dod.config.candidates import NAMES
from dod.config.example import EXAMPLE
from dod.config.source import Remark
from dod.ownfiles import write

log = logging.getLogger(__name__)

# What dod itself, editors and NAS systems leave in a folder that a person would call empty.
_NOBODYS = {"config.schema.json", "bots.status.txt", "lost+found", "Thumbs.db", "desktop.ini"}


def begin_folder(folder: Path) -> bool:
    """Write the example ``bots.yaml`` into an empty ``folder``; True if it did. Never raises.

    A folder that does not exist is not made, and no file is ever replaced.
    """
    try:
        if not folder.is_dir() or not _empty(folder):
            return False
        write(folder / NAMES[0], EXAMPLE.encode())
    except OSError as exc:
        log.info("no example in %s: %s", folder, exc.strerror or type(exc).__name__)
        return False
    path = folder / NAMES[0]
    log.warning("%s 是刚生成的样例：编辑并保存即可，无需重启。 An example: edit it, save.", path)
    return True


def tell_of_owners(config: Path, data: Path) -> tuple[Remark, ...]:
    """Log, for each folder that this process cannot use, who could. Never raises.

    By trying: an access list of a NAS says otherwise than the mode (pitfall 88).
    """
    remarks = []
    for folder, needed in ((data, True), (config, False)):
        remark = _denied(folder, needed=needed)
        if remark:
            remarks.append(remark)
            log.warning("%s %s", remark.zh, remark.en)
    return tuple(remarks)


def _empty(folder: Path) -> bool:
    return not any(
        path.name in NAMES
        or not (path.name in _NOBODYS or path.name.startswith((".", "@", "#", "~")))
        for path in folder.iterdir()
    )


def _denied(folder: Path, *, needed: bool) -> Remark | None:
    probe = folder / f".probe-{os.getpid()}"
    try:
        with probe.open("xb"):
            pass
        probe.unlink()
    except PermissionError:
        pass
    except OSError:  # absent, full, or mounted read-only on purpose: others speak of those
        return None
    else:
        return None
    try:
        owner = folder.stat()
    except OSError:
        return None
    return not_ours(folder, owner.st_uid, owner.st_gid, needed=needed)


def not_ours(folder: Path, uid: int, gid: int, *, needed: bool) -> Remark:
    mine = f"{os.geteuid()}:{os.getegid()}"
    cost = (
        ("会话记录只能放在内存里", "so conversations are only kept in memory")
        if needed
        else ("bots.status.txt 等文件写不进去", "so bots.status.txt cannot be written there")
    )
    if uid == 0:
        what = (
            f"请在宿主机上执行 chown {mine} 该文件夹",
            f"on the host, run chown {mine} on that folder",
        )
    else:
        what = (
            f'请设置 PUID={uid}、PGID={gid}（或 user: "{uid}:{gid}"）',
            f'set PUID={uid} and PGID={gid} (or user: "{uid}:{gid}")',
        )
    return Remark(
        f"{folder} 属于 {uid}:{gid}，而 dod 以 {mine} 运行，不能写入，{cost[0]}；{what[0]}。",
        f"{folder} belongs to {uid}:{gid}, dod runs as {mine} and may not write it, {cost[1]}: "
        f"{what[1]}.",
    )
