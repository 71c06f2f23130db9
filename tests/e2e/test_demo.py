"""``dod demo`` as a person starts it: a process, spoken to over the HTTP of its page."""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dod.messages import CardStyle
from dod.sim.background import Background
from dod.sim.demo.apps import OPENING
from dod.sim.demo.chats import DemoChats
from dod.sim.demo.command import demo as start
from dod.sim.demo.folder import DemoBot, Folder, child_environ
from dod.sim.dify.samples import demo as script
from dod.sim.dify.simulator import SimDify, echo
from dod.sim.dingtalk.simulator import SimDingTalk

Json = dict[str, Any]


class Demo:
    """Lifecycle: ``with running(...) as demo``; output goes to files, so that no pipe fills up."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path) -> None:
        self.process = process
        self.out = out
        self.address = ""

    def printed(self) -> str:
        return self.out.read_text("utf-8")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"no {what}\n{self.printed()}"
            assert self.process.poll() is None, f"ended before {what}\n{self.printed()}"
            time.sleep(0.05)
        return value

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=10)
        with contextlib.closing(connection):
            kind = {"Content-Type": "application/json"} if body is not None else {}
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def world(self) -> Json:
        status, text = self.call("GET", "/api/world")
        assert status == 200
        world: Json = json.loads(text)
        return world

    def chat(self, title: str, person: str) -> str:
        chats = self.world()["chats"]
        return next(
            str(one["id"]) for one in chats if title in one["title"] and person in one["people"]
        )

    def say(self, chat: str, person: str, text: str) -> list[str]:
        status, answer = self.call(
            "POST", "/api/say", {"chat": chat, "person": person, "text": text}
        )
        assert status == 200, answer
        names: list[str] = json.loads(answer)["to"]
        return names

    def items(self, chat: str, kind: str) -> list[Json]:
        return [one for one in self.world()["items"] if (one["chat"], one["kind"]) == (chat, kind)]

    def finished(self, chat: str) -> Json:
        """The first card of the chat, once it is finished."""
        done: list[Json] = self.wait(
            lambda: [one for one in self.items(chat, "card") if one["state"] == "finished"],
            "finished card",
        )
        return done[0]

    def ready(self) -> bool:
        status = self.world()["status"]
        return bool(status and status["ready"] and status["bots"])


@contextlib.contextmanager
def running(
    folder: Path,
    *more: str,
    listen: str = "127.0.0.1:0",
    ready: bool = True,
    out: Path | None = None,
    **environ: str,
) -> Iterator[Demo]:
    """A demo whose bots are connected if ``ready``; killed in the end if it still runs."""
    out = out or folder.with_suffix(".out")
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dod", "demo", "--listen", listen, "--dir", str(folder), *more],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environ},
        )
    demo = Demo(process, out)
    try:
        found = demo.wait(lambda: re.search(r"browser: (http://\S+/)\n", demo.printed()), "address")
        demo.address = found.group(1)
        if ready:
            demo.wait(demo.ready, "ready bots")
        yield demo
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def text_of(question: str, turn: int = 1) -> str:
    return script(question, turn, "", {}).text


def test_people_ask_in_both_chats_and_term_drains(tmp_path: Path) -> None:
    """One process for the whole story: a start takes a second or two."""
    folder = tmp_path / "demo"
    with running(folder, DOD_DRAIN_SECONDS="4") as demo:
        mine = demo.chat("助手", "lilei")
        group = demo.chat("产品群", "tom")
        assert demo.say(mine, "lilei", "你好") == ["助手 Assistant"]
        assert demo.say(group, "tom", "没有人被叫到") == []
        assert demo.say(group, "tom", "@制度问答 写一段代码") == ["制度问答 Handbook"]
        for chat, question in ((mine, "你好"), (group, "写一段代码")):
            card = demo.finished(chat)
            assert text_of(question) in card["text"]
            assert 1 < card["calls"] < 12
        assert demo.finished(group)["text"] == text_of("写一段代码")
        front, _, rest = demo.finished(mine)["text"].partition(text_of("你好"))
        assert front == f"{OPENING}\n\n---\n\n"
        assert "1. 年假怎么算？" in rest
        assert [one["text"] for one in demo.items(group, "said")] == [
            "没有人被叫到",
            "@制度问答 写一段代码",
        ]
        assert all(one["delivered"] for one in demo.world()["items"] if one["kind"] == "said")
        assert len(demo.items(demo.chat("助手", "tom"), "card")) == 0  # another person's 1:1 chat
        demo.say(mine, "lilei", "/help")
        demo.wait(lambda: demo.items(mine, "reply"), "reply to /help")
        assert [one["answers"] for one in demo.world()["bots"]] == [1, 1], "/help is no answer"
        assert "模拟的 Dify 之间" in demo.printed()

        demo.say(mine, "lilei", "年假怎么算？")
        demo.wait(lambda: len(demo.items(mine, "card")) == 2, "second card")
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(20) == 0
        assert "dod has stopped" in demo.printed()
        assert "Traceback" not in demo.printed()
    assert "助手 Assistant" in (folder / "config" / "bots.yaml").read_text("utf-8")


def test_a_file_of_ones_own_is_kept_and_its_bots_exist(tmp_path: Path) -> None:
    """Also: a taken port is stepped over, a dead child is started again, Ctrl+C ends it."""
    folder = tmp_path / "demo"
    Folder(folder).make()
    own = (
        "bots:\n  - name: 我的\n    dingtalk_app_client_id: ding-own\n"
        "    dingtalk_app_client_secret: whatever-1\n    dify_app_type: completion\n"
        "    dify_app_api_key: app-own-key\n"
    )
    file = folder / "config" / "bots.yaml"
    file.write_text(own, "utf-8")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(folder, listen=f"127.0.0.1:{port}", DIFY_API_KEY="app-real-secret") as demo:
            assert f"{port} is taken" in demo.printed()
            mine = demo.chat("我的", "tom")
            demo.say(mine, "tom", "Hello")
            assert demo.finished(mine)["text"] == text_of("Hello")
            file.write_text(own.replace("ding-own", "ding-new").replace("我的", "新的"), "utf-8")
            demo.wait(lambda: "新的" in str(demo.world()["bots"]), "new bot in the world")
            child = int(re.findall(r"dod_pid=(\d+)", _processes(demo.process.pid))[0])
            os.kill(child, signal.SIGKILL)
            demo.wait(lambda: "ended unexpectedly (-9)" in demo.printed(), "word of the death")
            demo.wait(lambda: demo.printed().count("dod starts") == 2, "restart")
            demo.wait(demo.ready, "ready bots again")
            demo.process.send_signal(signal.SIGINT)
            assert demo.process.wait(20) == 0
            assert "app-real-secret" not in demo.printed()
    assert "ding-new" in file.read_text("utf-8")


def test_what_a_save_does_is_on_the_page(tmp_path: Path) -> None:
    """The whole file, one bot, and right again: verdict, problem, state and generation."""
    folder = tmp_path / "demo"
    with running(folder) as demo:
        file = folder / "config" / "bots.yaml"
        fine = file.read_text("utf-8")

        def until(verdict: str, *bots: tuple[str, int]) -> Json:
            def shown() -> Json | None:
                status = demo.world()["status"]
                if not status or status["config"]["verdict"] != verdict:
                    return None
                found = [(bot["verdict"], bot["generation"]) for bot in status["bots"]]
                return dict(status) if found == list(bots) else None

            got: Json = demo.wait(shown, f"{verdict} {bots}")
            return got

        until("accepted", ("running", 1), ("running", 1))
        file.write_text(fine.replace("name: 助手", "name：助手"), "utf-8")
        status = until("rejected", ("running", 1), ("running", 1))
        assert [one["line"] for one in status["config"]["problems"]] == [9]
        assert [one["listed"] for one in demo.world()["bots"]] == [True, True]
        file.write_text(fine.replace("workflow\n", "work flow\n"), "utf-8")
        status = until("partly", ("running", 1), ("running_old", 1))
        assert status["bots"][1]["state"] == "connected"
        assert [one["listed"] for one in demo.world()["bots"]] == [True, True]
        mine = demo.chat("制度问答", "tom")
        demo.say(mine, "tom", "Hello")
        demo.finished(mine)
        file.write_text(fine + "    max_workers: 3\n", "utf-8")
        until("accepted", ("running", 1), ("running", 2))
        file.write_text("bots: [", "utf-8")
        until("rejected", ("running", 1), ("running", 2))
    # Now dod starts with what it kept, and the simulated world must know those bots.
    with running(folder, out=tmp_path / "again.out") as demo:
        status = until("rejected", ("running_old", 1), ("running_old", 1))
        assert [bot["state"] for bot in status["bots"]] == ["connected", "connected"]


def test_the_second_demo_on_a_folder_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running(folder) as first:
        with running(folder, ready=False, out=tmp_path / "second.out") as second:
            child = re.findall(r"dod_pid=(\d+)", _processes(first.process.pid))[0]
            assert f"another dod (pid {child} on" in second.printed()
            second.wait(lambda: second.world()["status"], "status")
            assert "no bots run here" in second.world()["status"]["store"]
        assert first.ready()


def test_the_death_of_the_demo_ends_its_dod(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running(folder) as demo:
        assert Folder(folder).holder()
        demo.process.kill()
        demo.process.wait(10)
        deadline = time.monotonic() + 20
        while Folder(folder).holder():
            assert time.monotonic() < deadline, demo.printed()
            time.sleep(0.05)


def test_a_page_for_the_whole_network_says_who_can_reach_it(tmp_path: Path) -> None:
    with running(tmp_path / "demo", listen="0.0.0.0:0", ready=False) as demo:
        assert demo.address.startswith("http://127.0.0.1:")
        assert demo.call("GET", "/")[0] == 200
        demo.wait(lambda: "everybody in the network can reach it" in demo.printed(), "warning")


def _processes(parent: int) -> str:
    """``dod_pid=N`` for each child of ``parent``."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
    return " ".join(f"dod_pid={pid}" for pid in children)


def test_only_the_page_itself_may_speak(tmp_path: Path) -> None:
    with running(tmp_path / "demo") as demo:
        body = {"chat": demo.chat("助手", "tom"), "person": "tom", "text": "hi"}
        host = urlsplit(demo.address).netloc
        refused = [
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Content-Type": "text/plain"},
        ]
        for headers in refused:
            assert demo.call("POST", "/api/say", body, headers)[0] == 403
        assert demo.call("GET", "/", headers={"Host": "evil.example:80"})[0] == 421
        assert demo.call("POST", "/api/say", {**body, "person": "nobody"})[0] == 404
        assert demo.call("POST", "/api/say", {**body, "chat": "nowhere"})[0] == 404
        assert demo.call("POST", "/api/say", {**body, "text": "  "})[0] == 400
        assert demo.call("POST", "/api/say", [])[0] == 400
        assert demo.call("POST", "/api/say", {**body, "text": "x" * 6001})[0] == 413
        assert demo.items(body["chat"], "said") == []
        assert demo.call("POST", "/api/say", body, {"Origin": f"http://{host}"})[0] == 200
        status, page = demo.call("GET", "/")
        assert status == 200
        assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_another_dify_takes_the_place_of_the_simulated_one(tmp_path: Path) -> None:
    """Its key never reaches the disk or the terminal; a second signal ends everything at once."""
    folder = tmp_path / "demo"
    key = "app-of-the-real-one"
    with Background() as background:
        dify = background.start(SimDify())
        dify.add_app(key, "chat", script=echo(tokens=2000, interval=0.05))
        with running(folder, "--dify-url", dify.url, DIFY_API_KEY=key) as demo:
            mine = demo.chat("助手", "tom")
            demo.say(mine, "tom", "Are you real?")
            demo.wait(lambda: demo.items(mine, "card")[-1:], "card")
            demo.wait(lambda: demo.items(mine, "card")[0]["state"] == "typing", "typing card")
            assert demo.world()["dify"] == dify.url
            for times in (1, 2):
                demo.process.send_signal(signal.SIGINT)
                if times == 1:
                    demo.wait(lambda: "Stopping" in demo.printed(), "first word")
            assert demo.process.wait(6) == 130
            assert "Traceback" not in demo.printed()
            kept = [path for path in tmp_path.rglob("*") if path.is_file()]
            assert all(key.encode() not in path.read_bytes() for path in kept)


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen": "nonsense"},
        {"listen": "127.0.0.1:"},
        {"listen": "127.0.0.1:99999"},
        {"listen": "300.0.0.1:1"},
        {"dify_url": "api.dify.ai/v1"},
        {"dify_url": "http://127.0.0.1:9/v1"},  # and no DIFY_API_KEY
        {"dir": Path(__file__)},
    ],
)
def test_what_cannot_be_used_is_said(
    wrong: Json,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DIFY_API_KEY", raising=False)
    right = {"listen": "127.0.0.1:0", "dir": tmp_path / "demo", "dify_url": None}
    assert start(argparse.Namespace(**{**right, **wrong})) == 2
    assert capsys.readouterr().err.strip()


def test_the_key_of_a_real_dify_is_passed_by_the_environment_only(tmp_path: Path) -> None:
    """And what the shell says about a real DingTalk never reaches the simulated one."""
    folder = Folder(tmp_path)
    folder.make()
    shell = {"PATH": "/bin", "DINGTALK_AI_CARD_TEMPLATE_ID": "real", "DIFY_API_KEY": "app-in-shell"}

    def environ(key: str) -> dict[str, str]:
        return child_environ(
            {**shell, "DOD_LANG": "en", "NO_PROXY": "intranet"},
            folder,
            dingtalk_url="http://127.0.0.1:1",
            dify_url="http://127.0.0.1:2/v1",
            dify_key=key,
            web_port=3,
        )

    simulated, real = environ(""), environ("app-given")
    assert "DINGTALK_AI_CARD_TEMPLATE_ID" not in simulated
    assert "DIFY_API_KEY" not in simulated
    assert real["DIFY_API_KEY"] == "app-given"
    assert simulated["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert simulated["DOD_LANG"] == "en"
    assert "app-given" not in folder.file.read_text("utf-8")
    for given, keys in (
        (simulated, ["app-demo-assistant", "app-demo-handbook"]),
        (real, ["app-given", "app-given"]),
    ):
        assert [bot.api_key for bot in folder.bots(given)[0]] == keys


def test_the_shown_file_has_its_secrets_hidden_and_its_problems_marked(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.shown(folder.load({}))["lines"] == [""], "no file yet"
    folder.make()
    shown = folder.shown(folder.load({}))
    assert shown["file"] == str(folder.file)
    assert shown["marks"] == []
    text = "\n".join(shown["lines"])
    assert "name: 助手 Assistant" in text
    for secret in ("demo-secret-assistant", "app-demo-assistant"):
        assert secret in folder.file.read_text("utf-8")
        assert secret not in text
    wrong = folder.file.read_text("utf-8").replace(": workflow", ": work flow")
    folder.file.write_text(wrong, "gb18030")
    shown = folder.shown(folder.load({}))
    assert "name: 制度问答 Handbook" in "\n".join(shown["lines"])
    found = next(one for one in shown["marks"] if "work flow" in one["source"])
    assert found["source"][found["caret"] :] == "work flow"
    folder.file.unlink()
    folder.file.mkdir()
    assert folder.shown(folder.load({}))["lines"] == [""]


def test_the_first_file_has_no_problem_at_all(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.make()
    assert not folder.make()
    done = subprocess.run(
        [sys.executable, "-m", "dod", "check", str(folder.file)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()


def test_who_is_addressed_in_a_group() -> None:
    """The longest name counts; a part of a name will do; without an @ it is small talk."""

    async def run() -> None:
        sim = await SimDingTalk().start()
        try:
            chats = DemoChats(sim)
            bots = [
                DemoBot(name, "id-" + name, "s", "chatbot", "k", CardStyle("t.schema", "content"))
                for name in ("IT", "IT 支持")
            ]
            chats.apply(bots)
            group = next(one for one in sim.world.chats.values() if one.kind == "group")
            assert await chats.say(group.id, "tom", "@IT 支持 打印机") == ["IT 支持"]
            assert await chats.say(group.id, "tom", "@支持 打印机") == ["IT 支持"]
            assert await chats.say(group.id, "tom", "IT 支持在吗") == []
            said = [one.text for one in sim.world.chats[group.id].shown if hasattr(one, "person")]
            assert said == ["打印机", "打印机"]
            items = chats.feed.since(0)["items"]
            # Nobody is connected: what was meant for a bot did not get there.
            assert [one["delivered"] for one in items] == [False, False, True]
            version = chats.feed.version
            chats.feed.put(status={"ready": True})
            assert chats.feed.since(version)["status"] == {"ready": True}
            version = chats.feed.version
            chats.feed.put(status={"ready": True})
            assert chats.feed.since(version) == {"version": version}
            chats.apply(bots[:1])
            assert [one["listed"] for one in chats.feed.since(version)["bots"]] == [True, False]
        finally:
            await sim.close()

    asyncio.run(run())
