"""The status page in a real Chromium: bots, file and quota, as an admin sees them on a phone."""

import asyncio
import time
from pathlib import Path

import pytest

from dod.config.problems import Problem
from dod.ports import Connection
from dod.quota import Shortage
from dod.status import BotSnapshot, ConfigStatus, Status, Turns
from dod.web.server import StatusServer
from tests.e2e.chromium import browser
from tests.ports import free_port

FORGED = "<img src=x onerror='window.forged = true'>"
PROBLEM = Problem("error", "bots.yaml", 7, 5, "it", f"第 7 行 {FORGED}", "line 7", fix="name: it")


def _status() -> Status:
    now, monotonic = time.time(), time.monotonic()
    heard = Connection(monotonic - 7000, monotonic - 12, monotonic - 300)
    return Status(
        started_at=now,
        config=ConfigStatus("bots.yaml", 4, "partly", now, (PROBLEM,), applied=True),
        bots=(
            BotSnapshot(
                name="人事助手",
                state="connected",
                since=now - 90000,
                turns=Turns(answered=345, failed=2, in_flight=1),
                calls=2912,
                connection=heard,
            ),
            BotSnapshot(name=FORGED, state="retrying", since=now - 120, last_error=FORGED),
        ),
        trouble="磁盘写不进去",
        quota=(Shortage("calls", "nearly", 5000), Shortage("pushes", "used_up", 10000)),
    )


@pytest.mark.timeout(240)
def test_an_admin_sees_bots_quota_and_trouble(tmp_path: Path) -> None:
    port, told = free_port(), _status()
    server = StatusServer(("127.0.0.1", port), lambda: told, hosts=(), password=lambda: "")
    server.start()

    async def look() -> None:
        async with browser(tmp_path) as tab:
            bots = "document.querySelectorAll('#bots tr')"
            # A phone whose clock is wrong: what is told of ages is dod's own.
            await tab.send("Page.enable")
            wrong = "Date.now = () => 0"
            await tab.send("Page.addScriptToEvaluateOnNewDocument", source=wrong)
            await tab.open(
                f"http://127.0.0.1:{port}/", 390, 760, "zh-CN", ready=f"{bots}.length === 2"
            )
            await tab.picture("status-phone")
            assert await tab.value("document.documentElement.scrollWidth <= innerWidth")
            first = await tab.value(f"{bots}[0].innerText")
            assert "已连接 connected\n25 h · 💬 5 min" in first
            verdict = await tab.value("byId('verdict').innerText")
            for sentence in ("部分采用", "磁盘写不进去", "已用掉八成以上", "are used up"):
                assert sentence in verdict
            problem = await tab.value("document.querySelector('#problems .problem').innerText")
            assert problem == f"bots.yaml:7:5\n第 7 行 {FORGED}\nline 7\nname: it"
            kinds = "[...document.querySelectorAll('#verdict .problem')].map((it) => it.className)"
            assert await tab.value(kinds) == ["problem warning", "problem"]
            assert FORGED in await tab.value(f"{bots}[1].innerText")
            assert await tab.value("window.forged") is None
            await tab.resize(1100, 760)
            await tab.picture("status-desktop")
            server.close()
            await tab.until("byId('verdict').innerText.includes('dod does not answer')")

    try:
        asyncio.run(look())
    finally:
        server.close()
