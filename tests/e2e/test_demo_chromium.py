"""The chat page in a real Chromium, driven over its DevTools websocket.

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
import pytest

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

    async def open(self, address: str, width: int, height: int, language: str) -> None:
        await self.send("Page.enable")
        await self.send("Runtime.enable")
        await self.send("Log.enable")
        await self.resize(width, height)
        await self.send(
            "Network.setUserAgentOverride", userAgent="dod test", acceptLanguage=language
        )
        await self.send("Page.navigate", url=address)
        await self.until("document.readyState === 'complete' && !!byId('title').textContent")

    async def resize(self, width: int, height: int) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 700,
        )

    async def type(self, text: str) -> None:
        await self.value("byId('text').focus()")
        await self.send("Input.insertText", text=text)

    async def press_enter(self) -> None:
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    async def picture(self, name: str) -> None:
        if folder := os.environ.get("DOD_TEST_SCREENSHOTS"):
            answer = await self.send("Page.captureScreenshot", format="png")
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(answer["data"]))

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


def drive(tmp_path: Path, act: Callable[[Tab, str], Coroutine[Any, Any, None]]) -> None:
    """Let ``act`` use a demo through a Chromium; no complaint in the console is accepted."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        require("chromium", "not installed")
    listen = ("demo", "--listen", "127.0.0.1:0", "--dir", str(tmp_path / "demo"))
    browser = (chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "about:blank")

    async def run() -> None:
        async with (
            process(
                tmp_path / "demo.log",
                r"(http://127\.0\.0\.1:\d+/)\n",
                *(sys.executable, "-m", "dod", *listen),
            ) as address,
            process(
                tmp_path / "browser.log", r"DevTools listening on ws://[^:]+:(\d+)/", *browser
            ) as devtools,
            tab(devtools) as opened,
        ):
            await act(opened, address)
            assert opened.complaints == []

    asyncio.run(run())


CONNECTED = "!!world.status && world.status.ready && world.status.bots.length === 2"


async def ask(tab: Tab, question: str, cards: int) -> None:
    await tab.type(question)
    await tab.press_enter()
    done = "[data-state=finished][data-whole=true]"
    await tab.until(f"document.querySelectorAll('.row.card{done}').length === {cards}")


@pytest.mark.timeout(240)
def test_a_person_asks_and_reads_tables_and_code(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1280, 800, "zh-CN")
        await tab.until(CONNECTED)
        await tab.picture("desktop-empty")
        assert await tab.value("document.documentElement.lang") == "zh"
        await tab.type("年假怎么算？")
        await tab.press_enter()
        await tab.until("!!document.querySelector('.row.card[data-state=typing] h2')")
        await tab.picture("desktop-typing")
        await tab.until(
            "!!document.querySelector('.row.card[data-state=finished][data-whole=true]')"
        )
        assert await tab.value("document.querySelectorAll('.row.card table tbody tr').length") == 3
        assert await tab.value("document.querySelector('.row.card ol').children.length") == 3
        assert await tab.value("document.querySelector('.row.card .state').innerText") >= "已完成"
        link = "document.querySelector('.row.card blockquote a')"
        assert await tab.value(f"{link}.href") == "https://example.com/handbook"
        await ask(tab, "写一段代码", 2)
        code = "[...document.querySelectorAll('.row.card pre code')].pop()"
        assert "from pathlib import Path\n\nfor path" in await tab.value(f"{code}.textContent")
        await tab.picture("desktop-finished")

        await tab.value("[...document.querySelectorAll('#chats button')].pop().click()")
        await ask(tab, "@助手 怎么报销？", 1)
        await ask(tab, "@制度问答 Handbook 年假怎么算？", 2)
        await tab.picture("desktop-group")
        await tab.value("document.querySelectorAll('#people button')[2].click()")
        assert await tab.value("document.querySelectorAll('.row.mine').length") == 0
        assert await tab.value("document.querySelectorAll('.row.card').length") == 2
        await tab.value("byId('language').click()")
        assert await tab.value("document.documentElement.lang") == "en"
        await tab.picture("desktop-english")

    drive(tmp_path, act)


@pytest.mark.timeout(240)
def test_it_works_on_a_phone_and_spares_half_typed_chinese(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 390, 844, "en-GB")
        await tab.until(CONNECTED)
        await tab.picture("phone-chats")
        await tab.value("document.querySelector('#chats button').click()")
        await tab.value("byId('text').focus()")
        # The Enter that ends a composition chooses a word; it does not send.
        await tab.send("Input.imeSetComposition", text="ni", selectionStart=2, selectionEnd=2)
        await tab.send(
            "Input.dispatchKeyEvent",
            type="rawKeyDown",
            key="Process",
            code="Enter",
            windowsVirtualKeyCode=229,
        )
        await tab.value(
            "byId('text').dispatchEvent(new KeyboardEvent('keydown', "
            "{key: 'Enter', isComposing: true, bubbles: true, cancelable: true}))"
        )
        assert await tab.value("byId('text').value") == "ni"
        assert await tab.value("document.querySelectorAll('.row').length") == 0
        await tab.value("byId('text').value = ''")
        await ask(tab, "How much leave do I have?", 1)
        await tab.picture("phone-leave")
        await ask(tab, "Write some code", 2)
        await tab.picture("phone-code")
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert await tab.value(wide)
        await tab.value("byId('more').click()")
        await tab.until("byId('bots').innerText.includes('Answers 2')")
        await tab.picture("phone-info")
        await tab.value("byId('close').click()")
        await tab.value("byId('back').click()")
        await tab.picture("phone-chats-after")
        assert await tab.value(wide)

    drive(tmp_path, act)


@pytest.mark.timeout(240)
def test_the_panel_tells_what_became_of_a_save(tmp_path: Path) -> None:
    """Break ``bots.yaml`` and the panel shows where; mend it and the problem is gone."""

    async def act(tab: Tab, address: str) -> None:
        file = tmp_path / "demo" / "config" / "bots.yaml"
        fine = file.read_text("utf-8")
        await tab.open(address, 1280, 800, "en-GB")
        await tab.until(CONNECTED)
        for name in ("助手 Assistant", "制度问答 Handbook"):
            box = f"document.querySelector('.bot[data-bot=\"{name}\"]')"
            await tab.until(f"{box}?.dataset.generation === '1'")
            assert "connected" in await tab.value(f"{box}.innerText")
        file.write_text(fine.replace("workflow\n", "work flow\n"), "utf-8")
        await tab.until("byId('problems').innerText.includes('bots.yaml:25:20')")
        assert "Only a part" in await tab.value("byId('verdict').innerText")
        assert "workflow" in await tab.value("document.querySelector('.problem .fix').innerText")
        await tab.until("byId('bots').innerText.includes('runs with its old configuration')")
        await tab.picture("desktop-partly")
        file.write_text(fine.replace("name: 助手", "name：助手"), "utf-8")
        await tab.until("byId('problems').innerText.includes('bots.yaml:9:')")
        assert "Not applied" in await tab.value("byId('verdict').innerText")
        await tab.picture("desktop-rejected")
        await tab.resize(390, 844)
        await tab.value("document.querySelector('#chats button').click()")
        assert await tab.value("byId('more').className") == "bad"
        await tab.picture("phone-rejected")
        await tab.value("byId('more').click()")
        await tab.picture("phone-rejected-info")
        assert await tab.value("byId('info').scrollWidth <= byId('info').clientWidth")
        await tab.value("byId('close').click()")
        await tab.resize(1280, 800)
        new = "  - name: 新的 New\n    dingtalk_app_client_id: dingnew\n"
        file.write_text(fine + new, "utf-8")
        await tab.until("!!document.querySelector('.bot[data-bot=\"新的 New\"] .bad')")
        await tab.picture("desktop-not-started")
        file.write_text(
            fine.replace("handler: Dify", "max_workers: 3\n    handler: Dify", 1), "utf-8"
        )
        await tab.until("!document.querySelector('.problem')")
        assert "All of it is applied" in await tab.value("byId('verdict').innerText")
        await tab.until("!!document.querySelector('.bot[data-generation=\"2\"]')")
        assert await tab.value("document.querySelectorAll('.bot[data-generation]').length") == 2
        assert await tab.value("byId('more').className") == ""
        await tab.picture("desktop-mended")

    drive(tmp_path, act)


# Markdown → HTML of the nodes that the page's own renderer makes.
MARKDOWN = {
    "<img src=x onerror=alert(1)> & <b>": "<p>&lt;img src=x onerror=alert(1)&gt; "
    "&amp; &lt;b&gt;</p>",
    "[x](javascript:alert(1))": "<p><span>x</span></p>",
    "![x](https://e.com/p.png)": '<p><a href="https://e.com/p.png" target="_blank" '
    'rel="noopener noreferrer nofollow">x</a></p>',
    "see https://e.com/a_b_c.": '<p>see <a href="https://e.com/a_b_c" target="_blank" '
    'rel="noopener noreferrer nofollow">https://e.com/a_b_c</a>.</p>',
    "**a *b* c** and *d* and `*e*` ~~f~~": "<p><strong>a <em>b</em> c</strong> and <em>d</em> and "
    "<code>*e*</code> <del>f</del></p>",
    "2 * 3 * 4 and snake_case_name": "<p>2 * 3 * 4 and snake_case_name</p>",
    r"\*not\* bold": "<p>*not* bold</p>",
    "one\ntwo\n\nthree": "<p>one<br>two</p><p>three</p>",
    "# One\n###### Six ##": "<h1>One</h1><h6>Six</h6>",
    "- a\n  - b\n    1. c\n- d": "<ul><li><p>a</p><ul><li><p>b</p><ol><li><p>c</p></li></ol></li>"
    "</ul></li><li><p>d</p></li></ul>",
    "3. a\n\n4. b": '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>',
    "1. a\n   ```\n   x\n   ```": "<ol><li><p>a</p><pre><code>x</code></pre></li></ol>",
    "> a\n> - b": "<blockquote><p>a</p><ul><li><p>b</p></li></ul></blockquote>",
    "```js\n**x** <y>\n": '<pre><code data-language="js">**x** &lt;y&gt;\n</code></pre>',
    "| a | b |\n|:-:|--:|\n| `x|y` | **z** |\n| only |": '<div class="scroll"><table><thead><tr>'
    '<th class="centre">a</th><th class="right">b</th></tr></thead><tbody><tr>'
    '<td class="centre"><code>x|y</code></td><td class="right"><strong>z</strong></td></tr>'
    '<tr><td class="centre">only</td><td class="right"></td></tr></tbody></table></div>',
    "a\n\n---\nb": "<p>a</p><hr><p>b</p>",
    "**中文：**后面": "<p><strong>中文：</strong>后面</p>",
}


@pytest.mark.timeout(240)
def test_markdown_becomes_nodes_and_never_html(tmp_path: Path) -> None:
    async def act(tab: Tab, address: str) -> None:
        await tab.open(address, 1280, 800, "zh-CN")
        for source, html in MARKDOWN.items():
            made = await tab.value(
                "(() => { const box = document.createElement('div');"
                f"box.append(...markdown({json.dumps(source)})); return box.innerHTML; }})()"
            )
            assert made == html, source
        # What a half-written or hostile answer may hold takes no noticeable time.
        for text in ("**" * 4000, "[" * 4000, "`" * 4000, "> " * 2000, "- " * 2000, "_a" * 4000):
            took = await tab.value(
                f"(() => {{ const from = performance.now(); markdown({json.dumps(text)});"
                "return performance.now() - from; })()"
            )
            assert took < 3000, text[:4]

    drive(tmp_path, act)
