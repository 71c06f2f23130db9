"""``dod run`` as a process of its own between the two simulators."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from dod.sim.background import Background
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.faults import Switches
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import SimCard, SimChat, SimMessage, SimPerson, SimReply
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "office-template.schema"

# A user namespace of its own in which nobody may have an inotify instance.
NO_INOTIFY = (
    "unshare",
    "-r",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"',
)


def bot(name: str, **keys: object) -> dict[str, object]:
    """A bot's entry with everything required; credentials are made of its name."""
    return {
        "name": name,
        "dingtalk_app_client_id": f"ding-{name}",
        "dingtalk_app_client_secret": f"dingsecret-{name}-0123456789",
        "dify_app_type": "chatbot",
        "dify_app_api_key": f"app-{name}-key-0123456789",
        "handler": "DifyAiCardBotHandler",
        "dingtalk_ai_card_template_id": TEMPLATE,
        **keys,
    }


class Rig:
    """Both neighbours and one dod. ``with Rig(tmp_path, [bot("it")]) as rig``."""

    def __init__(
        self,
        folder: Path,
        bots: Sequence[dict[str, object]],
        *,
        qps: int = 0,
        top: dict[str, object] | None = None,
        env: dict[str, str] | None = None,
        kinds: dict[str, str] | None = None,
        switches: Switches | None = None,
        launcher: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``launcher``: words before the command, e.g. ``NO_INOTIFY``."""
        self.folder = folder
        self.bots = bots
        self.web_port = free_port()
        self._qps = qps
        self._top = top or {}
        self._env = env or {}
        self._kinds = kinds or {}
        self._switches = switches
        self._launcher = launcher
        self._tls = tls
        self._background = Background()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "dod.log"

    def __enter__(self) -> Self:
        self._background.__enter__()
        self.dingtalk = self._background.start(
            SimDingTalk(qps=self._qps, switches=self._switches, tls=self._tls)
        )
        self.dify = self._background.start(SimDify())
        self.dingtalk.add_template(TEMPLATE)
        for entry in self.bots:
            self.add_apps(entry)
        self.config.mkdir(parents=True, exist_ok=True)
        self.write({**self._top, "bots": list(self.bots)})
        self.start()
        return self

    def add_apps(self, entry: dict[str, object]) -> None:
        """Give both neighbours the apps of a bot."""
        self.dingtalk.add_app(
            str(entry["dingtalk_app_client_id"]), str(entry["dingtalk_app_client_secret"])
        )
        default = {"chatbot": "chat"}.get(str(entry["dify_app_type"]), entry["dify_app_type"])
        kind = self._kinds.get(str(entry["name"]), default)
        self.dify.add_app(str(entry["dify_app_api_key"]), kind)  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        try:
            if self._process is not None and self._process.poll() is None:
                self.kill(signal.SIGTERM)
                self.wait_for_exit(20)
        finally:
            if self._process is not None and self._process.poll() is None:
                self.kill(signal.SIGKILL)
                self._process.wait(10)
            self._background.__exit__(None, None, None)

    # -- dod

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def file(self) -> Path:
        return self.config / "bots.yaml"

    def write(self, config: dict[str, object]) -> None:
        """JSON is YAML."""
        self.file.write_text(json.dumps(config, ensure_ascii=False, indent=1), "utf-8")

    def save(self, *bots: dict[str, object]) -> None:
        """Write these bots, by default those of the start, under the same top level."""
        self.write({**self._top, "bots": list(bots or self.bots)})

    def start(self, *, wait: bool = True, env: dict[str, str] | None = None) -> None:
        """``env``: from this start on, beside that of the rig."""
        self._env = {**self._env, **(env or {})}
        environment = {
            **{key: value for key, value in os.environ.items() if "proxy" not in key.lower()},
            "DOD_CONFIG_DIR": str(self.config),
            "DOD_DATA_DIR": str(self.folder / "data"),
            "DOD_WEB_LISTEN": f"127.0.0.1:{self.web_port}",
            "DOD_POLL_SECONDS": "0.5",
            "DINGTALK_OPENAPI_ENDPOINT": self.dingtalk.url,
            "DINGTALK_OAPI_ENDPOINT": self.dingtalk.url,
            "DIFY_OPEN_API_URL": self.dify.url,
            **self._env,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._launcher, sys.executable, "-m", "dod", "run"],
                cwd=ROOT,
                env=environment,
                stderr=log,
            )
        if wait:
            self.until(self.connected, "every bot connected")

    def connected(self) -> bool:
        ids = [str(entry["dingtalk_app_client_id"]) for entry in self.bots]
        return all(self.dingtalk.live_connections(client_id) for client_id in ids)

    def kill(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_for_exit(self, seconds: float = 20) -> int:
        assert self._process is not None
        return self._process.wait(seconds)

    def status(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.web_port}/api/status"
        with urllib.request.urlopen(url, timeout=20) as answer:  # as long as ``until`` waits
            told: dict[str, Any] = json.load(answer)
            return told

    def of(self, name: str) -> dict[str, Any]:
        """What ``/api/status`` says of one bot; empty if nothing."""
        return next((bot for bot in self.status()["bots"] if bot["name"] == name), {})

    def generations(self) -> dict[str, int]:
        return {bot["name"]: bot["generation"] for bot in self.status()["bots"]}

    def opened(self) -> dict[str, int]:
        """Client id → websockets since the simulator began, as DingTalk counts them."""
        return dict(self.dingtalk.connections_opened)

    def loads(self, number: int, seconds: float = 20) -> dict[str, Any]:
        """What the status says of the configuration, once it was loaded ``number`` times."""
        self.until(lambda: self.status()["config"]["loads"] >= number, f"load {number}", seconds)
        told: dict[str, Any] = self.status()["config"]
        assert told["loads"] == number
        return told

    def reloads(self) -> list[str]:
        """What became of each bot, by load: the log's canonical lines, without the time."""
        lines = self.printed().splitlines()
        return [line.split(": ", 1)[1] for line in lines if "dod.reloader: reload " in line]

    def notice(self) -> str:
        """``bots.status.txt`` as Notepad shows it."""
        try:
            return (self.config / "bots.status.txt").read_text("utf-8-sig")
        except FileNotFoundError:
            return ""

    def get(self, path: str) -> int:
        try:
            url = f"http://127.0.0.1:{self.web_port}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code
        except OSError:
            return 0

    def printed(self) -> str:
        return self.log.read_text("utf-8")

    # -- people

    def person(self, nick: str = "小安", staff_id: str | None = "staff-1") -> SimPerson:
        return self.dingtalk.person(nick, staff_id)

    def single(self, person: SimPerson, name: str | None = None) -> SimChat:
        return self.dingtalk.single(self.client_id(name), person)

    def group(self, *people: SimPerson, title: str = "项目群") -> SimChat:
        return self.dingtalk.group(title, people)

    def client_id(self, name: str | None = None) -> str:
        return f"ding-{name or self.bots[0]['name']}"

    def say(
        self, chat: SimChat, person: SimPerson, text: str, *, bot: str | None = None, **more: Any
    ) -> SimMessage:
        return self._background.run(
            self.dingtalk.say(self.client_id(bot), chat, person, text, **more)
        )

    def run(self, work: Any) -> Any:
        """Run one of the simulators' coroutines."""
        return self._background.run(work)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not in {seconds} s: {what}\n{self.printed()}"
            assert self._process is None or self._process.poll() is None, self.printed()
            time.sleep(0.02)
        return value

    def stays(self, condition: Callable[[], Any], what: str, seconds: float) -> None:
        """The opposite of ``until``: it must be true all the time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert condition(), f"no longer: {what}\n{self.printed()}"
            time.sleep(0.05)

    def cards(self, chat: SimChat) -> list[SimCard]:
        return [shown for shown in self.dingtalk.shown(chat) if isinstance(shown, SimCard)]

    def replies(self, chat: SimChat) -> list[SimReply]:
        return [shown for shown in self.dingtalk.shown(chat) if isinstance(shown, SimReply)]

    def answer(self, chat: SimChat, number: int = 1, seconds: float = 20) -> SimCard:
        """The ``number``-th card of a chat, once it has ended."""

        def ended() -> SimCard | None:
            cards = self.cards(chat)
            if len(cards) < number or cards[number - 1].state not in {"finished", "failed"}:
                return None
            return cards[number - 1]

        card: SimCard = self.until(ended, f"card {number} of {chat} ended", seconds)
        return card

    def reply(self, chat: SimChat, number: int = 1, seconds: float = 20) -> SimReply:
        def there() -> SimReply | None:
            replies = self.replies(chat)
            return replies[number - 1] if len(replies) >= number else None

        reply: SimReply = self.until(there, f"reply {number} of {chat}", seconds)
        return reply
