"""Status over HTTP, read-only, on a thread of its own: page, API, health, readiness, metrics.

Answers hold no secrets, no names of people and no message text (design §2.4).
"""

import asyncio
import base64
import hmac
import ipaddress
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from importlib import resources

from aiohttp import web

from dod.status import Status, stamp
from dod.web.guests import BACKLOG, Guests, ours

log = logging.getLogger(__name__)
_of_requests = log.getChild("requests")
_of_requests.addFilter(ours)

_LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'",
}
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def host_allowed(host: str, extra: tuple[str, ...]) -> bool:
    """Addresses and local names only, against DNS rebinding; ``extra`` from DOD_WEB_HOSTS."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower().rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return True
    return bool(name) and ("." not in name or name.endswith(_LOCAL_SUFFIXES) or name in extra)


class StatusServer:
    """Lifecycle: ``start`` → ``close``. ``status`` is called on the web thread: a snapshot only."""

    def __init__(
        self,
        listen: tuple[str, int],
        status: Callable[[], Status],
        *,
        hosts: tuple[str, ...] = (),
        password: Callable[[], str] = str,
    ) -> None:
        self._listen = listen
        self._status = status
        self._hosts = tuple(host.lower() for host in hosts)
        self._password = password
        # Read once: each reading by importlib adds a name to Python's table of interned names.
        self._html = resources.files("dod.web").joinpath("page.html").read_text("utf-8")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._ready = threading.Event()
        self._done: asyncio.Event | None = None

    def start(self) -> None:
        """Listen, or warn: a taken port never stops the bots."""
        self._thread.start()
        self._ready.wait(10)

    def close(self) -> None:
        if self._done is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(3)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._ready.set()
            self._loop.close()

    async def _run(self) -> None:
        self._done = asyncio.Event()
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get("/api/status", self._api)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, logger=_of_requests, shutdown_timeout=1.0)
        await runner.setup()
        listener: asyncio.Server | None = None
        try:
            listener = await self._open(runner)
            if listener is not None:
                self._ready.set()
                await self._done.wait()
        finally:
            if listener is not None:
                listener.close()
            await runner.cleanup()

    async def _open(self, runner: web.AppRunner) -> asyncio.Server | None:
        host, port = self._listen
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        try:
            listener = await self._loop.create_server(
                Guests(runner.server), host, port, backlog=BACKLOG
            )
        except OSError as error:
            log.warning("status page is off: cannot listen on %s:%d: %s", host, port, error)
            return None
        log.info("status page on http://%s:%d/", host, port)
        return listener

    @web.middleware
    async def _guard(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        if not host_allowed(request.headers.get("Host", ""), self._hosts):
            return web.Response(
                status=421,
                text="This host name is not served. Use the address, or add the name to "
                "DOD_WEB_HOSTS.\n不提供这个主机名；请用 IP 访问，或把它加入 DOD_WEB_HOSTS。\n",
                headers=_HEADERS,
            )
        if request.path not in {"/healthz", "/readyz"} and not self._authorised(request):
            return web.Response(
                status=401,
                text="Password required. 需要密码。\n",
                headers={**_HEADERS, "WWW-Authenticate": 'Basic realm="dod", charset="UTF-8"'},
            )
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            return web.Response(
                status=refusal.status, text=f"{refusal.status} {refusal.reason}\n", headers=_HEADERS
            )
        response.headers.update(_HEADERS)
        return response

    def _authorised(self, request: web.Request) -> bool:
        password = self._password()
        if not password:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            said = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(said.encode(), password.encode())

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=self._html, content_type="text/html")

    async def _api(self, _: web.Request) -> web.Response:
        # By dod's own clock, whatever stands between: a proxy writes its own Date.
        said = {"now": stamp(time.time()), **self._status().to_json()}
        text = json.dumps(said, ensure_ascii=False, indent=1)
        return web.Response(text=text + "\n", content_type="application/json")

    async def _healthz(self, _: web.Request) -> web.Response:
        alive = self._status().alive
        return web.Response(status=200 if alive else 503, text="ok\n" if alive else "stuck\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._status().ready
        return web.Response(status=200 if ready else 503, text="ready\n" if ready else "waiting\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=metrics(self._status()), content_type="text/plain")


def metrics(status: Status) -> str:
    """Prometheus text format."""
    lines = [
        "# TYPE dod_ready gauge",
        f"dod_ready {int(status.ready)}",
        "# TYPE dod_config_loads_total counter",
        f"dod_config_loads_total {status.config.loads}",
    ]
    series: tuple[tuple[str, str, Callable[[int], int]], ...] = (
        ("dod_bot_connected", "gauge", lambda n: int(status.bots[n].state == "connected")),
        ("dod_bot_turns_answered_total", "counter", lambda n: status.bots[n].turns.answered),
        ("dod_bot_turns_failed_total", "counter", lambda n: status.bots[n].turns.failed),
        ("dod_bot_turns_in_flight", "gauge", lambda n: status.bots[n].turns.in_flight),
        ("dod_bot_connections_total", "counter", lambda n: status.bots[n].connections),
        ("dod_bot_dingtalk_calls_month", "gauge", lambda n: status.bots[n].calls),
    )
    for name, kind, value in series:
        lines.append(f"# TYPE {name} {kind}")
        for number, bot in enumerate(status.bots):
            label = bot.name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            lines.append(f'{name}{{bot="{label}"}} {value(number)}')
    return "\n".join(lines) + "\n"
