"""Whether a database is ours and whole, and what is to be done with one that is not.

Thread: the store's.
"""

import json
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import diskcache  # type: ignore[import-untyped]

from dod.store.mounts import Journal
from dod.store.rows import FILE, ROWS, SCHEMA, VERSION_KEY, Entry

QUARANTINES_KEPT = 2

# What a broken, full, locked or missing disk raises through diskcache. UnicodeDecodeError: SQLite
# names what is broken in a schema, and Python cannot read the name.
DISK_ERRORS = (sqlite3.Error, diskcache.Timeout, OSError, UnicodeDecodeError)

_SETTINGS = frozenset(diskcache.DEFAULT_SETTINGS) | {"count", "size", "hits", "misses"}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


class Damaged(sqlite3.DatabaseError):
    """The database is no database, is broken inside, or was not written by this schema."""


def damaged(error: BaseException) -> bool:
    """Waiting cannot help: the database itself is broken."""
    error = cause(error)
    if isinstance(error, Damaged | UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    # "no such table", "no such column": somebody emptied it under our feet.
    return code & 0xFF in _DAMAGE or (code == sqlite3.SQLITE_ERROR and "no such" in str(error))


def cause(error: BaseException) -> BaseException:
    """The error behind diskcache's own.

    It calls every failed BEGIN a Timeout, and repeats a ROLLBACK that SQLite has done by itself.
    """
    hidden = isinstance(error, diskcache.Timeout) or "cannot rollback" in str(error)
    return error.__context__ or error if hidden else error


def salvage(path: Path) -> dict[str, Entry]:
    """What can be read of a store that cannot be opened for writing; empty if nothing can."""
    for immutable in ("", "&immutable=1"):  # a read-only WAL database needs the second
        uri = f"{(path / FILE).absolute().as_uri()}?mode=ro{immutable}"
        with (
            suppress(sqlite3.Error, UnicodeDecodeError),
            closing(sqlite3.connect(uri, uri=True, timeout=0.1)) as connection,
        ):
            rows = connection.execute(ROWS).fetchall()
            return {
                key: Entry(value, expires_at)
                for key, value, expires_at in rows
                if isinstance(key, str) and isinstance(value, str) and key != VERSION_KEY
            }
    return {}


def set_aside(path: Path) -> Path:
    """Rename the store's directory to ``<name>.corrupt-<time>`` and return that. Raises OSError."""
    stem = f"{path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}"
    target, n = path.with_name(stem), 1
    while target.exists():
        n += 1
        target = path.with_name(f"{stem}-{n}")
    path.rename(target)
    for old in sorted(path.parent.glob(f"{path.name}.corrupt-*"))[:-QUARANTINES_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def examine(file: Path, mode: Journal, timeout: float) -> None:
    """Raise Damaged or another of ``DISK_ERRORS`` *before* diskcache meets the file.

    diskcache would retry a locked one for 60 s, obey whatever stands in its Settings table, and
    find damage only when it reads the page in question.
    """
    with closing(sqlite3.connect(file, timeout=timeout, isolation_level=None)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != ("ok",):
            raise Damaged(str(verdict[0]) if verdict else "quick_check says nothing")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if tables and not {"Cache", "Settings"} <= tables:
            return _abandoned_or_damaged(connection, tables)
        if tables:
            _examine_tables(connection)
        (current,) = connection.execute("PRAGMA journal_mode").fetchone()
        if current != mode:
            connection.execute(f"PRAGMA journal_mode = {mode}")
    return None


def _abandoned_or_damaged(connection: sqlite3.Connection, tables: set[str]) -> None:
    """A crash in the middle of the very first opening leaves Settings without Cache: go on."""
    ours = all(name == "Settings" or name.startswith("sqlite_") for name in tables)
    if not ours or "Settings" not in tables:
        raise Damaged("not a store of dod")
    _examine_settings(connection)


def _examine_tables(connection: sqlite3.Connection) -> None:
    _examine_settings(connection)
    query = "SELECT value FROM Cache WHERE raw = 1 AND mode = 1 AND key = ?"
    row = connection.execute(query, (VERSION_KEY,)).fetchone()
    if row is not None:
        if row[0] != json.dumps({"schema": SCHEMA}):
            raise Damaged("written by another version of dod")
    elif connection.execute("SELECT 1 FROM Cache LIMIT 1").fetchone():
        raise Damaged("written by something else than dod")


def _examine_settings(connection: sqlite3.Connection) -> None:
    for key, value in connection.execute("SELECT key, value FROM Settings"):
        if key not in _SETTINGS or not isinstance(value, int | float | str):
            raise Damaged("unknown settings")
