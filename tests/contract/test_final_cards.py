"""Answers that real Difys once streamed, byte for byte, to what is left on the card."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from dod.config.spec import BotSpec, Show
from dod.dify import DifyApp
from dod.texts import say
from tests.recordings.replay import Play, Replay, recorded
from tests.scene import SPEC, Scene, message

QUIET = Show(citations=False, suggestions=False, tools=False)
ANSWER = "I will use a tool. The tool said: 2026-11-22"
EMOJI = "你好，世界！钉钉机器人 🤖👨‍👩‍👧‍👦 e\u0301 🇨🇳 完成。"
SOURCES = f"\n\n{say('sources', 'en')}\n\n1. office-handbook.txt"
NEXT = f"\n\n{say('suggestions', 'en')}\n\n1. What is next?\n2. Tell me more\n3. Thank you"
GREETED = "Hello, I am a test assistant.\n\n---\n\n"


IMAGE = "I see 1 image(s): image/png 6321 bytes sha256=8c12b7425ca2. You said: look."
DESCRIBED = "I see 1 image(s): image/png 6321 bytes sha256=8c12b7425ca2. You said: Describe.."
TOLD = (
    "I will use a tool. The tool said: image has been created and sent to user already, "
    "you do not need to create it, just tell the user to check it now."
)
PICTURE = b"\x89PNG\r\n\x1a\n and pixels"


class Recorded(Replay):
    """Answers by path: a stream, the parameters, suggested questions as recorded; and a picture."""

    def __init__(self, stream: bytes, version: str, *, talkative: bool) -> None:
        super().__init__()
        self._stream, self._version, self._talkative = stream, version, talkative
        self.fetched: list[str] = []

    def local(self, stream: bytes) -> None:
        """Say ``stream``, with the address of the Dify that was recorded replaced by this one."""
        there = self.url.removesuffix("/v1").encode()
        self._stream = _plain(stream).replace(b"http://127.0.0.1:15001", there)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readuntil(b"\r\n\r\n")).decode()
        if line.startswith("GET /files/"):
            self.fetched.append(line.split()[1])
            data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE
        elif line.startswith("GET"):
            name = "suggested" if "/suggested?" in line else "parameters_chat"
            data = recorded("dify-0.15", name)[1] if self._talkative else b"HTTP/1.1 500 X\r\n\r\n"
        else:
            length = int(line.lower().partition("content-length: ")[2].split("\r\n")[0])
            self.requests.append((line, {}, json.loads(await reader.readexactly(length))))
            data = self._stream
        for piece in Play(data, 0).pieces():
            writer.write(piece)
        await writer.drain()
        return False


def _plain(answer: bytes) -> bytes:
    """The same answer without a length, for a body that becomes another one."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        parts, rest = [], body
        while (size := int(rest.partition(b"\r\n")[0] or b"0", 16)) > 0:
            rest = rest.partition(b"\r\n")[2]
            parts.append(rest[:size])
            rest = rest[size + 2 :]
        body = b"".join(parts)
    lines = [it for it in head.split(b"\r\n") if not it.lower().startswith(_LENGTHS)]
    return b"\r\n".join(lines) + b"\r\nConnection: close\r\n\r\n" + body


_LENGTHS = (b"transfer-encoding:", b"content-length:", b"connection:")


def left(
    version: str, name: str, app_type: Any = "chatbot", *, talkative: bool = False, **keys: Any
) -> tuple[list[tuple[str, str]], Recorded]:
    """The frames of the card, and Dify."""
    scene, dify = played(version, name, app_type, talkative=talkative, **keys)
    return scene.card(1).frames, dify


def played(
    version: str, name: str, app_type: Any = "chatbot", *, talkative: bool = False, **keys: Any
) -> tuple[Scene, Recorded]:
    """The scene after the answer, and Dify."""
    spec: BotSpec = replace(SPEC, dify_app_type=app_type, **keys)

    async def run() -> tuple[Scene, Recorded]:
        stream = recorded(version, name)[1]
        async with Recorded(stream, version, talkative=talkative) as dify:
            dify.local(stream)
            app = DifyApp(url=dify.url, key="app-x", app_type=app_type, pauses=(), linger=0.05)
            scene = Scene(spec=spec)
            scene.bot._servings.newest.app = app
            async with scene.running():
                await scene.say(message(1, text="hello"))
            return scene, dify

    return asyncio.run(run())


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
@pytest.mark.parametrize(
    ("name", "show", "shown"),
    [
        ("agent_stream", Show(), ANSWER),
        ("chat_kb_stream", Show(), "You said: When does the cafeteria open?." + SOURCES),
        ("chat_kb_stream", QUIET, "You said: When does the cafeteria open?."),
        ("chat_stream_reasoning", Show(), "The answer is 42."),
        ("chat_stream_think_tag", Show(), "The answer is 42."),
        (
            "chat_stream_think_tag",
            Show(thinking=True),
            "> The user asks something.\n\nThe answer is 42.",
        ),
        (
            "chat_stream_reasoning",
            Show(thinking=True),
            "> The user asks something.<br>\n> I reason in two steps.\n\nThe answer is 42.",
        ),
        (
            "chat_stream_reasoning",
            Show(thinking="folded"),
            f"> {say('thought', 'en', count=47)}\n\nThe answer is 42.",
        ),
        ("chat_moderated_output_stream", Show(), EMOJI),
        ("agent_stream_image", Show(), ANSWER),
        ("chat_stream_image", Show(), IMAGE),
        ("chatflow_stream_image", Show(), IMAGE),
        ("chatflow_stream_document", Show(), "You said: read."),
        ("chatflow_stream", Show(), None),
    ],
)
def test_a_recorded_answer_on_its_card(
    version: str, name: str, show: Show, shown: str | None
) -> None:
    frames, _ = left(version, name, show=show)
    kind, text = frames[-1]
    assert kind == "finish"
    assert "think" not in text.lower() or show.thinking
    assert shown is None or text == shown


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_a_recorded_opening_statement_and_suggestions(version: str) -> None:
    frames, _ = left(version, "chat_kb_stream", talkative=True)
    answer = "You said: When does the cafeteria open?."
    assert frames[-1] == ("finish", GREETED + answer + SOURCES + NEXT)


def test_a_recorded_pause_is_said() -> None:
    frames, _ = left("dify-1.13", "workflow_paused_stream", "workflow")
    blank = "\uff3f" * 4
    text = f"Please confirm: hello<br>\n{blank}\n\n{say('paused', 'en')}"
    assert frames[-1] == ("finish", text)


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_a_recorded_picture_of_a_completion_app(version: str) -> None:
    frames, _ = left(version, "completion_stream_image", "completion")
    assert frames[-1] == ("finish", IMAGE)


@pytest.mark.parametrize(("version", "between"), [("dify-0.15", "\n\n"), ("dify-1.13", "<br>\n")])
def test_a_recorded_workflow_gives_its_picture(version: str, between: str) -> None:
    """0.15 names it in the outputs with an address, 1.13 in the text, too, with a path."""
    scene, dify = played(version, "workflow_files_stream", "workflow")
    (picture,) = scene.channel.uploads
    assert scene.card(1).frames[-1] == ("finish", f"{DESCRIBED}{between}![picture.png](@0)")
    assert PICTURE in picture
    assert len(dify.fetched) == 1
    assert "sign=" in dify.fetched[0]


def test_a_recorded_agents_picture_comes_below_its_text() -> None:
    scene, dify = played("dify-0.15", "agent_stream_file")
    assert scene.card(1).frames[-1] == ("finish", f"{TOLD}\n\n![picture.png](@0)")
    assert len(dify.fetched) == 1
