"""The demo's buttons for trouble, over the HTTP of its page: each does what its words promise."""

import asyncio
import json
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from dod.sim.background import Background
from dod.sim.demo.chats import DemoChats
from dod.sim.demo.page import DemoPage
from dod.sim.demo.trouble import MISHAPS, Trouble
from dod.sim.dify.simulator import SimDify, echo
from dod.sim.dingtalk.simulator import SimDingTalk
from tests.e2e.test_demo import Demo, running

Json = dict[str, Any]
PNG = b"\x89PNG\r\n\x1a\n and so on"


class Lab:
    """A demo, its one chat, and what was counted since the last press."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.chat = demo.chat("助手", "tom")
        self._begun: Json = {}

    def ask(self, question: str = "你好") -> int:
        """Ask; returns the number of the card that answers, from 0."""
        known = len(self.cards())
        self.demo.say(self.chat, "tom", question)
        return known

    def press(self, name: str) -> None:
        self._begun = self.demo.world()["counts"]
        assert self.demo.call("POST", "/api/trouble", {"name": name})[0] == 200

    def cards(self) -> list[Json]:
        return self.demo.items(self.chat, "card")

    def until_typing(self, number: int) -> None:
        self.demo.wait(
            lambda: self.cards()[number:] and len(self.cards()[number]["text"]) > 10, "text"
        )

    def ended(self, number: int) -> Json:
        def card() -> Json | None:
            found = self.cards()[number:]
            return found[0] if found and found[0]["state"] in {"finished", "failed"} else None

        done: Json = self.demo.wait(card, f"end of card {number}", 60)
        return done

    def counted(self) -> Json:
        counts = self.demo.world()["counts"]
        return {name: counts[name] - self._begun[name] for name in counts}

    def on(self) -> bool:
        return bool(self.demo.world()["trouble"]["until"])


@pytest.mark.timeout(180)
def test_whatever_the_buttons_do_nobody_is_left_without_an_end(tmp_path: Path) -> None:
    with running(tmp_path / "demo") as demo:
        lab = Lab(demo)
        lab.press("fails")
        card = lab.ended(lab.ask("写一段代码"))
        assert card["state"] == "failed"
        assert "\n\n## 统计行数" in card["text"]
        assert "回答没有写完" in card["text"]
        assert not lab.on()

        lab.press("down")
        # It is asked again for 45 s, and the card says so; the mishap is over after 20.
        number = lab.ask()
        demo.wait(lambda: "Dify" in "".join(it["text"] for it in lab.cards()[number:]), "a notice")
        lab.press("")
        assert lab.ended(number)["state"] == "finished"

        lab.press("twice")
        number = lab.ask()
        demo.wait(lambda: lab.counted()["again"] == 2, "redeliveries")
        assert lab.ended(number)["state"] == "finished"
        assert lab.counted()["asked"] == 1
        assert len(lab.cards()) == number + 1

        lab.press("throttle")
        card = lab.ended(lab.ask("写一段代码"))
        assert card["state"] == "finished"
        assert "pathlib.html)。" in card["text"]
        assert lab.counted()["refused"] > 0
        assert lab.on()

        number = lab.ask("写一段代码")
        lab.until_typing(number)
        lab.press("cut")
        assert not lab.on(), "the mishap before is over"
        assert lab.ended(number)["state"] == "finished"
        demo.wait(lambda: lab.counted()["reconnects"] == 2, "both bots again")

        number = lab.ask("写一段代码")
        lab.until_typing(number)
        lab.press("offline")
        # No more of them: each makes the next try wait twice as long, and this test with it.
        demo.wait(lambda: lab.counted()["refused"] > 1, "refusals")
        lab.press("")
        assert "pathlib.html)。" in lab.ended(number)["text"]
        demo.wait(demo.ready, "both bots again")

        number = lab.ask("写一段代码")
        lab.until_typing(number)
        lab.press("kill")
        card = lab.ended(number)
        assert card["state"] == "failed"
        assert "服务在回答途中重启了" in card["text"]
        demo.wait(demo.ready, "both bots again")
        assert lab.ended(lab.ask())["state"] == "finished"
        assert len(demo.items(lab.chat, "said")) == len(lab.cards())


def test_a_real_dify_is_left_alone(tmp_path: Path) -> None:
    with Background() as background:
        dify = background.start(SimDify())
        dify.add_app("app-real", "chat", script=echo())
        url = ("--dify-url", dify.url)
        with running(tmp_path / "demo", *url, ready=False, DIFY_API_KEY="app-real") as demo:
            offered = {one["name"]: one["side"] for one in demo.world()["trouble"]["offered"]}
            assert set(offered.values()) == {"dingtalk", "dod"}
            assert demo.world()["counts"]["asked"] is None
            bodies: list[Any] = [{"name": "fails"}, {"name": "nonsense"}, {"name": [1]}, {}, []]
            for wrong in bodies:
                assert demo.call("POST", "/api/trouble", wrong)[0] == 400
            cross = {"Sec-Fetch-Site": "cross-site"}
            assert demo.call("POST", "/api/trouble", {"name": "kill"}, cross)[0] == 403


def test_every_mishap_has_its_words_in_both_languages() -> None:
    words = resources.files("dod.sim.demo.client").joinpath("words.js").read_text("utf-8")
    table = words[words.index("const MISHAPS") : words.index("const SIDES")]
    for mishap in MISHAPS:
        assert f"\n  {mishap.name}: [[" in table


def test_uploaded_pictures_are_shown_and_nothing_else() -> None:
    async def run() -> None:
        sim = await SimDingTalk().start()
        chats = DemoChats(sim)
        trouble = Trouble(sim, None, show=chats.feed.put, crash=lambda: None)
        page = DemoPage(chats, trouble)
        try:
            port = await page.start("127.0.0.1", 0)
            app = sim.add_app("ding1", "secret")
            picture = sim._files.upload("image", "a.png", PNG)["media_id"]
            param = json.dumps({"photoURL": picture})
            body = {"robotCode": "ding1", "msgKey": "sampleImageMsg", "msgParam": param}
            sim._robot.send_single(app, {**body, "userIds": ["tom"]})
            (item,) = chats.feed.since(0)["items"]
            assert (item["text"], item["markdown"]) == (f"![]({picture})", True)
            sim.media["@lAzPage"] = b"<script>alert(1)</script>"
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                async with session.get(f"/media/{quote(picture)}") as answer:
                    assert answer.status == 200
                    assert answer.content_type == "image/png"
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert await answer.read() == PNG
                for name in ("%40lAzPage", "%40nothing", "..%2f..%2fetc%2fpasswd"):
                    async with session.get(f"/media/{name}") as answer:
                        assert answer.status == 404
        finally:
            await page.close()
            trouble.close()
            await sim.close()

    asyncio.run(run())
