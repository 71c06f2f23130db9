"""What a channel tells of its connection: one line per change of state, not one per attempt."""

import logging
from collections.abc import Callable

from dod.ports import StateChange

log = logging.getLogger(__name__)

_LEVELS = {"retrying": logging.WARNING, "bad_credentials": logging.ERROR}
_MOST = 5  # causes that one outage may name in the log


class States:
    """Lifecycle: ``tell`` at every attempt. ``on_state`` hears each change, also of the cause."""

    def __init__(self, name: str) -> None:
        self.on_state: Callable[[StateChange], None] = lambda _change: None
        self._name = name
        self._now: StateChange | None = None
        self._causes: set[str] = set()  # logged since it was connected

    def tell(self, change: StateChange) -> None:
        before, self._now = self._now, change
        if change == before:
            return
        if before is None or change.state != before.state or self._new(change.error):
            self._log(change)
        self.on_state(change)

    def _new(self, cause: str) -> bool:
        return cause not in self._causes and len(self._causes) < _MOST

    def _log(self, change: StateChange) -> None:
        if change.state == "connected":
            self._causes.clear()
        if change.error:
            self._causes.add(change.error)
        level = _LEVELS.get(change.state, logging.INFO)
        error = f" error={change.error!r}" if change.error else ""
        log.log(level, "channel bot=%s state=%s%s", self._name, change.state, error)
