"""The files changed: poll + hash is the truth, inotify on the directory makes it instant.

An event is only a hint: it brings the next read forward and says nothing about what changed, so
that lost, late, doubled and foreign events (appliance §2, pitfalls 1-25) cost time at most.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from dod.config.absence import no_folder
from dod.config.candidates import NAMES
from dod.config.files import ABSENT, Content, combine, contents
from dod.config.load import Loaded
from dod.config.mounts import mounted, mounted_alone, stale
from dod.config.source import Remark
from dod.inotify import Directories, inodes

log = logging.getLogger(__name__)

Sight = Literal["quiet", "changed", "confirmed"]


class Watch:
    """Lifecycle: ``start`` → ``look*`` → ``close``.

    Thread: main; only ``wake`` is called from the observer's. All durations are seconds.
    ``poll``: between looks while nothing happens; ``quick``: between looks while something does;
    ``settle``: how long a content must stand still; ``confirm``: likewise, if bots would go.
    """

    def __init__(
        self,
        folder: Path,
        *,
        poll: float = 2.0,
        wake: Callable[[], None],
        inotify: bool = True,
        settle: float = 0.6,
        quick: float = 0.3,
        confirm: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: Remark | None = None  # why saves may not arrive, for the status page
        self._folder = folder
        self._poll, self._settle, self._quick, self._confirm = poll, settle, quick, confirm
        self._breath = quick / 6  # the least time between reads, however many events come
        self._wake, self._clock = wake, clock
        self._mains = tuple(folder / name for name in NAMES)
        self._files = self._seen_files = (*self._mains, folder / ".env", folder / "secrets.yaml")
        self._seen = ""  # fingerprint of what the appliance has, over _seen_files
        self._told = ""  # fingerprint, over _files, of what was called changed and not yet seen
        self._awaiting = False
        self._had: dict[Path, Content] = {}  # the last reading that was seen or told
        self._found: dict[Path, Content] = {}  # the last reading
        self._print = ""  # its fingerprint
        self._since = 0.0  # when it was first read, and has not differed since
        self._read_at = self._next = self._tend_at = self._alert_until = -math.inf
        self._stirred = False
        self._directories = Directories(self._on_event) if inotify else None
        self._said: set[str] = set()

    def start(self) -> None:
        """Begin to hear events; without them (said once) the poll goes on alone."""
        for path in self._mains:
            if mounted_alone(path):
                self.trouble = self._warn(mounted(path.name))
        self._tend(self._clock())

    def close(self) -> None:
        """Stop and join the observer. Idempotent, safe before ``start``."""
        if self._directories is not None:
            self._directories.close()

    @property
    def hears(self) -> bool:
        """Whether events are expected at all; on some mounts they never come."""
        return self._directories is not None and bool(self._directories.watched)

    def seen(self, loaded: Loaded) -> None:
        """Take ``loaded`` for what the appliance has now: the new "nothing changed"."""
        self._seen_files, self._seen = loaded.files, loaded.fingerprint
        self._follow(*loaded.files)

    def settled(self, loaded: Loaded) -> bool:
        """Whether the very bytes of ``loaded`` are those that ``look`` has just told of.

        If not (a next save has begun, or it includes a file not watched so far) do not apply it:
        its files are watched from now on, and ``look`` tells again when they stand still.
        """
        nothing = Content(ABSENT, blank=True)  # a file not watched so far: absence is no news
        found = {path: self._found.get(path, nothing) for path in loaded.files}
        if combine(found) == loaded.fingerprint:
            return True
        self._follow(*self._seen_files, *loaded.files)
        return False

    def _follow(self, *files: Path) -> None:
        # Both names always: when one goes, the other has been watched for long.
        self._files = tuple(dict.fromkeys((*files, *self._mains)))
        self._told = ""
        self._next = self._tend_at = -math.inf

    def await_confirmation(self) -> None:
        """Bots would go: tell ``confirmed`` when this content has stood still for ``confirm``."""
        self._awaiting = True
        self._next = -math.inf

    def nudge(self) -> None:
        """Look at the next call. Safe in a signal handler."""
        self._next = -math.inf

    @property
    def next_look(self) -> float:
        """When ``look`` should be called next, on ``clock``."""
        if self._stirred:
            return min(self._next, self._read_at + self._breath)
        return self._next

    def look(self) -> Sight:
        """Read the files if it is time, and judge. Cheap if it is not; never raises."""
        now = self._clock()
        if now < self.next_look:
            return "quiet"
        self._next = now + self._poll
        try:
            self._tend(now)
            self._read(now)
            return self._judge(now)
        except Exception as exc:  # noqa: BLE001 the rim: one odd file must not end the watching for good
            self._stumble(exc)
            return "quiet"

    # -- reading and judging

    def _read(self, now: float) -> None:
        # Before the read: what happens after it must stir again.
        stirred, self._stirred = self._stirred, False
        if stirred:
            # A save is several steps, and watchdog holds back what follows a rename for 0.5 s.
            self._alert_until = now + self._quick
        found = contents(self._files)
        self._read_at, self._found = now, found
        if (printed := combine(found)) != self._print:
            self._print, self._since = printed, now
            if self._told:
                self._told, self._awaiting = "", False

    def _judge(self, now: float) -> Sight:
        sight: Sight = "quiet"
        if self._same() or self._told == self._print:
            due = self._since + self._confirm if self._awaiting else math.inf
            if now >= due:
                sight = "confirmed"
            self._next = min(now + self._poll, max(due, now))
        else:
            due = self._since + (self._confirm if self._being_saved() else self._settle)
            self._tell_who(now)
            if now >= due:
                sight, self._told, self._had = "changed", self._print, self._found
            else:
                self._next = min(now + self._quick, due)
        if sight != "quiet":
            self._awaiting, self._next = False, now + self._poll
        if now < self._alert_until:
            self._next = min(self._next, now + self._breath)
        return sight

    def _same(self) -> bool:
        same = combine({path: self._found[path] for path in self._seen_files}) == self._seen
        if same:
            self._had = self._found
        return same

    def _being_saved(self) -> bool:
        """Nothing to read where there should be something: truncated, renamed, or just locked."""
        mains = [self._found[path] for path in self._mains if path in self._found]
        main = next((content for content in mains if content.digest != ABSENT), None)
        if main is None or main.blank:
            return True
        had = self._had
        return any(now.blank and not had.get(path, now).blank for path, now in self._found.items())

    def _tell_who(self, now: float) -> None:
        if "who" not in self._said:
            self._said.add("who")
            who = "inotify" if now < self._alert_until else "poll"
            log.info("the first change of the configuration seen by=%s poll=%g", who, self._poll)

    # -- events and mounts

    def _on_event(self) -> None:
        """Thread: the observer's."""
        if not self._stirred:
            self._stirred = True
            self._wake()

    def _tend(self, now: float) -> None:
        """Follow the directories as they come and go; notice a file that can never change."""
        if now < self._tend_at:
            return
        self._tend_at = now + self._poll
        for path in self._mains:
            with suppress(OSError):
                if path.stat().st_nlink == 0:
                    self.trouble = self._warn(stale(path.name))
        if self._directories is None:
            return
        try:
            wanted = inodes(self._folder, self._files)
            if not wanted:
                self._warn(no_folder(self._folder, self._poll))
            self._directories.follow(wanted, now)
        except (OSError, RuntimeError) as exc:  # RuntimeError: no more threads on this host
            self._warn(polling(self._poll, str(exc)))
        except Exception as exc:  # noqa: BLE001 the rim around foreign threads: the poll must go on
            self._stumble(exc)

    def _warn(self, remark: Remark) -> Remark:
        if remark.en not in self._said:
            self._said.add(remark.en)
            log.warning("%s %s", remark.zh, remark.en)
        return remark

    def _stumble(self, exc: Exception) -> None:
        if "stumbled" not in self._said:
            self._said.add("stumbled")
            log.error("looking at the configuration failed; it goes on", exc_info=exc)


def polling(seconds: float, reason: str) -> Remark:
    return Remark(
        f"收不到文件变化通知（{reason}），改为每 {seconds:g} 秒检查一次；"
        "想立即生效，可在宿主机上执行 sysctl fs.inotify.max_user_instances=1024。",
        f"No inotify ({reason}): the files are looked at every {seconds:g} s. If it is the limit, "
        "run sysctl fs.inotify.max_user_instances=1024 on the host.",
    )
