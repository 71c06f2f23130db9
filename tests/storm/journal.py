"""What happened when: one JSON object a line, kept beside the log so that a failure can be read."""

import json
import threading
import time
from collections import Counter
from pathlib import Path


class Journal:
    """Thread: any. ``done``: how often each kind of fault was really made."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w", encoding="utf-8")
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()

    @property
    def began(self) -> float:
        """Monotonic seconds: the zero of every ``t``."""
        return self._began

    def note(self, kind: str, **what: object) -> None:
        line = {"t": round(time.monotonic() - self._began, 3), "kind": kind, **what}
        with self._lock:
            self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
            self._file.flush()

    def made(self, fault: str, **what: object) -> None:
        """A fault was made."""
        self.done[fault] += 1
        self.note("fault", fault=fault, **what)

    def close(self) -> None:
        self._file.close()
