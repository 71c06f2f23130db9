"""The real Docker Engine of this machine, as the tests use it: build, network, containers.

Nothing is pulled. Where there is no engine, or no base image (tests/image/base.sh makes both), the
tests are skipped with that reason, or fail if DOD_TEST_REQUIRE names docker.
"""

import functools
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.require import require

ROOT = Path(__file__).resolve().parents[2]
BASE = "debian:trixie-slim"
LABEL = "dod.tests"  # on everything that is made here, for cleaning up
RUN = uuid.uuid4().hex[:8]


def docker(*words: str, check: bool = True, timeout: float = 60) -> str:
    """Run the client; its output without the last newline. Raises AssertionError."""
    done = subprocess.run(
        [client(), *words], capture_output=True, encoding="utf-8", timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"docker {words}: {done.stderr}{done.stdout}"
    return (done.stdout + ("" if check else done.stderr)).rstrip("\n")


@functools.cache
def client() -> str:
    """A client that answers and can build with BuildKit: an old one, or one with buildx."""
    why = "not installed"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = shutil.which("docker", path=folder)
        if path is None:
            continue
        asked = _try(path, "version", "--format", "{{.Client.Version}} {{.Server.Version}}")
        if asked.returncode:
            why = f"no engine answers: {asked.stderr.strip()[-200:]}"
        elif int(asked.stdout.split(".")[0]) < 23 or not _try(path, "buildx", "version").returncode:
            if _try(path, "image", "inspect", BASE).returncode == 0:
                return path
            why = f"no image {BASE}: docker pull it, or tests/image/base.sh base"
        else:
            why = f"{path} cannot build: it lacks buildx"
    return require("docker", why)


def _try(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, encoding="utf-8", timeout=60, check=False)


def build(tag: str, dockerfile: str = "") -> None:
    """Build the image as a person would, or what ``dockerfile`` (its text) says.

    A CA of this machine (PIP_CERT) goes in as a secret.
    """
    secrets = []
    ca = os.environ.get("PIP_CERT", "")
    folder = Path("/tmp") / f"dod-build-{RUN}"
    folder.mkdir()
    try:
        if ca:
            conf = folder / "pip.conf"
            conf.write_text("[global]\ncert = /run/secrets/ca\ntimeout = 120\n")
            secrets = ["--secret", f"id=ca,src={ca}", "--secret", f"id=pip.conf,src={conf}"]
        done = subprocess.run(
            [
                *(client(), "build", "--progress=plain", "-t", tag, *secrets),
                "-" if dockerfile else str(ROOT),
            ],
            input=dockerfile,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr[-4000:]


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """The first true value of ``condition``; ``what`` may be a callable that tells more."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.05)
    return value


class Box:
    """One container. Lifecycle: made → ``start`` → ``remove`` (by the world's end)."""

    def __init__(self, image: str, *options: str, words: Sequence[str] = ()) -> None:
        self.name = f"dod-{RUN}-{uuid.uuid4().hex[:6]}"
        label = ("--label", LABEL)
        docker("create", "--name", self.name, *label, *options, image, *words)

    def start(self) -> "Box":
        docker("start", self.name)
        return self

    @property
    def log(self) -> str:
        return docker("logs", self.name, check=False)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", "-f", "{{json .State}}", self.name))
        return found

    @property
    def address(self) -> str:
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "-f", networks, self.name)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        """As ``until``, with the log in the complaint."""
        try:
            return until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def says(self, words: str, times: int = 1, seconds: float = 20) -> None:
        self.until(lambda: self.log.count(words) >= times, f"{words!r} in the log", seconds)

    def exec(self, *words: str, user: str = "", check: bool = True) -> str:
        return docker("exec", *(("-u", user) if user else ()), self.name, *words, check=check)

    def kill(self, pid: int, name: str) -> None:
        """A signal to one process in it; there is no kill but the shell's."""
        self.exec("sh", "-c", f"kill -{name} {pid}", user="0")

    def exits(self, seconds: float = 30) -> int:
        """Wait for the end; the exit code."""
        self.until(lambda: not self.state()["Running"], "ended", seconds)
        code: int = self.state()["ExitCode"]
        return code

    def signal(self, name: str) -> None:
        docker("kill", "-s", name, self.name)

    def stop(self) -> tuple[int, float]:
        """``docker stop`` as it comes: the exit code, and the seconds it took."""
        began = time.monotonic()
        docker("stop", self.name)
        took = time.monotonic() - began
        code: int = self.state()["ExitCode"]
        return code, took

    def status(self) -> dict[str, Any]:
        """``/api/status``; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}:8765/api/status", timeout=5) as it:
                told: dict[str, Any] = json.load(it)
                return told
        except (OSError, ValueError, urllib.error.URLError):
            return {}

    def states(self) -> dict[str, str]:
        return {bot["name"]: bot["state"] for bot in self.status().get("bots", ())}

    def connected(self, *names: str, seconds: float = 20) -> None:
        wanted = dict.fromkeys(names, "connected")
        self.until(lambda: self.states() == wanted, f"{names} connected", seconds)

    def remove(self) -> None:
        docker("rm", "-f", "-v", self.name, check=False)


class World:
    """A network of its own, without a way out, and the neighbours on it."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.network = f"dod-{RUN}"
        self._boxes: list[Box] = []
        self._volumes: list[str] = []
        docker("network", "create", "--internal", "--label", LABEL, self.network)
        script = Path(__file__).with_name("neighbours.py")
        self._sims = self.box(
            "-v",
            f"{script}:/neighbours.py:ro",
            "--entrypoint",
            "/opt/dod/bin/python",
            words=("/neighbours.py",),
        )
        self._sims.says("dingtalk")
        self.urls: dict[str, str] = json.loads(self._sims.log)
        self._url = f"http://{self._sims.address}:9000/"

    def box(self, *options: str, words: Sequence[str] = (), image: str = "") -> Box:
        """Start a container of the image on the network."""
        box = Box(image or self.image, "--network", self.network, *options, words=words)
        self._boxes.append(box)
        return box.start()

    def run(self, code: str) -> Any:
        """Run ``code`` at the neighbours (see neighbours.py); the value that it returns."""
        request = urllib.request.Request(self._url, code.encode(), method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:
            told = json.load(answer)
        assert "error" not in told, told["error"]
        return told["value"]

    def environment(self) -> list[str]:
        """Options that lead a dod to the neighbours."""
        variables = {
            "DINGTALK_OPENAPI_ENDPOINT": self.urls["dingtalk"],
            "DINGTALK_OAPI_ENDPOINT": self.urls["dingtalk"],
            "DIFY_OPEN_API_URL": self.urls["dify"],
        }
        return [word for item in variables.items() for word in ("-e", "=".join(item))]

    def volume(self) -> str:
        name = f"dod-{RUN}-{uuid.uuid4().hex[:6]}"
        docker("volume", "create", "--label", LABEL, name)
        self._volumes.append(name)
        return name

    def add_bot(self, name: str, **how: float) -> None:
        self.run(f"add_bot({name!r}, **{how!r})")

    def say(self, bot: str, nick: str, text: str) -> None:
        self.run(f"await say({bot!r}, {nick!r}, {text!r})")

    def shown(self, bot: str, nick: str) -> list[dict[str, str]]:
        seen: list[dict[str, str]] = self.run(f"return shown({bot!r}, {nick!r})")
        return seen

    def ask(self, bot: str, nick: str, text: str, seconds: float = 20) -> dict[str, str]:
        """Say it, and wait for the end of the answer."""
        before = len(self.shown(bot, nick))
        self.say(bot, nick, text)

        def ended() -> dict[str, str] | None:
            seen = self.shown(bot, nick)[before:]
            done = [it for it in seen if it["state"] in {"finished", "failed"}]
            return done[0] if done else None

        answer: dict[str, str] = until(ended, f"{bot} answers {text!r}", seconds)
        return answer

    def clear(self) -> None:
        """Remove what a test has made; the neighbours stay."""
        for box in self._boxes[1:]:
            box.remove()
        del self._boxes[1:]
        for name in self._volumes:
            docker("volume", "rm", "-f", name, check=False)
        self._volumes.clear()

    def close(self) -> None:
        self.clear()
        self._boxes.pop().remove()
        docker("network", "rm", self.network, check=False)


@contextmanager
def world(image: str) -> Iterator[World]:
    made = World(image)
    try:
        yield made
    finally:
        made.close()


def entry(name: str, **keys: str) -> str:
    """One item of ``bots``, with the keys of zfanswer's .bots.yaml and nothing else."""
    fields: Mapping[str, str] = {
        "dingtalk_app_client_id": f"ding{name}",
        "dingtalk_app_client_secret": f"dingsecret-{name}-0123456789",
        "dify_app_type": "ChatBot",
        "dify_app_api_key": f"app-{name}key0123456789",
        "handler": "DifyAiCardBotHandler",
        "max_workers": "1",
        **keys,
    }
    lines = [f"  - name: {name}", *(f"    {key}: {value}" for key, value in fields.items())]
    return "\n".join(lines) + "\n"


def bots(*names: str) -> str:
    return "bots:\n" + "".join(entry(name) for name in names)
