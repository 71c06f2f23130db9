"""What the store does when the disk does not do its part. Real files, real SQLite errors."""

import asyncio
import json
import logging
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from dod.errors import StoreError
from dod.ports import Json
from dod.store import damage, records, rows
from dod.store import disk as disk_module
from dod.store.disk import DiskStore

T = TypeVar("T")


class Open(Protocol):
    def __call__(self, retry_every: float = ...) -> DiskStore: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens the store at ``path``, closing the one opened before, as a restart does.

    A lock is waited for shortly, a machine that has no time for us is not: it is no hanging disk.
    """
    stores: list[DiskStore] = []

    def reopen(retry_every: float = 0.03) -> DiskStore:
        for store in stores:
            assert store.close(timeout=30)
        stores.append(DiskStore.open(path, retry_every=retry_every, timeout=0.05, patience=30))
        return stores[-1]

    yield reopen
    for store in stores:
        assert store.close(timeout=30)


def get(store: DiskStore, key: str) -> Json | None:
    return asyncio.run(store.get(key))


def put(store: DiskStore, key: str, value: Json) -> None:
    asyncio.run(store.put(key, value))


def on_thread(store: DiskStore, act: Callable[[], T]) -> T:
    return asyncio.run(store._thread.run(act))


def pragma(store: DiskStore, statement: str) -> None:
    """Change the store's own connection: a limit on pages makes a full disk, and so on."""
    on_disk = store._keeping._records
    assert on_disk is not None
    on_thread(store, lambda: on_disk._connection.execute(f"PRAGMA {statement}").fetchall())


def wait_until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def raw(path: Path) -> "closing[sqlite3.Connection]":
    """Another process's connection to the database, that takes no prisoners."""
    return closing(sqlite3.connect(path / "cache.db", timeout=5, isolation_level=None))


# -- full, read-only, locked


@pytest.mark.parametrize("statement", ["max_page_count = 1", "query_only = 1"])
def test_a_disk_that_refuses_is_said_once_and_written_back_when_it_works(
    opened: Open, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    put(store, "before", {"n": 0})
    put(store, "deleted", {"n": 0})
    pragma(store, statement)
    big = {"text": "x" * 20_000}
    for n in range(5):
        put(store, f"key/{n}", big)
    asyncio.run(store.delete("deleted"))
    assert store.trouble is not None
    assert "kept in memory" in store.trouble
    assert get(store, "before") == {"n": 0}, "what is on disk can still be read"
    assert get(store, "deleted") is None
    assert len(asyncio.run(store.items("key/"))) == 5
    assert not asyncio.run(store.add("key/1", {"n": 1}))
    assert not asyncio.run(store.add("before", {"n": 1}))
    assert asyncio.run(store.add("deleted", {"n": 1}))
    asyncio.run(store.delete("deleted"))
    assert len(errors(caplog)) == 1
    pragma(store, "max_page_count = 1000000")
    pragma(store, "query_only = 0")
    wait_until(lambda: store.trouble is None)
    assert not store._keeping._kept
    store = opened()
    assert get(store, "key/4") == big
    assert get(store, "deleted") is None


def test_a_commit_that_fails_leaves_no_transaction_behind(opened: Open) -> None:
    store = opened(retry_every=3600)
    pragma(store, "max_page_count = 1")
    put(store, "big", {"text": "x" * 100_000})
    on_disk = store._keeping._records
    assert on_disk is not None
    assert not on_thread(store, lambda: on_disk._connection.in_transaction)


def test_close_writes_back_what_waited(opened: Open) -> None:
    store = opened(retry_every=3600)
    pragma(store, "query_only = 1")
    put(store, "a", {"n": 1})
    pragma(store, "query_only = 0")
    assert get(opened(), "a") == {"n": 1}


def test_close_says_what_is_lost(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    store = opened()
    pragma(store, "query_only = 1")
    put(store, "a", {"n": 1})
    assert store.close()
    assert any("1 values are lost" in error for error in errors(caplog))


def test_a_locked_database_is_waited_for_and_then_served_from_memory(
    opened: Open, path: Path
) -> None:
    store = opened()
    put(store, "old", {"n": 1})
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        put(store, "new", {"n": 2})
        assert "locked" in (store.trouble or "")
        assert get(store, "new") == {"n": 2}
        assert get(store, "old") == {"n": 1}
        other.execute("ROLLBACK")
        wait_until(lambda: store.trouble is None)
    assert get(opened(), "new") == {"n": 2}


def test_a_database_locked_at_start_can_still_be_read(opened: Open, path: Path) -> None:
    put(opened(), "old", {"n": 1})
    opened().close()
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        store = opened()
        assert "locked" in (store.trouble or "")
        assert get(store, "old") == {"n": 1}
        assert not asyncio.run(store.add("old", {"n": 2}))
        assert asyncio.run(store.items("")) == [("old", {"n": 1})]
        put(store, "new", {"n": 2})
        other.execute("ROLLBACK")
        wait_until(lambda: store.trouble is None)
    store = opened()
    assert (get(store, "old"), get(store, "new")) == ({"n": 1}, {"n": 2})


def test_disk_wins_only_for_what_is_done(opened: Open) -> None:
    store = opened()
    put(store, "finished", {"state": "done", "by": "disk"})
    put(store, "open", {"state": "asked", "by": "disk"})
    put(store, "gone", {"state": "done", "by": "disk"})
    pragma(store, "query_only = 1")
    put(store, "finished", {"state": "asked", "by": "memory"})
    put(store, "open", {"state": "finishing", "by": "memory"})
    asyncio.run(store.delete("gone"))
    pragma(store, "query_only = 0")
    wait_until(lambda: store.trouble is None)
    assert get(store, "finished") == {"state": "done", "by": "disk"}
    assert get(store, "open") == {"state": "finishing", "by": "memory"}
    assert get(store, "gone") is None


def test_a_place_where_no_store_can_be_is_no_reason_not_to_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = DiskStore.open(tmp_path / "file" / "store", retry_every=0.02, timeout=0.05)
    assert "Not a directory" in (store.trouble or "")
    put(store, "a", {"n": 1})
    (tmp_path / "file").unlink()
    wait_until(lambda: store.trouble is None)
    assert store.close()
    again = DiskStore.open(tmp_path / "file" / "store")
    assert get(again, "a") == {"n": 1}
    assert again.close()


def test_deleted_while_running_is_written_anew(
    opened: Open, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    put(store, "old", {"n": 1})
    shutil.rmtree(path)
    put(store, "new", {"n": 2})
    assert store.trouble is None
    assert any("deleted while running" in error for error in errors(caplog))
    assert (path / "cache.db").exists()
    store = opened()
    assert (get(store, "old"), get(store, "new")) == ({"n": 1}, {"n": 2})


# -- broken


def spoil_header(file: Path) -> None:
    file.write_bytes(b"this is no database" * 1000)


def spoil_middle(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * (file.stat().st_size - 8192))


def spoil_tail(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def spoil_schema(file: Path) -> None:
    """SQLite's complaint names the broken table, in bytes that are no UTF-8."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA writable_schema = ON")
        broken = "CAST(X'c328' AS TEXT)"
        other.execute(f"UPDATE sqlite_master SET name = {broken}, sql = 'x' WHERE name = 'Cache'")


@pytest.mark.parametrize("spoil", [spoil_header, spoil_middle, spoil_tail, spoil_schema])
def test_a_broken_database_is_set_aside_and_begun_anew(
    opened: Open, path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    for n in range(50):
        put(store, f"key/{n}", {"text": "x" * 500})
    assert store.close()
    spoil(path / "cache.db")
    store = opened()
    asides = list(path.parent.glob("store.corrupt-*"))
    assert len(asides) == 1
    assert (asides[0] / "cache.db").exists()
    assert asides[0].name in (store.trouble or "")
    assert len(errors(caplog)) == 1
    assert asyncio.run(store.items("")) == []
    put(store, "a", {"n": 1})
    store = opened()
    assert get(store, "a") == {"n": 1}
    assert store.trouble is None


def test_broken_while_running_keeps_what_is_being_written(opened: Open, path: Path) -> None:
    store = opened()
    with raw(path) as other:
        other.execute("DROP TABLE Cache")
    put(store, "a", {"n": 1})
    assert get(store, "a") == {"n": 1}
    assert "set aside" in (store.trouble or "")
    assert get(opened(), "a") == {"n": 1}


def test_a_schema_broken_while_running_is_set_aside(opened: Open, path: Path) -> None:
    store = opened()
    with raw(path) as other:
        other.execute("CREATE TABLE changed (it)")  # so that the store reads the schema again
    spoil_schema(path / "cache.db")
    put(store, "a", {"n": 1})
    assert get(store, "a") == {"n": 1}
    assert "set aside" in (store.trouble or "")


def test_broken_while_running_is_found_by_a_read_as_well(opened: Open, path: Path) -> None:
    store = opened()
    with raw(path) as other:
        other.execute("DROP TABLE Cache")
    assert get(store, "a") is None
    assert asyncio.run(store.items("")) == []
    assert "set aside" in (store.trouble or "")


def test_another_schema_is_set_aside(opened: Open, path: Path) -> None:
    opened().close()
    with raw(path) as other:
        text = json.dumps({"schema": rows.SCHEMA + 1})
        other.execute("UPDATE Cache SET value = ? WHERE key = 'meta/version'", (text,))
    assert "another version" in (opened().trouble or "")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM Cache WHERE key = 'meta/version'",
        "INSERT INTO Settings VALUES ('disk_surprise', 1)",
        "UPDATE Settings SET value = X'00' WHERE key = 'size_limit'",
        "DROP TABLE Settings",
    ],
)
def test_a_strangers_database_is_set_aside(opened: Open, path: Path, statement: str) -> None:
    put(opened(), "a", {"n": 1})
    opened().close()
    with raw(path) as other:
        other.execute(statement)
    store = opened()
    assert "set aside" in (store.trouble or "")
    assert get(store, "a") is None


def test_a_first_opening_that_was_killed_half_way_is_no_damage(opened: Open, path: Path) -> None:
    path.mkdir()
    with raw(path) as other:
        other.execute("CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)")
    store = opened()
    assert store.trouble is None
    put(store, "a", {"n": 1})


def test_only_the_last_quarantines_are_kept(opened: Open, path: Path) -> None:
    for _ in range(4):
        opened().close()
        spoil_header(path / "cache.db")
    opened()
    asides = sorted(aside.name for aside in path.parent.glob("store.corrupt-*"))
    assert len(asides) == damage.QUARANTINES_KEPT


# -- planted


class Payload:
    """Unpickled, it creates ``file``."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_planted_rows_are_refused_and_harmless(opened: Open, path: Path, tmp_path: Path) -> None:
    """CVE-2025-69872: diskcache unpickles whatever lies in its database."""
    import pickle

    bait, secret = tmp_path / "pwned", tmp_path / "secret.txt"
    secret.write_text('{"secret": true}')
    payload = pickle.dumps(Payload(bait))
    put(opened(), "good", {"n": 1})
    opened().close()
    planted = [
        ("a/value", 1, 4, None, payload),
        ("a/value-file", 1, 4, str(tmp_path / "payload"), None),
        ("a/text-file", 1, 3, str(secret), None),
        ("a/binary-file", 1, 2, str(secret), None),
        ("a/number", 1, 1, None, 7),
        ("a/bytes", 1, 1, None, b"{}"),
        ("a/no-json", 1, 1, None, "oops"),
        ("a/no-object", 1, 1, None, "[1]"),
        (payload, 0, 1, None, "{}"),
        (payload, 1, 1, None, "{}"),
        (7, 1, 1, None, "{}"),
    ]
    (tmp_path / "payload").write_bytes(payload)
    with raw(path) as other:
        other.executemany(
            "INSERT INTO Cache (key, raw, mode, filename, value) VALUES (?, ?, ?, ?, ?)", planted
        )
    store = opened()

    async def scenario() -> None:
        keys = [key for key, *_ in planted if isinstance(key, str)]
        for key in keys:
            assert await store.get(key) is None, key
        assert await store.items("") == [("good", {"n": 1})]
        assert await store.add("a/value", {"n": 2})
        assert await store.get("a/value") == {"n": 2}
        for key in keys:
            await store.put(key, {"n": 3})
            assert await store.get(key) == {"n": 3}
            await store.delete(key)

    asyncio.run(scenario())
    assert not bait.exists()
    assert secret.exists(), "a planted row may not delete files either"


# -- the files, the thread


def test_files_are_nobody_elses(opened: Open, path: Path) -> None:
    path.mkdir(mode=0o755)
    (path / "cache.db").touch(mode=0o644)
    put(opened(), "a", {"n": 1})
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
    assert modes == dict.fromkeys(modes, 0o600)
    assert "cache.db" in modes
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_was_said_is_soon_nowhere_in_the_files(
    opened: Open, path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not in the log of SQLite, nor on a page that is free again."""
    monkeypatch.setattr(records, "TIDY", 0.05)
    monkeypatch.setattr(records, "journal", lambda _kind: mode)
    store = opened()
    said = {"message": "said-in-confidence " * 500, "webhook": "session=said-in-confidence"}

    def held() -> list[str]:
        return [it.name for it in path.iterdir() if b"said-in-confidence" in it.read_bytes()]

    for number in range(5):
        put(store, f"claim/{number}", said)
    assert held()
    for number in range(5):
        put(store, f"claim/{number}", {"state": "done"})
    wait_until(lambda: not held())
    assert get(store, "claim/3") == {"state": "done"}


def test_a_reader_is_not_waited_for(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup reads the file: the log is emptied when it is done."""
    monkeypatch.setattr(records, "TIDY", 0.02)
    store = opened()
    put(store, "a", {"n": "said-in-confidence"})
    log = path / "cache.db-wal"
    with closing(sqlite3.connect(path / "cache.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM Cache").fetchone()
        put(store, "a", {"n": "forgotten"})
        time.sleep(0.05)
        assert b"said-in-confidence" in log.read_bytes() + (path / "cache.db").read_bytes()
        reader.execute("COMMIT")
    wait_until(lambda: not log.stat().st_size)
    assert get(store, "a") == {"n": "forgotten"}


def test_what_a_planted_link_leads_to_stays_open_to_others(opened: Open, path: Path) -> None:
    theirs = path.parent / "bots.yaml"
    theirs.touch()
    theirs.chmod(0o644)
    path.mkdir()
    (path / "cache.db-journal").symlink_to(theirs)
    opened()
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o644


def test_kill_9_loses_nothing_that_was_put(path: Path) -> None:
    code = (
        "import asyncio, os, pathlib, sys\n"
        "from dod.store.disk import DiskStore\n"
        "store = DiskStore.open(pathlib.Path(sys.argv[1]))\n"
        "async def main():\n"
        "    for n in range(100):\n"
        "        await store.put(f'key/{n}', {'n': n})\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    store = DiskStore.open(path)
    assert store.trouble is None
    assert len(asyncio.run(store.items("key/"))) == 100
    assert store.close()


def test_ten_thousand_keys_are_one_walk_along_the_index(opened: Open, path: Path) -> None:
    store = opened()
    assert store._keeping._records is not None
    records_ = store._keeping._records

    def fill() -> None:
        with records_.transaction():
            for n in range(10_000):
                records_.put(f"turn/{n}", rows.Entry("{}"))
            for n in range(3):
                records_.put(f"bot/{n}", rows.Entry("{}"))

    on_thread(store, fill)
    assert len(asyncio.run(store.items("turn/"))) == 10_000
    assert len(asyncio.run(store.items("bot/"))) == 3
    with raw(path) as other:
        plan = other.execute(
            f"EXPLAIN QUERY PLAN {rows.ROWS}{rows.ALIVE} AND key >= ? ORDER BY key",
            (0, "bot/"),
        ).fetchall()
    assert "USING INDEX Cache_key_raw" in str(plan)
    assert "TEMP B-TREE" not in str(plan), "a sort would read every row first"


def test_close_may_be_repeated_and_then_refuses(opened: Open) -> None:
    store = opened()
    assert store.close()
    assert store.close()
    with pytest.raises(StoreError):
        get(store, "a")


def test_a_disk_that_hangs_holds_up_neither_start_nor_stop(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import threading

    release = threading.Event()
    real_open = records.Records.open

    def hang(path: Path, timeout: float) -> records.Records:
        release.wait(30)
        return real_open(path, timeout)

    monkeypatch.setattr(records.Records, "open", hang)
    store = DiskStore.open(path, timeout=0.01, patience=0.01)
    assert "does not answer" in (store.trouble or "")
    assert errors(caplog)
    assert not store.close(timeout=0.01)
    release.set()
    assert store.close(timeout=10)
    assert store.trouble is None


def test_a_disk_that_hangs_while_the_log_is_emptied_is_said(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a WAL that is the moment at which the disk is waited for."""
    monkeypatch.setattr(records, "TIDY", 0.0)
    began, gate = threading.Event(), threading.Event()

    def hang(_records: records.Records) -> None:
        began.set()
        gate.wait(30)

    store = opened()
    monkeypatch.setattr(records.Records, "tidy", hang)
    try:
        store._thread.post(lambda: None)
        assert began.wait(30)
        monkeypatch.setattr(disk_module, "HANGS", 0.0)
        wait_until(lambda: "does not answer" in str(store.trouble))
        gate.set()
        wait_until(lambda: store.trouble is None)
    finally:
        gate.set()


def test_a_disk_that_hangs_while_running_is_said(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    began, gate = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        gate.wait(30)

    done = store._thread.post(hang)
    try:
        assert began.wait(30)
        assert store.trouble is None, "not yet"
        monkeypatch.setattr(disk_module, "HANGS", 0.0)
        wait_until(lambda: "does not answer" in str(store.trouble))
        gate.set()
        assert done.wait(30)
        wait_until(lambda: store.trouble is None)
    finally:
        gate.set()
