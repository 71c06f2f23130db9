"""A configuration file that is mounted by itself, not with its folder: saves may never arrive.

Editors put a new file in the old one's place; such a mount keeps the old one (appliance pitfall 1).
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from dod.config.source import Remark


def mounted_alone(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether this very file is a mount. ``ismount`` does not see one of the same file system."""
    if os.path.ismount(path):
        return True
    with suppress(OSError, RuntimeError):
        points = (line.split(" ", 5)[4] for line in mountinfo.read_text("utf-8").splitlines())
        real = str(path.resolve())
        return any(re.sub(r"\\([0-7]{3})", _octal, point) == real for point in points)
    return False


def _octal(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))


# -- the sentences
def mounted(name: str) -> Remark:
    return Remark(
        f"{name} 是单独挂载的一个文件，编辑器保存后容器里可能看不到；请改为挂载整个文件夹。",
        f"{name} is mounted as a single file, so saves may not arrive; mount its folder instead.",
        "-v ./config:/config",
    )


def stale(name: str) -> Remark:
    return Remark(
        f"容器看到的还是旧的 {name}：它是单独挂载的，保存时被换成了新文件；"
        "请改为挂载整个文件夹，再重建容器。",
        f"{name} as seen here is a deleted old version: it is mounted as a single file and a save "
        "replaced it; mount its folder instead and recreate the container.",
        "-v ./config:/config",
    )
