"""Secrets in what dod puts out: log, pages, notice, process list, cards, files in /data."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# What our credentials, tokens (32 hex digits) and tickets (UUIDs) look like.
SHAPES = re.compile(
    rb"dingsecret-[\w-]+|app-\d\d[xy]{12}|not-right-\d{7}"
    rb"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}"
)


class Ears:
    """Listens to all outputs. ``secrets``: what must not be heard."""

    def __init__(self) -> None:
        self._heard: dict[bytes, str] = {}  # everything that looks like a secret, and where first

    def hear(self, where: str, output: bytes) -> None:
        for found in SHAPES.finditer(output):
            self._heard.setdefault(found.group(), where)

    def hear_folder(self, folder: Path) -> None:
        for file in folder.rglob("*"):
            if file.is_file():
                self.hear(f"/data/{file.relative_to(folder)}", file.read_bytes())

    def hear_rows(self, file: Path) -> None:
        """What the store's rows say: in the file a long one lies in pieces."""
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
            for key, value in store.execute("SELECT key, value FROM Cache"):
                self.hear("the store's rows", f"{key} {value}".encode())

    def told(self, secrets: set[str]) -> Iterator[str]:
        """Where each leaked secret was first heard; its last characters are left out."""
        for secret in sorted(secrets):
            if where := self._heard.get(secret.encode()):
                yield f"{where}: {secret[:14]}…"
