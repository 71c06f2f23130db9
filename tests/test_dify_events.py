"""Every order of events of every version ends in one ``Finished`` with the whole text."""

import json
from typing import Any

import pytest

from dod.dify.events import Transcript, show
from dod.errors import DifyError
from dod.messages import AnswerEvent, AnswerFile, Finished, Started, TextDelta, TextReplaced

Events = list[dict[str, Any]]
RUN = {"workflow_run_id": "r", "task_id": "t", "conversation_id": "c"}


def tell(transcript: Transcript, *events: dict[str, Any]) -> list[AnswerEvent]:
    return [told for event in events for told in transcript.read(json.dumps(event))]


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"event": "message", "task_id": "t", "conversation_id": "c", "answer": text} | more


def chunk(text: str) -> dict[str, Any]:
    return {"event": "text_chunk", **RUN, "data": {"text": text}}


def finished(status: str = "succeeded", outputs: Any = None, error: Any = None) -> dict[str, Any]:
    data = {"status": status, "outputs": outputs, "error": error}
    return {"event": "workflow_finished", **RUN, "data": data}


END = {"event": "message_end", "task_id": "t", "conversation_id": "c", "metadata": {}}
STARTED = {"event": "workflow_started", **RUN, "data": {}}


def test_chat_is_over_at_its_message_end() -> None:
    told = tell(Transcript(workflow=False), message("Hel"), message("lo"), message(""), END)
    assert told == [Started("t", "c"), TextDelta("Hel"), TextDelta("lo"), Finished()]


@pytest.mark.parametrize(
    "last", [[finished(), END], [END, finished()]], ids=["run first", "message first"]
)
def test_chatflow_is_over_at_the_second_of_two(last: Events) -> None:
    transcript = Transcript(workflow=False)
    told = tell(transcript, STARTED, message("x"), last[0])
    assert told == [Started("t", "c"), TextDelta("x")]
    assert transcript.ending
    assert tell(transcript, last[1]) == [Finished()]


def test_chatflow_may_end_with_one_of_two() -> None:
    transcript = Transcript(workflow=False)
    tell(transcript, STARTED, message("x"), finished())
    assert transcript.close() == Finished()


def test_chatflow_failure_after_message_end_is_heard() -> None:
    transcript = Transcript(workflow=False)
    tell(transcript, STARTED, message("x"), END)
    with pytest.raises(DifyError) as caught:
        tell(transcript, finished("failed", error="Rate limit reached"))
    assert caught.value.key == "dify_model_busy"


def test_chatflow_whose_messages_were_lost_shows_the_answer_of_the_run() -> None:
    told = tell(Transcript(workflow=False), STARTED, finished(outputs={"answer": "whole"}), END)
    assert told == [Started("t", "c"), TextDelta("whole"), Finished()]


def test_nodes_are_skipped_but_a_failed_one_is_remembered() -> None:
    transcript = Transcript(workflow=True)
    code = {"node_type": "code", "status": "failed"}
    tell(transcript, STARTED, {"event": "node_started", "data": {}})
    tell(transcript, {"event": "node_finished", "data": code})
    with pytest.raises(DifyError) as caught:
        tell(transcript, finished("failed", error="division by zero"))
    assert caught.value.key == "dify"


def test_message_file_with_an_answer_is_text() -> None:
    """Of Dify since 1.11.2, for an answer with files (dify-api §2)."""
    transcript = Transcript(workflow=False)
    text = message("seen", event="message_file")
    file = {"event": "message_file", "type": "image", "url": "/files/x.png"}
    told = tell(transcript, text, file)
    assert told == [Started("t", "c"), TextDelta("seen"), AnswerFile("/files/x.png", "image")]


def test_replacement_counts_as_the_text() -> None:
    transcript = Transcript(workflow=False)
    withdrawn = {"event": "message_replace", "answer": "no", "reason": "moderation"}
    assert tell(transcript, message("bad"), withdrawn)[-1] == TextReplaced("no")
    assert tell(transcript, {"event": "text_replace", "data": {"text": "yes"}}) == [
        TextReplaced("yes")
    ]


@pytest.mark.parametrize(
    ("output", "chunks", "outputs", "text"),
    [
        ("", ["streamed"], {"text": "other"}, "streamed"),
        ("", [], {"text": "one", "count": 3}, "one"),
        ("", [], {"a": "x", "b": "y"}, "**a**: x\n\n**b**: y"),
        ("", [], {"a": ["你"], "n": 3}, '**a**: ["你"]\n\n**n**: 3'),
        ("", [], {"a": "", "b": "y", "c": None}, "y"),
        ("", [], None, ""),
        ("", [], {}, ""),
        ("b", [], {"a": "x", "b": "y"}, "y"),
        ("b", ["xy"], {"a": "x", "b": "y"}, "y"),
        ("n", [], {"n": {"k": 1}}, '{"k": 1}'),
        ("missing", ["xy"], {"a": "x", "b": "y"}, "xy"),
        ("missing", [], {"a": "x"}, "x"),
    ],
)
def test_workflow_shows_its_stream_or_its_outputs(
    output: str, chunks: list[str], outputs: Any, text: str
) -> None:
    transcript = Transcript(workflow=True, output=output)
    told = tell(transcript, STARTED, *map(chunk, chunks), finished(outputs=outputs))
    shown = ""
    for event in told:
        if isinstance(event, TextDelta):
            shown += event.text
        elif isinstance(event, TextReplaced):
            shown = event.text
    assert shown == text
    assert told[-1] == Finished()


def test_a_file_among_outputs_is_attached_and_never_linked() -> None:
    file = {"dify_model_identity": "__dify__file__", "filename": "a.png", "url": "http://x/sign"}
    assert show({"file": file}) == ""
    assert show({"files": [file, file], "text": "both"}) == "both"
    assert show({"deep": {"of": [{"it": file}]}}) == '**deep**: {"of": [{"it": "a.png"}]}'
    told = tell(Transcript(workflow=True), STARTED, finished(outputs={"a": file, "b": [file]}))
    assert told[1:] == [AnswerFile("http://x/sign", "", "a.png"), Finished()]


@pytest.mark.parametrize("status", ["partial-succeeded", "a status of tomorrow"])
def test_other_status_is_success(status: str) -> None:
    told = tell(Transcript(workflow=True), STARTED, chunk("x"), finished(status))
    assert told[-1] == Finished()


def test_stopped_run_is_stopped() -> None:
    told = tell(Transcript(workflow=False), STARTED, finished("stopped", error="Stopped by user."))
    assert told[-1] == Finished("stopped")


FORM = {"event": "human_input_required", **RUN, "data": {"form_content": "Please confirm"}}
PAUSE = {
    "event": "workflow_paused",
    **RUN,
    "data": {"reasons": [{"form_content": "Please confirm"}, None]},
}


@pytest.mark.parametrize("events", [[FORM, PAUSE], [PAUSE], [FORM, finished("paused")]])
def test_pause_carries_the_form(events: Events) -> None:
    told = tell(Transcript(workflow=True), STARTED, *events)
    assert told[-1] == Finished("paused", "Please confirm")


def test_form_without_pause_is_a_pause_when_the_stream_ends() -> None:
    transcript = Transcript(workflow=True)
    tell(transcript, STARTED, FORM)
    assert transcript.close() == Finished("paused", "Please confirm")


def test_error_as_first_event_still_names_the_conversation() -> None:
    error = {"event": "error", "conversation_id": "c", "code": "completion_request_error"}
    events = Transcript(workflow=False).read(json.dumps(error))
    assert next(events) == Started("", "c")
    with pytest.raises(DifyError):
        next(events)


def test_unknown_and_malformed_events_are_ignored() -> None:
    transcript = Transcript(workflow=False)
    told = tell(
        transcript,
        {"event": "of_tomorrow", "task_id": 7, "conversation_id": None},
        {"event": "message", "answer": None},
        {"event": "text_chunk", "data": "text"},
        {"no": "event"},
    )
    assert told == [Started("", "")]


@pytest.mark.parametrize("data", ["[DONE]", "7", '{"event": "mess', ""])
def test_what_is_no_event_is_said(data: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's own
        list(Transcript(workflow=False).read(data))
