"""Files, quotes and buttons over the HTTP of the demo's page: what it takes, and how it gives."""

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from dod.messages import CardStyle
from dod.sim.demo.chats import DemoChats
from dod.sim.demo.folder import DemoBot
from dod.sim.demo.items import Said
from dod.sim.demo.page import DemoPage
from dod.sim.demo.trouble import Trouble
from dod.sim.dify.samples import chart
from dod.sim.dingtalk.simulator import SimDingTalk

Json = dict[str, Any]
PAGE = b"<script>alert(1)</script>"


def file(name: str, content: bytes) -> Json:
    return {"name": name, "data": base64.b64encode(content).decode()}


class Browser:
    def __init__(self, session: aiohttp.ClientSession, chats: DemoChats) -> None:
        self._session = session
        self.chats = chats
        listed = chats.feed.since(0)["chats"]
        self.single = next(it["id"] for it in listed if it["people"] == ["tom"])
        self.group = next(it["id"] for it in listed if it["kind"] == "group")

    async def say(self, chat: str, text: str = "", **more: Any) -> tuple[int, str]:
        body = {"chat": chat, "person": "tom", "text": text, **more}
        data = io.BytesIO(json.dumps(body).encode())
        headers = {"Content-Type": "application/json"}
        async with self._session.post("/api/say", data=data, headers=headers) as answer:
            return answer.status, await answer.text()

    async def press(self, **body: Any) -> int:
        async with self._session.post("/api/button", json=body) as answer:
            return answer.status

    async def get(self, path: str) -> tuple[int, Any, bytes]:
        async with self._session.get(path) as answer:
            return answer.status, answer.headers, await answer.read()


def run(scenario: Callable[[Browser], Awaitable[None]]) -> None:
    async def main() -> None:
        sim = await SimDingTalk().start()
        chats = DemoChats(sim)
        style = CardStyle("t.schema", "content")
        chats.apply([DemoBot("Bot", "ding1", "s", "chatbot", "k", style)])
        trouble = Trouble(sim, None, show=chats.feed.put, crash=lambda: None)
        page = DemoPage(chats, trouble)
        try:
            port = await page.start("127.0.0.1", 0)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                await scenario(Browser(session, chats))
        finally:
            await page.close()
            trouble.close()
            await sim.close()

    asyncio.run(main())


def test_a_file_is_given_back_as_what_it_is_and_never_as_a_page() -> None:
    async def scenario(browser: Browser) -> None:
        for name, content in (("a.png", chart()), ("x.html", PAGE), ("n.md", PAGE)):
            assert (await browser.say(browser.single, file=file(name, content)))[0] == 200
        items = browser.chats.feed.since(0)["items"]
        assert [it["file"]["picture"] for it in items] == [True, False, False]
        status, headers, body = await browser.get("/file/1")
        assert (status, headers["Content-Type"], body) == (200, "image/png", chart())
        status, headers, body = await browser.get("/file/2")
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment")
        status, headers, body = await browser.get("/file/3")
        assert (headers["Content-Type"], body) == ("text/plain; charset=utf-8", PAGE)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
        for path in ("/file/0", "/file/4", "/file/x", "/file/999999999"):
            assert (await browser.get(path))[0] == 404

    run(scenario)


def test_what_cannot_be_sent_is_refused_with_a_sentence() -> None:
    async def scenario(browser: Browser) -> None:
        single, group = browser.single, browser.group
        status, why = await browser.say(single, file=file("big.png", bytes(5 << 20) + b"x"))
        assert (status, "5 MB" in why) == (413, True)
        status, why = await browser.say(single, file=file("huge.png", bytes(7 << 20)))
        assert (status, "5 MB" in why) == (413, True)
        status, why = await browser.say(group, "@Bot", file=file("x.pdf", b"%PDF-1.7"))
        assert (status, "In a group" in why) == (400, True)
        assert (await browser.say(group, "@Bot hello", voice=True))[0] == 400
        for wrong in (
            {"file": {"name": "a.png", "data": "no base64!"}},
            {"file": {"name": 1, "data": ""}},
            {"file": file("empty.png", b"")},
            {"file": ["a.png"]},
            {"voice": True},
            {"quote": "first"},
        ):
            assert (await browser.say(single, **wrong))[0] == 400
        assert (await browser.say(single, "why?", quote=7))[0] == 404
        assert browser.chats.feed.since(0)["items"] == []
        assert (await browser.say(group, "@Bot hello"))[0] == 200
        assert (await browser.say(single, "why?", quote=1))[0] == 404, "it is in another chat"
        for button in ({}, {"item": 1, "person": "tom", "action": "like"}, {"item": "x"}):
            assert await browser.press(**button) == 400

    run(scenario)


def test_msgtypes_of_dingtalk() -> None:
    async def scenario(browser: Browser) -> None:
        picture = file("a.png", chart())
        await browser.say(browser.single, file=picture)
        await browser.say(browser.single, "what?", file=picture, quote=1)
        await browser.say(browser.single, "spoken", voice=True)
        await browser.say(browser.group, "@Bot look", file=picture)
        said = [it.subject for it in browser.chats.feed.items if isinstance(it.subject, Said)]
        kinds = [it.messages[0].kind for it in said]
        assert kinds == ["picture", "richText", "audio", "richText"]
        second = said[1].messages[0].body["content"]
        assert second["repliedMsg"]["msgType"] == "picture"
        assert said[2].messages[0].body["content"]["recognition"] == "spoken"

    run(scenario)
