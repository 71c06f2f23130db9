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
