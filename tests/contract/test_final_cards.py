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


class Recorded(Replay):
    """Answers by path: the recording of a stream, of the parameters, of suggested questions."""

    def __init__(self, stream: bytes, version: str, *, talkative: bool) -> None:
        super().__init__()
        self._stream, self._version, self._talkative = stream, version, talkative

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readuntil(b"\r\n\r\n")).decode()
        if line.startswith("GET"):
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


def left(
    version: str, name: str, app_type: Any = "chatbot", *, talkative: bool = False, **keys: Any
) -> tuple[list[tuple[str, str]], Recorded]:
    """The frames of the card, and Dify."""
    spec: BotSpec = replace(SPEC, dify_app_type=app_type, **keys)

    async def run() -> tuple[list[tuple[str, str]], Recorded]:
        stream = recorded(version, name)[1]
        async with Recorded(stream, version, talkative=talkative) as dify:
            app = DifyApp(url=dify.url, key="app-x", app_type=app_type, pauses=(), linger=0.05)
            scene = Scene(spec=spec)
            scene.bot._serving.app = app
            async with scene.running():
                await scene.say(message(1, text="hello"))
            return scene.card(1).frames, dify

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
        ("agent_stream_image", Show(), None),
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
