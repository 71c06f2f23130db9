"""What a row of the store is: a text key, a JSON object as text, and a time to expire."""

import json
import logging
import time
from typing import NamedTuple, cast

from dod.ports import Json

log = logging.getLogger(__name__)

FILE = "cache.db"  # diskcache's name for it
SCHEMA = 1
VERSION_KEY = "meta/version"
RAW = 1  # diskcache's MODE_RAW: the value is the column itself
ROWS = "SELECT key, value, expire_time FROM Cache WHERE raw = 1 AND mode = 1"
ALIVE = " AND (expire_time IS NULL OR expire_time > ?)"
SHORT = 400  # characters; a mapping, a count, a message that is done. What was said is longer


class Entry(NamedTuple):
    """One value as JSON text; None: deleted. ``expires_at``: epoch seconds, None for never."""

    text: str | None
    expires_at: float | None = None

    @property
    def alive_text(self) -> str | None:
        if self.expires_at is not None and self.expires_at <= time.time():
            return None
        return self.text


def row_of(value: Json, expire: float | None) -> Entry:
    # ASCII: half a surrogate pair from a neighbour's JSON is no valid UTF-8, and SQLite refuses it.
    return Entry(json.dumps(value), None if expire is None else time.time() + expire)


def apart(text: str, page: int) -> str:
    """``text`` laid on pages of its own, unless it is short. ``page``: SQLite's, in bytes.

    SQLite moves rows from page to page, and what it leaves behind in the gap of the former one it
    wipes when it needs the space: never, maybe, also with ``secure_delete``. Of a long row only
    the beginning is moved, less than a page of it (sqlite.org/fileformat2.html §1.6, "overflow"):
    so it begins with a page of blanks. The rest lies on pages that are wiped when they are free.
    Whole pages: a row that keeps its length is overwritten where it is.
    """
    text = text.strip()
    if len(text) <= SHORT:
        return text
    return " " * page + text + " " * (-len(text) % page)


def parse(key: str, text: str | None) -> Json | None:
    """The value, or None for what is no JSON object: nobody here wrote that."""
    if text is None or key == VERSION_KEY:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        log.warning("store: refused a value that is no JSON object")
        return None
    return cast("Json", value)
