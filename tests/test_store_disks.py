"""The store on real disks that fail as disks do, on network file systems, and with a second owner.

Disks need root on Linux (``tests.mounts``): elsewhere those tests are skipped, with the reason.
"""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dod.ports import Json
from dod.store import records
from dod.store.disk import DiskStore
from tests.mounts import Mount

BIG = {"text": "x" * 20_000}


def opened(folder: Path) -> DiskStore:
    return DiskStore.open(folder / "store", retry_every=0.03, timeout=1.0, patience=30)


def get(store: DiskStore, key: str) -> Json | None:
    return asyncio.run(store.get(key))


def put(store: DiskStore, key: str, value: Json) -> None:
    asyncio.run(store.put(key, value))


def wait_until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_full_disk_is_said_once_read_from_and_written_to_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mount(tmp_path / "disk", "512k") as disk:
        store = opened(disk.folder)
        put(store, "before", {"n": 0})
        disk.fill()
        for n in range(10):
            put(store, f"key/{n}", BIG)
        assert "full" in str(store.trouble)
        assert get(store, "before") == {"n": 0}
        assert not asyncio.run(store.add("key/3", {"n": 1}))
        assert len(asyncio.run(store.items("key/"))) == 10
        time.sleep(0.05)  # it retries in vain meanwhile
        assert len(errors(caplog)) == 1
        disk.drain()
        wait_until(lambda: store.trouble is None)
        assert store.close()
        store = opened(disk.folder)
        assert get(store, "key/9") == BIG
        assert store.close()


def test_a_disk_full_at_the_start_is_used_as_soon_as_there_is_room(tmp_path: Path) -> None:
    with Mount(tmp_path / "disk", "512k") as disk:
        disk.fill()
        store = opened(disk.folder)
        put(store, "a", {"n": 1})
        assert get(store, "a") == {"n": 1}
        assert store.trouble
        disk.drain()
        wait_until(lambda: store.trouble is None)
        assert store.close()
        store = opened(disk.folder)
        assert get(store, "a") == {"n": 1}
        assert store.close()


def test_a_disk_that_fills_up_while_closing_loses_only_what_it_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mount(tmp_path / "disk", "512k") as disk:
        store = opened(disk.folder)
        put(store, "a", {"n": 1})
        disk.fill()
        for n in range(10):
            put(store, f"key/{n}", BIG)
        assert store.close()
        assert any("values are lost" in error for error in errors(caplog))
        disk.drain()
        store = opened(disk.folder)
        assert store.trouble is None
        assert get(store, "a") == {"n": 1}
        assert store.close()


def test_a_read_only_disk_is_read_from_and_called_by_its_name(tmp_path: Path) -> None:
    with Mount(tmp_path / "disk", "4m") as disk:
        store = opened(disk.folder)
        put(store, "a", {"n": 1})
        assert store.close()
        disk.read_only(on=True)
        store = opened(disk.folder)
        assert "read-only" in str(store.trouble)
        assert get(store, "a") == {"n": 1}
        assert not asyncio.run(store.add("a", {"n": 2}))
        put(store, "b", {"n": 2})
        disk.read_only(on=False)
        wait_until(lambda: store.trouble is None)
        assert (get(store, "a"), get(store, "b")) == ({"n": 1}, {"n": 2})
        assert store.close()


def test_a_disk_that_breaks_down_while_running_is_read_from_and_said(tmp_path: Path) -> None:
    """An I/O error: the kernel turns the file system read-only, with our files open."""
    with Mount(tmp_path / "disk", "16m", kind="ext4") as disk:
        store = opened(disk.folder)
        put(store, "a", {"n": 1})
        disk.break_down()
        put(store, "b", {"n": 2})
        assert "disk I/O error" in str(store.trouble) or "read-only" in str(store.trouble)
        assert (get(store, "a"), get(store, "b")) == ({"n": 1}, {"n": 2})
        assert not asyncio.run(store.add("a", {"n": 3}))
        assert dict(asyncio.run(store.items(""))) == {"a": {"n": 1}, "b": {"n": 2}}
        assert store.close()


def test_a_disk_that_is_unplugged_while_running_leaves_all_behind(tmp_path: Path) -> None:
    with Mount(tmp_path / "disk", "4m") as disk:
        store = opened(disk.folder)
        put(store, "a", {"n": 1})
        disk.take_away()
        put(store, "b", {"n": 2})
        assert (get(store, "a"), get(store, "b")) == ({"n": 1}, {"n": 2})
        assert store.close()
        store = opened(tmp_path / "disk")
        assert (get(store, "a"), get(store, "b")) == ({"n": 1}, {"n": 2})
        assert store.close()


# -- over a network: the journal


def journal_of(store: DiskStore) -> tuple[str, int]:
    """Journal mode, and how hard each commit is pressed to the disk."""

    async def asked() -> tuple[str, int]:
        def read() -> tuple[str, int]:
            assert store._keeping._records is not None
            connection = store._keeping._records._connection
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
            return mode, synchronous

        return await store._thread.run(read)

    return asyncio.run(asked())


def test_a_store_that_moves_to_a_network_share_and_back_keeps_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {}
    for n, (kind, journal) in enumerate(
        [("ext4", ("wal", 1)), ("nfs4", ("delete", 2)), ("", ("delete", 2)), ("xfs", ("wal", 1))]
    ):
        monkeypatch.setattr(records, "file_system", lambda _path, kind=kind: kind)
        store = opened(tmp_path)
        assert journal_of(store) == journal
        put(store, f"key/{n}", {"n": n})
        values[f"key/{n}"] = {"n": n}
        assert store.trouble is None
        assert dict(asyncio.run(store.items(""))) == values
        assert store.close()


def test_a_share_that_makes_up_inode_numbers_has_deleted_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(records, "file_system", lambda _path: "cifs")
    store = opened(tmp_path)
    put(store, "a", {"n": 1})
    real = records._identity
    monkeypatch.setattr(records, "_identity", lambda file: real(file) and (1, time.monotonic_ns()))
    put(store, "b", {"n": 2})
    assert (get(store, "a"), get(store, "b")) == ({"n": 1}, {"n": 2})
    assert not errors(caplog)
    assert store.close()


# -- two processes where no lock can be had

CLAIM = """
import asyncio, json, sys
from pathlib import Path
from dod.store import records
from dod.store.disk import DiskStore

records.file_system = lambda path: sys.argv[2]
store = DiskStore.open(Path(sys.argv[1]))

async def claim():
    return [n for n in range(100) if await store.add(f"claim/{n}", {"by": sys.argv[3]})]

sys.stdin.readline()
print(json.dumps(asyncio.run(claim())))
print(json.dumps(store.trouble))
assert store.close(10)
"""


@pytest.mark.parametrize("kind", ["ext4", "nfs"])
def test_two_processes_never_both_claim_a_message(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", CLAIM, str(tmp_path / "store"), kind]
    both = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    told = []
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in both:
        out, _ = each.communicate(timeout=60)
        assert each.returncode == 0
        told.append([json.loads(line) for line in out.splitlines()])
    (first, trouble), (second, more_trouble) = told
    assert sorted(first + second) == list(range(100)), "each claim has one owner"
    assert (trouble, more_trouble) == (None, None)
    with closing(opened(tmp_path)) as store:
        assert len(asyncio.run(store.items("claim/"))) == 100
