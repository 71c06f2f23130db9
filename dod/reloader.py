"""The file and the fleet: looks, loads, applies, tells (design §6).

Thread: main. Nothing about a configuration ends the process; a file that cannot be used changes
nothing but what is told.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from dod import logs
from dod.alerts import Alerts
from dod.config.implicit import load_all
from dod.config.lastgood import LastGood
from dod.config.load import Loaded
from dod.config.spec import BotSpec, Config
from dod.fleet import Change, Fleet
from dod.status import ConfigStatus
from dod.watch import Watch

log = logging.getLogger(__name__)


class Reloader:
    """Lifecycle: made (reads once, for the environment) → ``begin`` → ``look*`` → ``close``.

    ``wake`` is called from another thread when the folder may have changed.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], fleet: Fleet, wake: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._fleet = fleet
        self.loaded = load_all(folder, environ)
        self.environment = self.loaded.environment  # of the start: it belongs to the process
        self.config: Config | None = None
        self.untold = ""  # what the admins have still to be told
        self._loaded_at = time.time()
        self._loads = 1
        self._watch = Watch(folder, poll=self.environment.poll_seconds, wake=wake)
        self._last_good = LastGood(self.environment.data_dir / "last-good")
        self._alerts = Alerts()

    def begin(self) -> bool:
        """Take the file as it is: at the start one good read is enough.

        Bots that it cannot give are run as they last were. False if nothing of it can be used.
        """
        self._watch.start()
        self.loaded = loaded = load_all(self._folder, self._environ)
        self._take(loaded, first=True)
        return loaded.config is not None

    def look(self) -> None:
        """Look at the files if it is time, and act on what they say."""
        sight = self._watch.look()
        if sight == "changed":
            loaded = load_all(self._folder, self._environ)
            if self._watch.settled(loaded):
                self._take(loaded, first=False)
        elif sight == "confirmed":
            self._apply(self.loaded, remove=True)

    def nudge(self) -> None:
        """Look at the next call of ``look``. Safe in a signal handler."""
        self._watch.nudge()

    @property
    def next_look(self) -> float:
        """Monotonic seconds."""
        return self._watch.next_look

    def close(self) -> None:
        self._watch.close()

    @property
    def status(self) -> ConfigStatus:
        loaded = self.loaded
        return ConfigStatus(
            file=loaded.file,
            loads=self._loads,
            verdict=loaded.verdict,
            loaded_at=self._loaded_at,
            problems=loaded.problems,
            applied=self.config is not None,
        )

    # -- one load

    def _take(self, loaded: Loaded, *, first: bool) -> None:
        before, self.loaded = self.loaded, loaded
        self._loaded_at = time.time()
        self._loads += not first
        self._watch.seen(loaded)
        logs.set_up(loaded.environment.log_level)
        if first or loaded.problems != before.problems:
            _log_problems(loaded)
        if loaded.config is not None:
            self._apply(loaded, first=first, remove=first)
        else:
            self._keep(first=first)
        alert = self._alerts.after(loaded, first=first)
        if alert:
            self.untold = alert

    def _apply(self, loaded: Loaded, *, first: bool = False, remove: bool) -> None:
        """Make the accepted bots what runs; a removal waits for its confirmation."""
        if loaded.config is None:
            return
        config = replace(loaded.config, language=loaded.language)
        specs = list(config.bots)
        if first and loaded.rejected:
            specs += self._revived(loaded, {spec.dingtalk_app_client_id for spec in specs})
        if self.config is not None and "web" not in loaded.top and _top_is_wrong(loaded):
            config = replace(config, web=self.config.web)  # a mistake must not open the page
        self.config = self._with_kept(config, specs)
        changes = self._fleet.apply(specs, loaded.rejected, remove=remove)
        self.config = self._with_kept(config, specs)  # now without those that have left
        if "held" in changes.values() and not remove:
            self._watch.await_confirmation()
        else:
            self._last_good.keep(loaded)
        _log_changes(loaded, changes)

    def _with_kept(self, config: Config, specs: list[BotSpec]) -> Config:
        """Also with the bots that the file gives no valid entry for, and that run all the same.

        What a crash left at their apps is theirs: it is nobody else's (``bridge.orphans``).
        """
        names = {spec.name for spec in specs}
        kept = [spec for spec in self._fleet.specs if spec.name not in names]
        return replace(config, bots=(*specs, *kept))

    def _revived(self, loaded: Loaded, taken: set[str]) -> list[BotSpec]:
        """The last good versions of the bots that the file gives no valid entry for."""
        names = self._last_good.meant(loaded)
        kept = self._last_good.revive(names, self._folder, self._environ).config
        specs = kept.bots if kept else ()
        return [spec for spec in specs if spec.dingtalk_app_client_id not in taken]

    def _keep(self, *, first: bool) -> None:
        """Nothing of the file can be used: what runs goes on, or starts as it last was.

        Nothing starts if the process is to end because of it.
        """
        if first and self.environment.on_bad_config != "exit":
            revived = self._last_good.revive(None, self._folder, self._environ)
            if revived.config is not None and revived.config.bots:
                self.config = replace(revived.config, language=revived.language)
                names = [spec.name for spec in revived.config.bots]
                _log_changes(self.loaded, self._fleet.apply(revived.config.bots, names))
                return
        _log_changes(self.loaded, {})


def _top_is_wrong(loaded: Loaded) -> bool:
    return any(problem.severity == "error" and not problem.bot for problem in loaded.problems)


def _log_problems(loaded: Loaded) -> None:
    for problem in loaded.problems:
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        place = f"{problem.file}:{problem.line}:{problem.column}"
        log.log(level, "%s %s %s", place, problem.zh, problem.en)


def _log_changes(loaded: Loaded, changes: Mapping[str, Change]) -> None:
    """The canonical line of a reload: each bot and what happened to it."""
    told = " ".join(f"{name}={change}" for name, change in changes.items()) or "bots=-"
    log.info("reload config=%s file=%s %s", loaded.verdict, loaded.file or "-", told)
