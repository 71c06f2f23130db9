"""Which SQLite journal a folder's file system can bear.

WAL shares memory through a mapped file, which network and FUSE file systems do not keep coherent:
there it loses or damages the database, sometimes silently (appliance pitfalls 55-57).
"""

import re
from pathlib import Path
from typing import Literal

Journal = Literal["wal", "delete"]

# Disks of this very kernel. Everything else (nfs, cifs, 9p, virtiofs, fuse.shfs, fakeowner, and
# whatever is invented next) gets the rollback journal: slower, and right everywhere.
_LOCAL = (
    *("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "ntfs3"),
    *("overlay", "ramfs", "reiserfs", "tmpfs", "ubifs", "xfs", "zfs"),
)


def file_system(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> str:
    """Type of the file system that ``path`` lies on, e.g. ``ext4``; empty if it cannot be told."""
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        place = path.resolve()
    except OSError:
        return ""
    found, depth = "", -1
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields, kind = mount.split(), source.split()
        if len(fields) < 5 or not kind:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        # >=: of two mounts on one place the later one covers the earlier.
        if len(point.parts) >= depth and place.is_relative_to(point):
            found, depth = kind[0], len(point.parts)
    return found


def journal(kind: str) -> Journal:
    """The journal mode for file system type ``kind``; an unknown one counts as remote."""
    return "wal" if kind in _LOCAL else "delete"
