"""What an app tells besides its text: progress, sources, parameters, suggested questions."""

import asyncio
import json
from typing import Any

import pytest

from dod.dify import DifyApp
from dod.dify.asides import Asides
from dod.dify.events import Transcript
from dod.errors import DifyError
from dod.http import client
from dod.messages import Cited, Parameters, Progress
from tests.recordings.replay import Play, Replay, recorded


def told(version: str, name: str, kind: type) -> list[Any]:
    """The events of one kind that a recording tells."""
    _, response = recorded(version, name)
    body = response.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    transcript = Transcript(workflow=name.startswith("workflow"))
    found = []
    for line in body.split("\n"):
        if line.startswith("data: "):
            found += [it for it in transcript.read(line[6:]) if isinstance(it, kind)]
    return found


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_an_agents_tool_is_told_once_with_its_label(version: str) -> None:
    tool = Progress("tool", "Current Time", "获取当前时间")
    assert told(version, "agent_stream", Progress) == [tool]


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_nodes_are_told_but_not_those_that_only_steer(version: str) -> None:
    assert told(version, "chatflow_stream", Progress) == [Progress("node", "LLM")]


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_sources_are_told_once_each(version: str) -> None:
    assert told(version, "chat_kb_stream", Cited) == [Cited(("office-handbook.txt",))]


def test_sources_with_nulls_are_no_sources() -> None:
    transcript = Transcript(workflow=False)
    cited = [{"document_name": None, "title": "A page"}, {"document_name": "a"}, None, {}, {}]
    end: dict[str, Any] = {
        "event": "message_end",
        "metadata": {"retriever_resources": [*cited, cited[1]]},
    }
    assert Cited(("A page", "a")) in list(transcript.read(json.dumps(end)))
    for metadata in (None, {}, {"retriever_resources": None}):
        end = {"event": "message_end", "metadata": metadata}
        assert not any(
            isinstance(it, Cited) for it in Transcript(workflow=False).read(json.dumps(end))
        )


def test_an_agent_nodes_tool_is_told() -> None:
    transcript = Transcript(workflow=False)
    list(transcript.read('{"event": "workflow_started", "task_id": "t", "data": {}}'))
    log = '{"event":"agent_log","task_id":"t","data":{"id":"1","label":"CALL weather"}}'
    assert list(transcript.read(log)) == [Progress("tool", "weather")]
    assert list(transcript.read(log)) == []


def test_parameters_are_asked_for_once_and_read_leniently() -> None:
    async def main() -> None:
        data = recorded("dify-0.15", "parameters_chat")[1]
        async with Replay([Play(data)]) as dify:
            app = DifyApp(url=dify.url, key="app-x", app_type="chatbot")
            try:
                about, _ = await asyncio.gather(app.parameters(), app.abilities())
                assert about == await app.parameters()
                assert len(dify.requests) == 1
            finally:
                await app.aclose()
        assert about.opening == "Hello, I am a test assistant."
        assert about.openers == ("What can you do?", "What time is it?")
        assert about.suggests
        odd = b'{"opening_statement": null, "suggested_questions": [1, "  ", "a\\n b"]}'
        assert await read(odd) == Parameters(openers=("a b",))
        assert await read(b"[]") == Parameters()

    async def read(body: bytes) -> Parameters:
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        async with Replay([Play(head.encode() + body)]) as dify, client(dify.url) as http:
            return await Asides(http, "chatbot").parameters()

    asyncio.run(main())


def test_an_app_that_says_nothing_of_itself_is_not_asked_again_at_once() -> None:
    async def main() -> None:
        refusal = b"HTTP/1.1 500 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        async with Replay([Play(refusal)]) as dify, client(dify.url) as http:
            asides = Asides(http, "chatbot")
            for _ in range(2):
                with pytest.raises(DifyError):
                    await asides.parameters()
            assert len(dify.requests) == 1

    asyncio.run(main())


def test_suggested_questions_are_read() -> None:
    async def main() -> None:
        data = recorded("dify-0.15", "suggested")[1]
        async with Replay([Play(data)]) as dify, client(dify.url) as http:
            questions = await Asides(http, "chatbot").suggested("id/../x", "alice")
            assert questions == ("What is next?", "Tell me more", "Thank you")
            assert dify.requests[0][0].startswith("GET /v1/messages/id%2F..%2Fx/suggested?user=al")

    asyncio.run(main())
