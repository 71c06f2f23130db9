"""``dod demo``: the unchanged ``dod run`` between two simulated neighbours, and a chat page.

Everything of the demo lives on one loop in this process; dod itself is a child process that knows
nothing of it. With ``--dify-url`` a real Dify takes the place of the simulated one.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import aiohttp

from dod.sim.demo.apps import furnish
from dod.sim.demo.asked import Unusable, address_of, key_of
from dod.sim.demo.chats import DemoChats
from dod.sim.demo.child import Child
from dod.sim.demo.folder import DemoBot, Folder, child_environ
from dod.sim.demo.greeting import greeting, to_open
from dod.sim.demo.page import PORTS, DemoPage
from dod.sim.demo.trouble import Trouble
from dod.sim.dify.kinds import Kind
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.simulator import SimDingTalk

LOOK = 0.2  # seconds between looks at bots.yaml: sooner than dod itself takes a saved file
ASK = 0.5  # seconds between questions to the child's status page
DRAIN = 7.0  # seconds, as dod's own default
PATIENCE = 5.0  # seconds that the child may take beyond its drain
HASTE = 2.0  # seconds for an end at once

_KINDS: dict[str, Kind] = {
    "chatbot": "agent",  # an agent shows the most: tools, files, sources
    "completion": "completion",
    "workflow": "workflow",
}


def demo(arguments: argparse.Namespace) -> int:
    """Serve until a signal; returns the exit status. 2: it could not start."""
    try:
        host, port = address_of(arguments.listen)
        key = key_of(arguments.dify_url, os.environ)
        folder = Folder(arguments.dir.resolve())
        made = folder.make()
        return asyncio.run(_Demo(folder, host, port, arguments.dify_url or "", key).run(made=made))
    except (Unusable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


class _Demo:
    """Lifecycle: ``run`` once. The first signal drains, the second one ends at once."""

    def __init__(self, folder: Folder, host: str, port: int, dify_url: str, key: str) -> None:
        self._folder = folder
        self._listen = (host, port)
        self._dify_url = dify_url
        self._key = key
        # So that the .md of a very long answer is seen: whether DingTalk takes one, nobody knows.
        self._dingtalk = SimDingTalk(switches=Switches(any_file=True))
        self._dify = SimDify()
        self._dify_keys: set[str] = set()
        self._environ: dict[str, str] = {}
        self._passwords = [""]  # of the child's status page: the newest first, and earlier ones
        self._stop = asyncio.Event()
        self._hurried = asyncio.Event()
        self._child: Child | None = None

    async def run(self, *, made: bool) -> int:
        """Build everything that can fail, then start the child; take it all down in reverse."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._dingtalk.close)
            await self._dingtalk.start()
            if not self._dify_url:
                stack.push_async_callback(self._dify.close)
                await self._dify.start()
            chats = DemoChats(self._dingtalk)
            chats.feed.put(
                run=f"{os.getpid()}-{time.time()}",  # by which a page knows it met another demo
                config={"file": str(self._folder.file)},
                dify=self._dify_url,
                status=None,
            )
            trouble = Trouble(
                self._dingtalk,
                None if self._dify_url else self._dify,
                show=chats.feed.put,
                crash=self._crash,
            )
            stack.callback(trouble.close)
            page = DemoPage(chats, trouble)
            stack.push_async_callback(page.close)
            address = await self._open(page)
            web_port = _free_port()
            self._environ = child_environ(
                os.environ,
                self._folder,
                dingtalk_url=self._dingtalk.url,
                dify_url=self._dify_url or self._dify.url,
                dify_key=self._key,
                web_port=web_port,
            )
            signature = self._folder.signature()
            await self._learn(chats, trouble)
            _say(greeting(self._folder, self._listen[0], address, self._dify_url, made=made))
            async with _background(
                self._watch(chats, trouble, signature),
                self._ask(chats, f"http://127.0.0.1:{web_port}"),
            ):
                await self._serve()
        return 130 if self._hurried.is_set() else 0

    # -- the child

    async def _serve(self) -> None:
        """Run the child until a signal, and let it drain while everything else still works."""
        child = self._child = Child(self._environ, _say, _log)
        running = asyncio.ensure_future(child.run())
        try:
            stop = asyncio.ensure_future(self._stop.wait())
            await asyncio.wait((running, stop), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if running.done():
                running.result()  # it could not be started at all
            child.stop()
            hurried = asyncio.ensure_future(self._hurried.wait())
            grace = _seconds(self._environ.get("DOD_DRAIN_SECONDS", ""), DRAIN) + PATIENCE
            await asyncio.wait(
                (running, hurried), timeout=grace, return_when=asyncio.FIRST_COMPLETED
            )
            hurried.cancel()
            if not running.done():  # its own "at once" closes the store in order
                child.stop()
                await asyncio.wait((running,), timeout=HASTE)
        finally:
            child.kill()
            await asyncio.gather(running, return_exceptions=True)
        _say("演示结束。 The demo has ended.")

    def _crash(self) -> None:
        if self._child is not None:
            self._child.crash()

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurried.set()
            return
        self._stop.set()
        _say(
            "正在结束：dod 写完手上的回答就停；再按一次 Ctrl+C 立即停止。\n"
            "Stopping: dod finishes its answers first; Ctrl+C once more stops at once."
        )

    # -- what the simulated world must know

    async def _learn(self, chats: DemoChats, trouble: Trouble) -> None:
        """Let the world have the bots of bots.yaml, whatever their credentials are."""
        # Off the loop: parsing YAML takes long enough to make cards stutter.
        bots, password, shown = await asyncio.to_thread(self._look)
        chats.feed.put(config=shown)
        if password is not None and password != self._passwords[0]:
            self._passwords = [password, *(it for it in self._passwords if it != password)]
        for bot in bots:
            if bot.api_key not in self._dify_keys:
                self._dify_keys.add(bot.api_key)
                kind = _KINDS[bot.app_type]
                app = self._dify.add_app(bot.api_key, kind, script=trouble.script)
                furnish(app, trouble.look)
                trouble.include(app)
        chats.apply(bots)

    def _look(self) -> tuple[list[DemoBot], str | None, dict[str, Any]]:
        loaded = self._folder.load(self._environ)
        return *self._folder.bots(self._environ, loaded), self._folder.shown(loaded)

    async def _watch(self, chats: DemoChats, trouble: Trouble, seen: object) -> None:
        while True:
            await asyncio.sleep(LOOK)
            signature = self._folder.signature()
            if signature != seen:
                seen = signature
                await self._learn(chats, trouble)

    async def _ask(self, chats: DemoChats, url: str) -> None:
        """Show what the child says of itself; None while it does not answer."""
        timeout = aiohttp.ClientTimeout(total=3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                status = None
                # A file with a mistake may have a password that the child has not taken.
                for password in tuple(self._passwords):
                    auth = aiohttp.BasicAuth("demo", password) if password else None
                    try:
                        async with session.get(f"{url}/api/status", auth=auth) as answer:
                            status = await answer.json() if answer.status == 200 else None
                    except (aiohttp.ClientError, TimeoutError, ValueError):
                        break  # not yet up, or restarting: the page says so
                    if answer.status != 401:
                        break
                chats.feed.put(status=status)
                ready = status is not None and status["ready"]
                await asyncio.sleep(ASK if ready else LOOK)

    # -- words

    async def _open(self, page: DemoPage) -> str:
        """Listen; returns the address to open."""
        host, wished = self._listen
        try:
            port = await page.start(host, wished)
        except OSError as error:
            last = wished + PORTS - 1 if wished else wished
            raise Unusable(
                f"{host} 的端口 {wished}-{last} 都不能用。 "
                f"No port {wished}-{last} of {host} can be used: {error}"
            ) from error
        if wished not in {0, port}:
            _say(f"端口 {wished} 已被占用，改用 {port}。 Port {wished} is taken; using {port}.")
        return to_open(host, port)


@contextlib.asynccontextmanager
async def _background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``works`` beside the body; a failure of one of them ends the body, too."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _seconds(text: str, default: float) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return default


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _log(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"dod | {line}\n")
        sys.stderr.flush()
