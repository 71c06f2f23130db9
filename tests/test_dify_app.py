"""DifyApp against the simulated Dify, and against bytes that no Dify should send."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from dod.dify import DifyApp
from dod.dify.answer import EVENT_LONGEST
from dod.errors import AnswerCut, ConversationGone, DifyError
from dod.messages import AnswerEvent, Finished, Question, Started, TextDelta, TextReplaced, digest
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.simulator import Answer, Fault, SimDify
from tests.recordings.replay import Play, Replay

KEY = "app-simulated"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n"
)
MESSAGE = b'data: {"event": "message", "task_id": "t", "conversation_id": "c", "answer": "Hi"}\n\n'
END = b'data: {"event": "message_end"}\n\n'


class Told:
    """What one answer told: every event, the text as shown, the first and the last."""

    def __init__(self) -> None:
        self.events: list[AnswerEvent] = []
        self.error: DifyError | None = None

    @property
    def text(self) -> str:
        shown = ""
        for event in self.events:
            if isinstance(event, TextDelta):
                shown += event.text
            elif isinstance(event, TextReplaced):
                shown = event.text
        return shown

    @property
    def started(self) -> Started:
        first = self.events[0]
        assert isinstance(first, Started)
        return first

    @property
    def finished(self) -> Finished:
        assert self.error is None, self.error
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last


async def hear(app: DifyApp, question: Question) -> Told:
    told = Told()
    try:
        async for event in app.ask(question):
            told.events.append(event)
    except DifyError as exc:
        told.error = exc
    return told


def asked(text: str = "hello", conversation_id: str = "", user: str = "alice") -> Question:
    return Question(text, user, {"query": text}, conversation_id)


def against_sim(
    scenario: Callable[[SimDify, DifyApp], Awaitable[None]],
    kind: Kind = "chat",
    version: Version = "1.13",
    **options: Any,
) -> None:
    """Play ``scenario`` with one app of that kind, asked by a ``DifyApp`` in a hurry."""
    app_type: Any = kind if kind in {"completion", "workflow"} else "chatbot"
    hurried: Any = {"timeout": 5.0, "linger": 0.1, "pauses": (0.0, 0.0, 0.0), **options}

    async def main() -> None:
        sim = SimDify()
        await sim.start()
        sim.add_app(KEY, kind, version=version)
        app = DifyApp(url=sim.url, key=KEY, app_type=app_type, **hurried)
        try:
            await asyncio.wait_for(scenario(sim, app), 10)
        finally:
            await app.aclose()
            await app.aclose()
            await sim.close()

    asyncio.run(main())


def against_bytes(
    *plays: Play, question: Question | None = None, app_type: Any = "chatbot", **options: Any
) -> tuple[Told, Replay]:
    """What one answer of those bytes tells, and what the server saw."""
    hurried: Any = {"timeout": 5.0, "pauses": (), **options}

    async def main() -> tuple[Told, Replay]:
        async with Replay([*plays]) as dify:
            app = DifyApp(url=dify.url, key=KEY, app_type=app_type, **hurried)
            try:
                return await asyncio.wait_for(hear(app, question or asked()), 10), dify
            finally:
                await app.aclose()

    return asyncio.run(main())


KINDS: list[tuple[Kind, Version]] = [
    ("chat", "0.15"),
    ("chat", "1.13"),
    ("agent", "1.13"),
    ("completion", "0.15"),
    ("completion", "1.13"),
    ("chatflow", "0.15"),
    ("chatflow", "1.13"),
    ("chatflow", "1.13.1"),
    ("workflow", "0.15"),
    ("workflow", "1.13"),
]


@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_context_is_kept(kind: Kind, version: Version) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        first = await hear(app, asked("我是谁？"))
        assert first.finished == Finished()
        assert first.text.startswith("You said: 我是谁？.")
        assert first.started.task_id
        known = first.started.conversation_id
        assert bool(known) == (kind not in {"completion", "workflow"})
        second = await hear(app, asked("and now?", known))
        assert second.text == "You said: and now?." + (" (turn 2)" if known else "")
        assert second.started.conversation_id == known
        assert [seen.outcome for seen in sim.requests] == ["complete", "complete"]
        assert sim.connections == 1, "the connection is used again"

    against_sim(scenario, kind, version)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(
    ("kind", "version"), [("chat", "0.15"), ("agent", "1.13"), ("workflow", "1.13")]
)
def test_text_is_whole_however_the_bytes_are_cut(kind: Kind, version: Version, size: int) -> None:
    text = "你好，世界！👨\u200d👩\u200d👧\u200d👦 \u2028e\u0301\r\n| a |\n"

    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).split = size
        sim.app(KEY).answer = lambda *_: Answer(text, thinking="hm")
        told = await hear(app, asked())
        assert told.finished
        assert told.text.endswith(text)
        assert "hm" in told.text

    against_sim(scenario, kind, version)


@pytest.mark.parametrize("version", ["0.15", "1.13"])
def test_forgotten_conversation_is_told(version: Version) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        known = (await hear(app, asked())).started.conversation_id
        sim.forget()
        told = await hear(app, asked("again", known))
        assert isinstance(told.error, ConversationGone)
        assert told.events == []
        assert (await hear(app, asked("again"))).text.endswith("(turn 1)")

    against_sim(scenario, "chat", version)
    against_sim(scenario, "chatflow", version, first_event=0.05)


def test_app_that_pings_is_left_alone() -> None:
    """A slow chat on a remembered conversation is no silent chatflow."""

    async def scenario(sim: SimDify, app: DifyApp) -> None:
        known = (await hear(app, asked())).started.conversation_id
        sim.app(KEY).ping_every = 0.02
        sim.app(KEY).answer = lambda *_: Answer("late", first_delay=0.3)
        told = await hear(app, asked("again", known))
        assert told.text == "late"

    against_sim(scenario, first_event=0.15)


def test_new_conversation_is_left_alone() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).answer = lambda *_: Answer("late", first_delay=0.15)
        assert (await hear(app, asked())).text == "late"

    against_sim(scenario, first_event=0.05)


@pytest.mark.parametrize("kind", ["chat", "chatflow"])
def test_slow_answer_on_a_known_conversation_is_waited_for(kind: Kind) -> None:
    """Nothing tells it from a silent chatflow but Dify itself, which is asked once."""

    async def scenario(sim: SimDify, app: DifyApp) -> None:
        known = (await hear(app, asked())).started.conversation_id
        sim.app(KEY).ping_every = 0
        said = sim.app(KEY).answer
        await hear(app, asked("one", known))
        assert sim.history.asked_for == 0, "an answer that comes soon costs no call"
        sim.app(KEY).answer = lambda *args: replace(said(*args), first_delay=0.3)
        told = await hear(app, asked("again", known))
        assert told.finished
        assert told.text.endswith("(turn 3)")
        assert sim.history.asked_for == (kind == "chat"), "a chatflow says at once that it began"

    against_sim(scenario, kind, first_event=0.05)


@pytest.mark.parametrize("version", ["0.15", "1.13"])
@pytest.mark.parametrize(("fault", "key"), [("end", "dify_cut"), ("hang", "dify_timeout")])
def test_stream_without_an_event_forgets_no_known_conversation(
    version: Version, fault: Literal["end", "hang"], key: str
) -> None:
    """Nor is the question asked again: it may have been heard."""

    async def scenario(sim: SimDify, app: DifyApp) -> None:
        known = (await hear(app, asked())).started.conversation_id
        sim.app(KEY).fail_next(Fault(fault, seconds=60))
        told = await hear(app, asked("again", known))
        assert type(told.error) is DifyError
        assert told.error.key == key
        assert sim.history.asked_for
        assert len(sim.requests) == 2

    against_sim(scenario, "chat", version, timeout=0.3)


def test_silence_is_taken_for_forgetting_only_where_nobody_can_say() -> None:
    """An address that passes on questions alone; elsewhere a failure is no proof."""
    page = b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nno"
    empty = Play(STREAM)
    for status, gone in ((b"404 Not Found", True), (b"502 Bad Gateway", False)):
        told, dify = against_bytes(
            empty, Play(page % status), question=asked(conversation_id="c-1")
        )
        assert isinstance(told.error, ConversationGone) == gone
        assert dify.requests[1][0] == (
            "GET /v1/messages?conversation_id=c-1&user=alice&limit=1 HTTP/1.1"
        )


@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_stopped_answer_ends_by_itself(kind: Kind, version: Version) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).answer = lambda *_: Answer("x" * 4000, interval=0.01)
        text, last = "", None
        async for event in app.ask(asked()):
            match event:
                case Started():
                    task_id = event.task_id
                case TextDelta() if not text:
                    text = event.text
                    await app.stop(task_id, "alice")
                case Finished():
                    last = event
        # Chat apps do not tell that they were stopped (dify-api §2).
        assert last == Finished("stopped" if kind in {"chatflow", "workflow"} else "complete")
        assert sim.requests[0].outcome == "stopped"

    against_sim(scenario, kind, version)


def test_stop_of_no_task_is_no_call() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        await app.stop("", "alice")
        await app.stop("no/such", "alice")
        assert [(stop.user, stop.hit) for stop in sim.stops] == []

    with pytest.raises(DifyError) as caught:
        against_sim(scenario)
    assert caught.value.key == "dify_not_found"


def test_stop_that_cannot_be_said_raises() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        await sim.close()
        with pytest.raises(DifyError) as caught:
            await app.stop("t", "alice")
        assert caught.value.key == "dify_unreachable"

    against_sim(scenario)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("overload"),
        Fault("refuse", status=429, code="too_many_requests", message="later"),
        Fault("refuse", status=502, message="Bad Gateway", html=True),
        Fault("refuse", status=503, message="Service Unavailable", html=True),
        Fault("refuse", status=504, message="Gateway Time-out", html=True),
    ],
)
def test_busy_dify_is_asked_again(fault: Fault) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).fail_next(fault, 3)
        assert (await hear(app, asked())).text == "You said: hello. (turn 1)"
        sim.app(KEY).fail_next(fault, 4)
        told = await hear(app, asked())
        assert told.error
        assert told.error.retry
        assert told.error.key in {"dify_overloaded", "dify_gateway"}
        assert len(sim.requests) == 8

    against_sim(scenario)


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (Fault("refuse", status=429, code="rate_limit_error", message="quota"), "dify_rate"),
        (Fault("refuse", status=500, code="unknown", message="oops"), "dify_internal"),
        (Fault("refuse", status=401, code="unauthorized", message="no"), "dify_key"),
        (Fault("error"), "dify_model_failed"),
        (Fault("error", after=2, message="Rate limit reached"), "dify_model_busy"),
    ],
)
def test_other_failures_are_not_asked_again(fault: Fault, key: str) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).fail_next(fault)
        told = await hear(app, asked())
        assert told.error
        assert told.error.key == key
        assert len(sim.requests) == 1
        assert len(told.text) == 4 * fault.after

    against_sim(scenario)


def test_impatience_ends_the_attempts() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).fault = Fault("overload")
        assert (await hear(app, asked())).error
        assert len(sim.requests) == 1

    against_sim(scenario, patience=0.0)


def test_dify_that_is_not_there_is_unreachable() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        await sim.close()
        told = await hear(app, asked())
        assert told.error
        assert (told.error.key, told.error.retry) == ("dify_unreachable", True)

    against_sim(scenario)


def test_dify_that_comes_up_meanwhile_is_reached() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        await sim.close()
        asking = asyncio.create_task(hear(app, asked()))
        await asyncio.sleep(0.02)
        await sim.start()
        assert (await asking).text == "You said: hello. (turn 1)"

    against_sim(scenario, pauses=(0.04,) * 10)


def test_kept_connection_that_was_closed_is_no_failure() -> None:
    """Dify restarts between two questions: the second is asked on a new connection."""

    async def scenario(sim: SimDify, app: DifyApp) -> None:
        assert (await hear(app, asked())).text
        await sim.close()
        await sim.start()
        assert (await hear(app, asked())).text
        assert len(sim.requests) == 2

    against_sim(scenario, pauses=())


def test_kept_connection_that_dies_when_used_is_replaced() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s"
    whole = ok % (len(MESSAGE + END), MESSAGE + END)

    async def main() -> None:
        # The empty play reads the second request and closes without a word.
        async with Replay([Play(whole), Play(), Play(whole)]) as dify:
            app = DifyApp(url=dify.url, key=KEY, app_type="chatbot", pauses=())
            for _ in range(2):
                assert (await hear(app, asked())).text == "Hi"
            await app.aclose()
            assert dify.connections == 2
            assert not dify.plays

    asyncio.run(main())


def test_workflow_is_not_asked_again_where_a_kept_connection_dies() -> None:
    """It may have begun: nobody can tell that from a connection that was closed already."""
    done = b'data: {"event": "workflow_finished", "workflow_run_id": "r", "task_id": "t", "data": '
    done += b'{"status": "succeeded", "outputs": {"text": "Hi"}}}\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    whole = head % len(done) + done

    async def main() -> None:
        async with Replay([Play(whole), Play(), Play(whole)]) as dify:
            app = DifyApp(url=dify.url, key=KEY, app_type="workflow", pauses=())
            assert (await hear(app, asked())).text == "Hi"
            told = await hear(app, asked())
            await app.aclose()
            assert told.error
            assert told.error.key == "dify_cut"
            assert len(dify.plays) == 1

    asyncio.run(main())


def test_new_connection_that_dies_is_not_asked_again() -> None:
    told, dify = against_bytes(Play(), Play(STREAM + MESSAGE + END), pauses=(0.0,))
    assert told.error
    assert told.error.key == "dify_cut"
    assert len(dify.requests) == 1


@pytest.mark.parametrize(
    ("fault", "key", "cut"),
    [
        (Fault("end", after=2), "dify_cut", True),
        (Fault("reset", after=2), "dify_cut", True),
        (Fault("garbage", after=2), "dify_cut", True),
        (Fault("hang", after=2), "dify_timeout", True),
        (Fault("hang", after=0), "dify_timeout", False),
        (Fault("hang", after=-1), "dify_timeout", False),
        (Fault("reset", after=-1), "dify_cut", False),
        (Fault("garbage", after=0), "dify_cut", False),
        (Fault("end", after=0), "dify_cut", False),
    ],
)
def test_broken_answer_keeps_its_text(fault: Fault, key: str, *, cut: bool) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).fail_next(fault)
        told = await hear(app, asked())
        assert told.error
        assert (told.error.key, isinstance(told.error, AnswerCut)) == (key, cut)
        assert told.error.retry
        assert told.text == ("You said" if cut else "")
        assert len(sim.requests) == 1
        assert (await hear(app, asked())).finished

    against_sim(scenario, timeout=0.1)


def test_closing_the_iterator_hangs_up() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).answer = lambda *_: Answer("x" * 400, interval=0.01)
        async with contextlib.aclosing(app.ask(asked())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        while not sim.requests[0].outcome:  # noqa: ASYNC110  the simulator tells nobody
            await asyncio.sleep(0.005)
        assert sim.requests[0].outcome == "hung up"
        sim.app(KEY).answer = lambda *_: Answer("on")
        assert (await hear(app, asked())).finished

    against_sim(scenario)


def test_cancelled_turn_leaves_nothing_open() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).fail_next(Fault("hang", after=1))
        asking = asyncio.create_task(hear(app, asked()))
        while not sim.running:  # noqa: ASYNC110  the simulator tells nobody
            await asyncio.sleep(0.005)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await hear(app, asked())).finished

    against_sim(scenario)


def test_many_stream_at_once() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        sim.app(KEY).answer = lambda query, *_: Answer(query * 20, interval=0.001)
        queries = [f"<{n}>" for n in range(120)]
        all_told = await asyncio.gather(*(hear(app, asked(query)) for query in queries))
        assert [told.text for told in all_told] == [query * 20 for query in queries]
        assert len({told.started.conversation_id for told in all_told}) == 120

    against_sim(scenario)


@pytest.mark.parametrize("app_type", ["chatbot", "completion", "workflow"])
@pytest.mark.parametrize("kind", ["chat", "completion", "workflow"])
def test_wrong_kind_of_app_is_told(kind: Kind, app_type: Any) -> None:
    async def scenario(sim: SimDify, _app: DifyApp) -> None:
        app = DifyApp(url=sim.url, key=KEY, app_type=app_type)
        told = await hear(app, asked())
        await app.aclose()
        if app_type == kind.replace("chat", "chatbot"):
            assert told.finished
        else:
            assert told.error
            assert told.error.key == "dify_app_type"

    against_sim(scenario, kind)


@pytest.mark.parametrize("key", ["app-密钥", "app-x\nX-Evil: 1", "app-\u200bx", ""])
def test_key_that_no_header_can_carry_is_a_wrong_key(key: str) -> None:
    async def scenario(sim: SimDify, _app: DifyApp) -> None:
        app = DifyApp(url=sim.url, key=key, app_type="chatbot")
        told = await hear(app, asked())
        await app.aclose()
        assert told.error
        assert told.error.key == "dify_key"

    against_sim(scenario)


def test_request_says_what_each_kind_needs() -> None:
    question = Question("hello", "u" * 300, {"name": "Ann"}, "c-1")
    common = {
        "inputs": {"name": "Ann"},
        "user": digest("u" * 300),
        "response_mode": "streaming",
    }
    chat = {"query": "hello", "auto_generate_name": False, "conversation_id": "c-1"}
    for app_type, path, own in (
        ("chatbot", "/v1/chat-messages", chat),
        ("completion", "/v1/completion-messages", {}),
        ("workflow", "/v1/workflows/run", {}),
    ):
        _, dify = against_bytes(Play(STREAM + MESSAGE + END), question=question, app_type=app_type)
        line, headers, body = dify.requests[0]
        assert line == f"POST {path} HTTP/1.1"
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["content-type"] == "application/json"
        assert body == common | own


def test_fingerprint_names_url_and_key() -> None:
    async def fingerprint(url: str, key: str) -> str:
        app = DifyApp(url=url, key=key, app_type="chatbot")
        await app.aclose()
        return app.fingerprint

    pairs = [("http://a/v1", "k"), ("http://b/v1", "k"), ("http://a/v1", "l")]
    names = [asyncio.run(fingerprint(url, key)) for url, key in pairs]
    assert len(set(names)) == 3
    assert names[0] == digest("http://a/v1", "k")


def test_terminal_event_ends_the_answer_not_the_body() -> None:
    told, _ = against_bytes(Play(STREAM + MESSAGE + END, hold=True))
    assert told.finished
    assert told.text == "Hi"


RUN = b'data: {"event": "workflow_started", "workflow_run_id": "r", "task_id": "t"}\n\n'
RUN_END = (
    b'data: {"event": "workflow_finished", "workflow_run_id": "r", '
    b'"data": {"status": "succeeded", "outputs": {}}}\n\n'
)


@pytest.mark.parametrize("last", [RUN_END, END])
def test_second_terminal_event_is_not_waited_for_long(last: bytes) -> None:
    told, _ = against_bytes(Play(STREAM + RUN + MESSAGE + last, hold=True), linger=0.05)
    assert told.finished == Finished()


def test_connection_that_breaks_after_a_terminal_event_is_no_failure() -> None:
    chunked = STREAM.replace(b"Connection", b"Transfer-Encoding: chunked\r\nConnection")
    body = RUN + MESSAGE + RUN_END
    told, _ = against_bytes(Play(chunked + b"%x\r\n%s\r\n" % (len(body), body)))
    assert told.finished


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_line_ending_and_comments_and_pings_are_understood(newline: bytes) -> None:
    body = b": hello\n\nevent: ping\n\nid: 7\nretry: 10\n" + MESSAGE + b"event: ping\n\n" + END
    for size in (0, 1):
        told, _ = against_bytes(Play(STREAM + body.replace(b"\n", newline), size))
        assert told.text == "Hi"
        assert told.finished


def test_charset_of_the_header_is_not_believed() -> None:
    said = MESSAGE.replace(b"Hi", "你好".encode()) + END
    told, _ = against_bytes(Play(STREAM.replace(b"utf-8", b"iso-8859-1") + said))
    assert told.text == "你好"


@pytest.mark.parametrize("name", [b"message", b"workflow_finished"])
def test_brackets_within_brackets_without_number_are_no_event(name: bytes) -> None:
    deep = b'data: {"event": "%s", "data": %s%s}\n\n' % (name, b"[" * 50_000, b"]" * 50_000)
    told, _ = against_bytes(Play(STREAM + MESSAGE + deep + END))
    assert told.text == "Hi"
    assert isinstance(told.error, AnswerCut)


def test_event_without_end_is_given_up() -> None:
    endless = STREAM + MESSAGE + b"data: " + b"x" * (EVENT_LONGEST + 1)
    told, _ = against_bytes(Play(endless, hold=True))
    assert isinstance(told.error, AnswerCut)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 307 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_address_that_is_no_dify_is_told(answer: bytes) -> None:
    told, _ = against_bytes(Play(answer))
    assert told.error
    assert told.error.key == "dify_not_found"


def test_refusal_without_end_is_given_up() -> None:
    endless = b"HTTP/1.1 401 NO\r\nContent-Length: 9999999\r\n\r\n" + b" " * 70_000
    told, _ = against_bytes(Play(endless, hold=True))
    assert told.error
    assert told.error.key == "dify_proxy"


def test_what_is_no_http_is_told() -> None:
    told, _ = against_bytes(Play(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))
    assert told.error
    assert told.error.key == "dify_cut"


# -- ratings


@pytest.mark.parametrize("kind", ["chat", "agent", "chatflow", "completion"])
@pytest.mark.parametrize("version", ["0.15", "1.13"])
def test_an_answer_is_rated_by_the_name_it_started_with(kind: Kind, version: Version) -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        told = await hear(app, asked())
        await app.rate(told.started.message_id, "like", "alice")
        await app.rate(told.started.message_id, "dislike", "alice", "not so")
        assert [(it.rating, it.user, it.content) for it in sim.ratings.taken] == [
            ("like", "alice", ""),
            ("dislike", "alice", "not so"),
        ]

    against_sim(scenario, kind, version)


def test_a_workflow_has_no_answer_to_rate() -> None:
    async def scenario(_sim: SimDify, app: DifyApp) -> None:
        assert (await hear(app, asked())).started.message_id == ""

    against_sim(scenario, "workflow")


def test_a_long_user_rates_what_it_asked() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        user = "u" * 300
        told = await hear(app, asked(user=user))
        await app.rate(told.started.message_id, "like", user)
        assert len(sim.ratings.taken) == 1

    against_sim(scenario)


def test_ratings_that_dify_does_not_take() -> None:
    async def scenario(sim: SimDify, app: DifyApp) -> None:
        told = await hear(app, asked())
        name = told.started.message_id
        for message_id, user in ((name, "bob"), ("no-such", "alice")):
            with pytest.raises(DifyError) as caught:
                await app.rate(message_id, "like", user)
            assert caught.value.key == "rating_gone"
        sim.app(KEY).enabled = False
        with pytest.raises(DifyError) as caught:
            await app.rate(name, "like", "alice")
        assert caught.value.key == "dify_api_off"
        await sim.close()
        with pytest.raises(DifyError) as caught:
            await app.rate(name, "like", "alice")
        assert caught.value.key == "dify_unreachable"
        assert sim.ratings.taken == []

    against_sim(scenario)
