"""A real Chromium, driven over its DevTools websocket; and a demo for it to look at.

DOD_TEST_SCREENSHOTS names a folder in which to leave what the page looked like.
"""

import asyncio
import base64
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.require import require

Json = dict[str, Any]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)
START = 60.0  # seconds; Chromium takes long on a small machine
ANSWER = 40.0  # seconds
DEMO = "entries.size > 0"


class Tab:
    """One page: commands over the websocket, and what its console complained about."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.complaints: list[str] = []
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for frame in self.ws:
            answer = json.loads(frame.data)
            waiting = self._waiting.pop(answer.get("id", 0), None)
            if waiting is not None:
                waiting.set_result(answer)
            elif answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(answer["params"]["exceptionDetails"]))
            elif answer.get("method") == "Log.entryAdded":
                entry = answer["params"]["entry"]
                if entry["level"] == "error":
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    async def send(self, method: str, **params: Any) -> Json:
        self._number += 1
        future = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        await self.ws.send_str(json.dumps({"id": self._number, "method": method, "params": params}))
        answer = await asyncio.wait_for(future, START)
        assert "error" not in answer, answer
        result: Json = answer["result"]
        return result

    async def value(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = ANSWER) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := await self.value(expression)):
            if time.monotonic() > deadline:
                shown = await self.value("document.body.innerText")
                raise AssertionError(f"never: {expression}\n{shown}\n{self.complaints}")
            await asyncio.sleep(0.05)
        return value

    async def open(
        self, address: str, width: int, height: int, language: str, *, ready: str = DEMO
    ) -> None:
        """``ready``: what is true once the page shows what it has to show."""
        await self.send("Page.enable")
        await self.send("Runtime.enable")
        await self.send("Log.enable")
        await self.resize(width, height)
        await self.send(
            "Network.setUserAgentOverride", userAgent="dod test", acceptLanguage=language
        )
        await self.send("Page.navigate", url=address)
        await self.until(f"document.readyState === 'complete' && {ready}")

    async def resize(self, width: int, height: int, scale: float = 1) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 700,
        )

    async def type(self, text: str, window: int = 0) -> None:
        await self.value(f"windows[{window}].box.focus()")
        await self.send("Input.insertText", text=text)

    async def press_enter(self) -> None:
        await self.press("Enter", 13, text="\r")

    async def press(self, code: str, number: int, *, alt: bool = False, text: str = "") -> None:
        """A key by its ``code`` (``Digit2``) and Windows' number for it."""
        key = {"key": code.removeprefix("Digit"), "code": code, "windowsVirtualKeyCode": number}
        more = {"text": text} if text else {}
        modifiers = 1 if alt else 0
        await self.send(
            "Input.dispatchKeyEvent", type="keyDown", modifiers=modifiers, **key, **more
        )
        await self.send("Input.dispatchKeyEvent", type="keyUp", modifiers=modifiers, **key)

    async def click(self, selector: str) -> None:
        """Click where a person would, and only if nothing lies above it."""
        found = f"document.querySelector({json.dumps(selector)})"
        await self.until(f"!!{found}")
        await self.value(f"{found}.scrollIntoView({{block: 'nearest'}})")
        x, y = await self.value(
            f"(() => {{ const at = {found}.getBoundingClientRect();"
            "return [at.x + at.width / 2, at.y + at.height / 2]; })()"
        )
        hit = f"{found}.contains(document.elementFromPoint({x}, {y}))"
        assert await self.value(hit), f"{selector} is covered"
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        await self.send("Input.dispatchMouseEvent", type="mousePressed", **at)
        await self.send("Input.dispatchMouseEvent", type="mouseReleased", **at)

    async def picture(self, name: str) -> None:
        if folder := os.environ.get("DOD_TEST_SCREENSHOTS"):
            (Path(folder) / f"{name}.png").write_bytes(await self.shot())

    async def shot(self, **how: Any) -> bytes:
        """What the page looks like now; ``how``: format and quality, else PNG."""
        answer = await self.send("Page.captureScreenshot", **how)
        return base64.b64decode(answer["data"])

    async def close(self) -> None:
        await self.ws.close()
        await self._reading


@asynccontextmanager
async def process(log: Path, pattern: str, *command: str) -> AsyncIterator[str]:
    """Run ``command`` beside the body, which gets what ``pattern`` found in its output."""

    def written() -> str:
        return log.read_text("utf-8", "replace")

    with log.open("wb") as file:
        running = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        async with asyncio.timeout(START):
            while not (found := re.search(pattern, written())):
                assert running.returncode is None, written()
                await asyncio.sleep(0.05)
        yield found.group(1)
    finally:
        with suppress(ProcessLookupError):
            running.terminate()
        try:
            await asyncio.wait_for(running.wait(), 20)
        except TimeoutError:
            running.kill()
            await running.wait()


@asynccontextmanager
async def tab(devtools: str) -> AsyncIterator[Tab]:
    """The browser's first page."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{devtools}/json/list") as answer:
            pages = [one for one in await answer.json() if one["type"] == "page"]
        opened = Tab(await session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0))
        try:
            yield opened
        finally:
            await opened.close()


@asynccontextmanager
async def browser(tmp_path: Path) -> AsyncIterator[Tab]:
    """The first page of a Chromium of its own, with a fresh profile."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        require("chromium", "not installed")
    command = (chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "about:blank")
    listening = r"DevTools listening on ws://[^:]+:(\d+)/"
    async with (
        process(tmp_path / "browser.log", listening, *command) as devtools,
        tab(devtools) as opened,
    ):
        yield opened


def drive(
    tmp_path: Path,
    act: Callable[[Tab, str], Coroutine[Any, Any, None]],
    *,
    folder: Path | None = None,
    complaints: tuple[str, ...] = (),
) -> None:
    """Let ``act`` use a demo through a Chromium.

    No complaint in the console is accepted but those that contain one of ``complaints``.
    """
    listen = ("demo", "--listen", "127.0.0.1:0", "--dir", str(folder or tmp_path / "demo"))

    async def run() -> None:
        async with (
            process(
                tmp_path / "demo.log",
                r"(http://127\.0\.0\.1:\d+/)\n",
                *(sys.executable, "-m", "dod", *listen),
            ) as address,
            browser(tmp_path) as opened,
        ):
            await act(opened, address)
            left = [it for it in opened.complaints if not any(one in it for one in complaints)]
            assert left == []

    asyncio.run(run())
