"""Every recorded stream and refusal of two real Difys, byte for byte, against expected.json."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from dod.dify import DifyApp
from dod.dify.refusals import refused
from dod.errors import AnswerCut, ConversationGone, DifyError
from dod.messages import Finished, Question, Started, TextDelta, TextReplaced
from dod.texts import SENTENCES
from tests.recordings.replay import EXPECTED, HERE, Play, Replay, recorded

AppType = Literal["chatbot", "completion", "workflow"]
Row = dict[str, Any]

ROWS = [(version, name, row) for version, rows in EXPECTED.items() for name, row in rows.items()]
ASKED = [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in ROWS if row[2]["ask"]]
OTHERS = [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in ROWS if not row[2]["ask"]]
SILENT = [
    pytest.param(*row, id=f"{row[0]}-{row[1]}")
    for row in ROWS
    if row[2]["status"] == 200 and row[2]["state"] in {"silent", "gone"}
]


def forgotten(row: Row) -> list[Play]:
    """What Dify says of a conversation it does not know, when an answer to it stays silent."""
    if row["status"] != 200 or row["state"] != "gone":
        return []
    return [Play(recorded("dify-0.15", "error_messages_other_user")[1])]


async def outcome(app: DifyApp, question: Question) -> Row:
    """What ``ask`` told, in the words of expected.json."""
    told: Row = {"text": "", "conversation_id": "", "task_id": "", "form": "", "code": ""}
    try:
        async for event in app.ask(question):
            assert "state" not in told, "nothing follows Finished"
            match event:
                case Started():
                    told |= {"conversation_id": event.conversation_id, "task_id": event.task_id}
                case TextDelta():
                    told["text"] += event.text
                case TextReplaced():
                    told["text"] = event.text
                case Finished():
                    told |= {"state": event.outcome, "form": event.form}
        assert "state" in told, "Finished is last"
    except DifyError as exc:
        assert exc.key in SENTENCES
        assert len(exc.detail) <= 500
        told |= {"state": exc.key, "code": exc.code}
        if isinstance(exc, ConversationGone):
            told["state"] = "gone"
        elif isinstance(exc, AnswerCut):
            told["state"] = "cut"
    return told


async def replayed(row: Row, *plays: Play, timeout: float = 5.0, first_event: float = 5.0) -> Row:
    async with Replay([*plays]) as dify:
        app = DifyApp(
            url=dify.url,
            key="app-xxxxxxxxxxxxxxxxxxxxxxxx",
            app_type=row["ask"],
            timeout=timeout,
            first_event=first_event,
            pauses=(),
        )
        known = "00000000-0000-0000-0000-000000000007" if row.get("remembered") else ""
        question = Question("hello", "alice", {"query": "hello"}, known)
        try:
            told = await outcome(app, question)
        finally:
            await app.aclose()
    assert not dify.plays
    return told


def same(row: Row, told: Row) -> None:
    expected = {"text": "", "conversation_id": "", "task_id": "", "form": "", "code": ""} | row
    if long := expected.pop("sha256", ""):
        assert hashlib.sha256(told["text"].encode()).hexdigest() == long
        expected["text"] = told["text"]
    for other in ("ask", "status", "remembered"):
        expected.pop(other, None)
    assert told == expected


@pytest.mark.parametrize(("version", "name", "row"), ASKED)
def test_recording_told_whole_however_it_is_cut(version: str, name: str, row: Row) -> None:
    _, response = recorded(version, name)
    if row["state"] == "silent":  # its body ends after five minutes; here at once
        row = row | {"state": "dify_cut"}

    async def main() -> None:
        for size in (0, 7, 1):
            same(row, await replayed(row, Play(response, size), *forgotten(row)))

    asyncio.run(main())


@pytest.mark.parametrize(("version", "name", "row"), SILENT)
def test_silence_recorded_is_told(version: str, name: str, row: Row) -> None:
    """One ping and no more: a forgotten conversation, or a start that failed."""
    _, response = recorded(version, name)
    ping = response[: response.index(b"event: ping") + len(b"event: ping\n\n\r\n")]
    row = row | ({"state": "dify_timeout"} if row["state"] == "silent" else {})
    silence = Play(ping, hold=True)
    told = replayed(row, silence, *forgotten(row), timeout=0.5, first_event=0.05)
    same(row, asyncio.run(told))


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_title_written_for_four_seconds_is_not_waited_for(version: str) -> None:
    _, response = recorded(version, "chat_stream_slow_title")
    held = Play(response.removesuffix(b"0\r\n\r\n"), hold=True)
    row = EXPECTED[version]["chat_stream_slow_title"]
    same(row, asyncio.run(replayed(row, held)))


@pytest.mark.parametrize(("version", "name", "row"), OTHERS)
def test_refusal_of_another_request_is_told(version: str, name: str, row: Row) -> None:
    _, response = recorded(version, name)
    error = refused(row["status"], response.partition(b"\r\n\r\n")[2])
    state = "gone" if isinstance(error, ConversationGone) else error.key
    assert (state, error.code, error.status) == (row["state"], row["code"], row["status"])


@pytest.mark.parametrize("version", ["dify-0.15", "dify-1.13"])
def test_no_recording_lacks_a_row(version: str) -> None:
    index: dict[str, Row] = json.loads((HERE / version / "index.json").read_text("utf-8"))
    here = {path.stem for path in Path(HERE / version).glob("*.http")}
    told = {
        name
        for name, about in index.items()
        if "event-stream" in about["content_type"] or about["status"] >= 300
    }
    assert told == set(EXPECTED[version])
    assert told <= here


def test_stop_is_asked_as_recorded() -> None:
    calls = (
        ("chatbot", "dify-0.15", "chat_stopped_stop_call"),
        ("chatbot", "dify-1.13", "chatflow_stopped_stop_call"),
        ("completion", "dify-0.15", "completion_stopped_stop_call"),
        ("workflow", "dify-1.13", "workflow_stopped_stop_call"),
        ("chatbot", "dify-0.15", "stop_unknown_task"),
    )

    async def stopped(app_type: AppType, version: str, name: str) -> None:
        request, response = recorded(version, name)
        line = request.split(b"\r\n", 1)[0].decode()
        async with Replay([Play(response)]) as dify:
            app = DifyApp(url=dify.url, key="app-x", app_type=app_type)
            await app.stop(line.partition("/stop")[0].rpartition("/")[2], "alice")
            await app.aclose()
        assert dify.requests[0][0] == line
        assert dify.requests[0][2] == json.loads(request.partition(b"\r\n\r\n")[2])

    async def main() -> None:
        for app_type, version, name in calls:
            await stopped(app_type, version, name)  # type: ignore[arg-type]

    asyncio.run(main())
