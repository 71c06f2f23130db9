from pathlib import Path

import pytest

from dod.store.mounts import file_system, journal

MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /data rw - virtiofs share rw
31 22 0:41 / /mnt/user rw - fuse.shfs shfs rw
32 22 0:42 / /mnt/my\\040disk rw master:3 propagate_from:2 - cifs //nas/x rw
33 22 0:43 / /over rw - nfs4 nas:/x rw
34 22 0:44 / /over rw - xfs /dev/sdb1 rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/elsewhere/store", "ext4"),
        ("/data", "virtiofs"),
        ("/data/store", "virtiofs"),
        ("/database", "ext4"),
        ("/mnt/user/appdata/dod", "fuse.shfs"),
        ("/mnt/my disk/dod", "cifs"),
        ("/over/store", "xfs"),
    ],
)
def test_the_innermost_latest_mount_counts(tmp_path: Path, path: str, kind: str) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(MOUNTINFO)
    assert file_system(Path(path), mountinfo) == kind


def test_unknown_is_remote(tmp_path: Path) -> None:
    assert file_system(tmp_path, tmp_path / "absent") == ""
    assert journal("") == "delete"
    assert journal("something_new") == "delete"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.shfs"])
def test_no_wal_over_a_network(kind: str) -> None:
    assert journal(kind) == "delete"


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs"])
def test_wal_on_local_disks(kind: str) -> None:
    assert journal(kind) == "wal"
