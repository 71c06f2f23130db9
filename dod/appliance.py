"""The composition root: builds everything, and the loop that keeps it running.

Thread: main, synchronous; it owns configuration, fleet and signals. The only module that knows
both the bridge and the edges.
"""

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from dod import authorities, heap, logs, process
from dod.bell import Bell
from dod.botthread import alive
from dod.bridge.bot import Bot
from dod.budget import Ledger
from dod.config.firststart import begin_folder, tell_of_owners
from dod.config.spec import BotSpec, Config
from dod.dify.app import DifyApp
from dod.dingtalk.channel import DingTalkChannel
from dod.editor import refresh_editor_files
from dod.fleet import Fleet
from dod.meter import Meter
from dod.notice import Notice
from dod.pulse import Pulse
from dod.quota import Shortage, shortages
from dod.reloader import Reloader
from dod.status import Status
from dod.store.disk import DiskStore
from dod.store.lock import DataLock
from dod.web.server import StatusServer

log = logging.getLogger(__name__)

TICK = 0.25  # seconds
# So many messages to the admins in so many seconds; then the newest one waits.
TELL_MOST, TELL_WITHIN = 6, 600.0


class Appliance:
    """Lifecycle: ``run`` once, in the main thread; returns the process's exit status."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._folder = Path(environ.get("DOD_CONFIG_DIR") or "config")
        self._bell = Bell()
        self._stopping = False
        self._hurry = False
        self._fleet = Fleet(self._build_bot)
        self._reloader = Reloader(self._folder, environ, self._fleet, self._bell.ring)
        self._env = self._reloader.environment
        self._lock = DataLock(self._env.data_dir)
        self._waited = False  # for a data folder that another dod held
        self._store: DiskStore | None = None
        self._ledger: Ledger | None = None
        self._started_at = time.time()
        self._status = Status(started_at=self._started_at)
        self._notice = Notice(self._folder)
        self._told_at: deque[float] = deque(maxlen=TELL_MOST)
        self._pulse = Pulse(environ)
        self._web = self._make_web()

    # -- life

    def run(self) -> int:
        """Serve until a signal, then drain. 0 after a clean stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        logs.set_up(self._env.log_level)
        process.set_limits()
        heap.settle()
        log.info("dod starts: config=%s data=%s", self._folder, self._env.data_dir)
        if self._web is not None:
            self._web.start()
        try:
            return self._main_loop()
        finally:
            self._end()

    def _main_loop(self) -> int:
        next_try = next_look = next_free = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= next_look:
                next_look = now + self._env.poll_seconds
                authorities.ours.look()
            if now >= next_free:
                next_free = now + heap.EVERY
                heap.look()
            if self._store is not None:
                self._reloader.look()
            elif now >= next_try:
                next_try = now + self._env.poll_seconds
                if self._open_store() and not self._begin():
                    self._report()
                    return os.EX_CONFIG  # 78: a supervisor need not try again
            self._fleet.check()
            self._report()
            self._bell.wait(self._pause())
        return 0

    def _pause(self) -> float:
        if self._store is None:
            return TICK
        return max(0.01, min(TICK, self._reloader.next_look - time.monotonic()))

    def _open_store(self) -> bool:
        """Hold the data folder and open the store. False while another dod holds it."""
        data = self._env.data_dir
        if not self._lock.hold():
            if not self._waited:
                log.warning(
                    "data folder %s is in use by another dod (%s): no bots run here until it "
                    "is free, looking every %g s",
                    data,
                    self._lock.holder,
                    self._env.poll_seconds,
                )
            self._waited = True
            return False
        if self._waited:
            log.warning("data folder %s is free now: taking over", data)
        tell_of_owners(self._folder, data)
        self._store = DiskStore.open(data / "store")
        self._ledger = Ledger(self._store)
        return True

    def _begin(self) -> bool:
        """False: the file is unusable and DOD_ON_BAD_CONFIG=exit."""
        refresh_editor_files(self._folder)
        begin_folder(self._folder)
        usable = self._reloader.begin()
        if not usable and self._env.on_bad_config == "exit":
            return False
        if self._reloader.config is None:
            log.warning(
                "no usable configuration in %s yet: waiting for it, looking every %g s",
                self._folder,
                self._env.poll_seconds,
            )
        return True

    def _end(self) -> None:
        """Everything stops by one absolute deadline (design §9)."""
        deadline = time.monotonic() + (0.0 if self._hurry else self._env.drain_seconds)
        log.info("dod stops within %.1f s", deadline - time.monotonic())
        self._reloader.close()
        self._fleet.drain(deadline)
        while self._fleet.join(TICK):
            self._report(stopping=True)
            if self._hurry:
                deadline, self._hurry = time.monotonic(), False
                self._fleet.drain(deadline)
            if time.monotonic() > deadline:
                late = self._fleet.join(1.0)
                log.warning("bots not ended in time: %s", ", ".join(late) or "-")
                break
        if self._store is not None:
            self._store.close(max(0.5, deadline - time.monotonic()))
        self._lock.release()
        if self._web is not None:
            self._web.close()
        log.info("dod has stopped")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloader.nudge()
        else:
            self._hurry = self._stopping  # a second signal: at once
            self._stopping = True
        self._bell.ring()

    # -- building

    def _config(self) -> Config:
        return self._reloader.config or Config()

    def _build_bot(self, spec: BotSpec, owner: str) -> Bot:
        """Thread: the bot's own, on its loop."""
        if self._store is None or self._ledger is None:
            raise RuntimeError("a bot is built before the store is open")
        meter = Meter(
            self._ledger,
            spec.dingtalk_app_client_id,
            lambda: self._config().dingtalk_monthly_calls,
            pushes=lambda: self._config().dingtalk_monthly_pushes,
        )

        def make_channel(spec: BotSpec) -> DingTalkChannel:
            return DingTalkChannel(
                name=spec.name,
                client_id=spec.dingtalk_app_client_id,
                client_secret=spec.dingtalk_app_client_secret,
                openapi=self._env.openapi_endpoint,
                oapi=self._env.oapi_endpoint,
                qps=lambda: self._config().dingtalk_qps,
                spend=meter.spend,
                push=meter.push,
                exhausted=meter.exhausted,
            )

        return Bot(
            spec,
            store=self._store,
            make_channel=make_channel,
            make_app=_make_app,
            meter=meter,
            config=self._config,
            owner=owner,
            alive=alive,
        )

    def _make_web(self) -> StatusServer | None:
        if self._env.web_listen is None:
            return None
        return StatusServer(
            self._env.web_listen,
            lambda: self._status,
            hosts=self._env.web_hosts,
            password=lambda: self._config().web.password,
        )

    # -- telling

    def _report(self, *, stopping: bool = False) -> None:
        self._status = Status(
            started_at=self._started_at,
            config=self._reloader.status,
            bots=self._fleet.snapshots(),
            alive=self._fleet.beats,
            stopping=stopping,
            trouble=self._trouble(),
            quota=self._quota(),
        )
        if not stopping:
            self._pulse.beat(alive=self._status.alive, ready=self._status.ready)
        if self._store is None or stopping:
            return
        self._notice.show(self._status, self._config().language)
        untold, admins = self._reloader.untold, self._config().admins
        if not untold or (
            len(self._told_at) == TELL_MOST and time.monotonic() - self._told_at[0] < TELL_WITHIN
        ):
            return
        if not admins or self._fleet.tell(admins, untold):
            self._reloader.untold = ""
            self._told_at.append(time.monotonic())

    def _quota(self) -> tuple[Shortage, ...]:
        if self._ledger is None:
            return ()
        config = self._config()
        return shortages(
            self._ledger, config.dingtalk_monthly_calls, config.dingtalk_monthly_pushes
        )

    def _trouble(self) -> str:
        if self._store is None:
            holder = self._lock.holder
            return f"the data folder is in use by {holder}; no bots run here" if holder else ""
        return self._store.trouble or ""


def _make_app(spec: BotSpec) -> DifyApp:
    return DifyApp(
        url=spec.dify_api_url,
        key=spec.dify_app_api_key,
        app_type=spec.dify_app_type,
        output=spec.dify_output,
        timeout=spec.dify_timeout_seconds,
    )


def run() -> int:
    """``dod run``."""
    status = Appliance(os.environ).run()
    if threading.active_count() > 1:
        # A look-up of a name that hangs: Python would wait for it, longer than Docker waits for us.
        logging.shutdown()
        os._exit(status)
    return status
