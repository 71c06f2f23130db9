"""The composition root: builds everything, reads the configuration, keeps the bots running.

Thread: main, synchronous; it owns configuration, fleet and signals. The only module that knows
both the bridge and the edges.
"""

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType

from dod import logs
from dod.bridge.bot import Bot
from dod.budget import Ledger
from dod.config.load import load
from dod.config.spec import BotSpec, Config
from dod.dify.app import DifyApp
from dod.dingtalk.channel import DingTalkChannel
from dod.fleet import Fleet
from dod.status import ConfigStatus, Status
from dod.store.disk import DiskStore
from dod.store.lock import DataLock
from dod.web.server import StatusServer

log = logging.getLogger(__name__)

TICK = 0.25  # seconds


class Appliance:
    """Lifecycle: ``run`` once, in the main thread; returns the process's exit status."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._folder = Path(environ.get("DOD_CONFIG_DIR") or "config")
        self._loaded = load(self._folder, environ)
        self._loaded_at = self._started_at = time.time()
        self._loads = 1
        self._env = self._loaded.environment  # of the start; only the log level is live
        self._stop = threading.Event()
        self._hurry = False
        self._config: Config | None = None
        self._said: tuple[object, ...] | None = None  # the problems told last
        self._lock = DataLock(self._env.data_dir)
        self._store: DiskStore | None = None
        self._ledger: Ledger | None = None
        self._fleet = Fleet(self._build_bot)
        self._status = Status(started_at=self._started_at)
        self._web = self._make_web()

    # -- life

    def run(self) -> int:
        """Serve until a signal, then drain. 0 after a clean stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        logs.set_up(self._env.log_level)
        _set_limits()
        log.info("dod starts: config=%s data=%s", self._folder, self._env.data_dir)
        if self._web is not None:
            self._web.start()
        try:
            code = self._main_loop()
        finally:
            self._end()
        return code

    def _main_loop(self) -> int:
        next_look = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= next_look:
                next_look = now + self._env.poll_seconds
                if not self._look():
                    return 1
            self._fleet.check()
            self._report()
            self._stop.wait(TICK)
        return 0

    def _look(self) -> bool:
        """Wait for the data folder and for a first good file. False: DOD_ON_BAD_CONFIG=exit."""
        if self._config is not None or not self._open_store():
            return True
        loaded = load(self._folder, self._environ)
        if loaded != self._loaded:
            self._loaded, self._loaded_at = loaded, time.time()
            self._loads += 1
        self._tell()
        if loaded.config is None:
            return self._env.on_bad_config != "exit"
        self._config = replace(loaded.config, language=loaded.language)
        self._fleet.apply(loaded.config)
        names = ", ".join(loaded.accepted) or "-"
        log.info("config=%s file=%s bots=%s", loaded.verdict, loaded.file, names)
        return True

    def _tell(self) -> None:
        """Log the problems of a load, once until they change."""
        if self._loaded.problems == self._said:
            return
        self._said = self._loaded.problems
        for problem in self._loaded.problems:
            level = logging.ERROR if problem.severity == "error" else logging.WARNING
            place = f"{problem.file}:{problem.line}:{problem.column}"
            log.log(level, "%s %s %s", place, problem.zh, problem.en)

    def _open_store(self) -> bool:
        """Hold the data folder and open the store. False while another dod holds it."""
        if self._store is not None:
            return True
        if not self._lock.hold():
            return False
        self._store = DiskStore.open(self._env.data_dir / "store")
        self._ledger = Ledger(self._store)
        return True

    def _end(self) -> None:
        """Everything stops by one absolute deadline (design §9)."""
        deadline = time.monotonic() + (0.0 if self._hurry else self._env.drain_seconds)
        log.info("dod stops within %.1f s", deadline - time.monotonic())
        self._report(stopping=True)
        self._fleet.hurry(deadline)
        while not self._fleet.drain(min(deadline, time.monotonic() + TICK)):
            self._report(stopping=True)
            if self._hurry or time.monotonic() > deadline:
                self._fleet.drain(time.monotonic() + 1.0)
                break
        if self._store is not None:
            self._store.close()
        self._lock.release()
        if self._web is not None:
            self._web.close()
        log.info("dod has stopped")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._hurry = self._stop.is_set()  # a second signal: at once
        self._stop.set()

    # -- building

    def _build_bot(self, spec: BotSpec) -> Bot:
        """Thread: the bot's own, on its loop."""
        if self._store is None or self._ledger is None:
            raise RuntimeError("a bot is built before the store is open")

        def config() -> Config:
            return self._config or Config()

        meter = self._ledger.meter(
            spec.dingtalk_app_client_id, lambda: config().dingtalk_monthly_calls
        )
        channel = DingTalkChannel(
            name=spec.name,
            client_id=spec.dingtalk_app_client_id,
            client_secret=spec.dingtalk_app_client_secret,
            openapi=self._env.openapi_endpoint,
            qps=lambda: config().dingtalk_qps,
            spend=meter.spend,
            push=meter.push,
            exhausted=meter.exhausted,
        )
        app = DifyApp(
            url=spec.dify_api_url,
            key=spec.dify_app_api_key,
            app_type=spec.dify_app_type,
            output=spec.dify_output,
            timeout=spec.dify_timeout_seconds,
        )
        return Bot(
            spec,
            store=self._store,
            channel=channel,
            app=app,
            meter=meter,
            config=config,
        )

    def _make_web(self) -> StatusServer | None:
        if self._env.web_listen is None:
            return None
        return StatusServer(
            self._env.web_listen,
            lambda: self._status,
            hosts=self._env.web_hosts,
            password=lambda: self._config.web.password if self._config else "",
        )

    # -- telling

    def _report(self, *, stopping: bool = False) -> None:
        loaded = self._loaded
        self._status = Status(
            started_at=self._started_at,
            config=ConfigStatus(
                file=loaded.file,
                loads=self._loads,
                verdict=loaded.verdict,
                loaded_at=self._loaded_at,
                problems=tuple(problem.to_json() for problem in loaded.problems),
                applied=self._config is not None,
            ),
            bots=self._fleet.snapshots(),
            alive=self._fleet.beats,
            stopping=stopping,
            trouble=self._trouble(),
        )

    def _trouble(self) -> str:
        if self._store is None:
            holder = self._lock.holder
            return f"the data folder is in use by {holder}; no bots run here" if holder else ""
        return self._store.trouble or ""


def _set_limits() -> None:
    """As many sockets as the host allows; no core dumps, which would hold secrets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run() -> int:
    """``dod run``."""
    return Appliance(os.environ).run()
