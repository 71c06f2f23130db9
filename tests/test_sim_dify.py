"""The simulated Dify refuses what the real one refused, in its words, and breaks on demand."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from dod.sim.dify.files import Takes
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.samples import demo
from dod.sim.dify.scripts import Step
from dod.sim.dify.simulator import Answer, Fault, SimDify, echo
from tests.recordings.replay import HERE, recorded

KEY = "app-simulated"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# recording of a refusal: the kind of app that was asked
REFUSALS: dict[str, Kind] = {
    "completion_stream_top_query": "completion",
    "error_agent_blocking": "agent",
    "error_user_too_long": "chat",
    "error_no_authorization": "chat",
    "error_wrong_scheme": "chat",
    "error_bad_key": "chat",
    "error_bad_key_parameters": "chat",
    "error_api_disabled": "chat",
    "error_conversation_not_found": "chat",
    "error_conversation_not_uuid": "chat",
    "error_messages_other_user": "chat",
    "error_missing_query": "chat",
    "error_query_empty": "chat",
    "error_missing_inputs": "chat",
    "error_inputs_not_object": "chat",
    "error_missing_user": "chat",
    "error_response_mode": "chat",
    "error_missing_input_workflow": "workflow",
    "error_missing_input_completion": "completion",
    "error_not_chat_app": "workflow",
    "error_completion_key_at_chat": "completion",
    "error_chat_key_at_completion": "chat",
    "error_chat_key_at_workflow": "chat",
    "error_workflow_unpublished": "workflow",
    "error_workflow_unpublished_parameters": "workflow",
    "error_bad_json": "chat",
    "error_content_type": "chat",
    "error_path_404": "chat",
    "error_method_405": "chat",
    "error_too_many_requests": "chat",
    "stop_unknown_task": "chat",
    "error_feedback_unknown": "chat",
    "error_feedback_other_user": "chat",
}


def run(
    scenario: Callable[[SimDify, httpx.AsyncClient], Awaitable[None]],
) -> None:
    """Play ``scenario`` against a fresh simulator."""

    async def main() -> None:
        sim = SimDify()
        await sim.start()
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            async with httpx.AsyncClient(base_url=sim.url, headers=headers, timeout=5) as client:
                await asyncio.wait_for(scenario(sim, client), 10)
        finally:
            await sim.close()
            await sim.close()

    asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that another task does; the scenario has a deadline."""
    while not true():  # noqa: ASYNC110  the simulator tells nobody
        await asyncio.sleep(0.005)


def asking(query: str = "hello", user: str = "alice", **more: Any) -> dict[str, Any]:
    return {"inputs": {}, "query": query, "user": user, "response_mode": "streaming"} | more


async def streamed(
    client: httpx.AsyncClient, body: dict[str, Any], path: str = "/chat-messages"
) -> list[dict[str, Any]]:
    """The data events of one answer."""
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    lines = [line for line in response.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def text(events: list[dict[str, Any]]) -> str:
    return "".join(
        event.get("answer") or event.get("data", {}).get("text") or "" for event in events
    )


def names(events: list[dict[str, Any]]) -> list[str]:
    """Event names in order, nodes left out, repetitions once."""
    found: list[str] = []
    for event in events:
        name = str(event["event"])
        if not name.startswith("node_") and found[-1:] != [name]:
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (name, version)
        for version in ("0.15", "1.13")
        for name in REFUSALS
        if (HERE / f"dify-{version}" / f"{name}.http").exists()
        and (name, version) != ("error_missing_input_workflow", "1.13")  # silent there
    ],
)
def test_refuses_as_recorded(name: str, version: Version) -> None:
    request, response = recorded(f"dify-{version}", name)

    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, REFUSALS[name], version=version)
        app.enabled = name != "error_api_disabled"
        app.published = "unpublished" not in name
        app.max_concurrent = 1 if "too_many" in name else 0
        head, _, body = request.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        sent = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
        key = "app-unknown" if "bad_key" in name else KEY
        scheme = sent.get("Authorization", "").partition(" ")[0]
        headers = {"Authorization": f"{scheme} {key}" if scheme else ""}
        if kind := sent.get("Content-Type"):
            headers["Content-Type"] = kind
        busy = None
        if app.max_concurrent:
            app.answer = lambda *_: Answer("slow", first_delay=5)
            busy = asyncio.create_task(client.post("/chat-messages", json=asking()))
            await until(lambda: sim.running > 0)
        got = await client.request(method, path.removeprefix("/v1"), content=body, headers=headers)
        if busy:
            busy.cancel()
        status = int(response.split(b" ", 2)[1])
        told = response.partition(b"\r\n\r\n")[2].decode()
        assert got.status_code == status
        if told.startswith("{"):
            assert UUID.sub("", json.dumps(got.json())) == UUID.sub(
                "", json.dumps(json.loads(told))
            )
        else:
            assert got.text.split() == told.split()

    run(scenario)


ORDER: dict[tuple[Kind, Version], list[str]] = {
    ("chat", "0.15"): ["message", "message_end"],
    ("chat", "1.13"): ["message", "message_end"],
    ("agent", "0.15"): ["agent_thought", "agent_message", "agent_thought", "message_end"],
    ("completion", "1.13"): ["message", "message_end"],
    ("chatflow", "0.15"): ["workflow_started", "message", "workflow_finished", "message_end"],
    ("chatflow", "1.13"): ["workflow_started", "message", "workflow_finished"],
    ("chatflow", "1.13.1"): ["workflow_started", "message", "message_end", "workflow_finished"],
    ("workflow", "0.15"): ["workflow_started", "text_chunk", "workflow_finished"],
    ("workflow", "1.13"): ["workflow_started", "text_chunk", "workflow_finished"],
}
PATHS = {"completion": "/completion-messages", "workflow": "/workflows/run"}


@pytest.mark.parametrize(("kind", "version"), ORDER)
def test_events_come_in_the_order_of_the_version(kind: Kind, version: Version) -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, kind, version=version)
        body = asking(inputs={"query": "hello"})
        events = await streamed(client, body, PATHS.get(kind, "/chat-messages"))
        assert names(events) == ORDER[kind, version]
        assert text(events).startswith("You said: hello.")
        assert ("conversation_id" in events[0]) == (kind not in PATHS)
        asked = sim.requests[0]
        assert (asked.user, asked.query, asked.outcome) == ("alice", "hello", "complete")
        assert asked.at <= asked.first_token_at <= asked.last_token_at <= asked.finished

    run(scenario)


def test_conversation_is_of_one_app_and_one_user() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, "chat")
        sim.add_app("app-other", "chat")
        first = await streamed(client, asking())
        known = str(first[0]["conversation_id"])
        again = await streamed(client, asking(conversation_id=known))
        assert text(again) == "You said: hello. (turn 2)"
        assert again[0]["conversation_id"] == known
        other = {"Authorization": "Bearer app-other"}
        body = asking(conversation_id=known)
        foreign = await client.post("/chat-messages", json=body, headers=other)
        stranger = await client.post("/chat-messages", json=body | {"user": "bob"})
        sim.forget(known)
        gone = await client.post("/chat-messages", json=body)
        assert [foreign.status_code, stranger.status_code, gone.status_code] == [404, 404, 404]
        assert sim.requests[-1].outcome == "refused"

    run(scenario)


def test_conversations_survive_a_restart_on_the_same_port() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, "chat")
        first = await streamed(client, asking())
        before = sim.url
        await sim.close()
        await sim.start()
        assert sim.url == before
        async with httpx.AsyncClient(base_url=sim.url, headers=client.headers) as later:
            again = await streamed(later, asking(conversation_id=first[0]["conversation_id"]))
        assert text(again).endswith("(turn 2)")

    run(scenario)


@pytest.mark.parametrize("user", ["alice", "bob"])
@pytest.mark.parametrize(("kind", "version"), ORDER)
def test_stop_ends_only_the_users_own_task(kind: Kind, version: Version, user: str) -> None:
    """Except where a worker runs it: 1.13 asks nobody there (dify-api §3)."""

    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, kind, version=version)
        path = PATHS.get(kind, "/chat-messages")
        ends = kind in {"chatflow", "workflow"} and version != "0.15"
        stopped = ends or user == "alice"
        # Long where it is to be stopped: the stop must find it running on a busy machine, too.
        app.answer = lambda *_: Answer("x" * (8000 if stopped else 24), interval=0.015)
        task = ""
        seen = ""
        body = asking(inputs={"query": "hello"})
        async with client.stream("POST", path, json=body) as response:
            async for line in response.aiter_lines():
                seen += line
                if line.startswith("data: ") and not task:
                    task = json.loads(line.removeprefix("data: "))["task_id"]
                    where = "/workflows/tasks" if kind == "workflow" else path
                    stop = await client.post(f"{where}/{task}/stop", json={"user": user})
                    assert stop.json() == {"result": "success"}
        assert sim.stops[0].hit == stopped
        assert sim.requests[0].outcome == ("stopped" if stopped else "complete")
        assert ('"stopped"' in seen.replace(": ", ":")) == (
            stopped and kind in {"chatflow", "workflow"}
        )

    run(scenario)


def test_unknown_conversation_on_a_relayed_chatflow_is_silence() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, "chatflow", version="1.13")
        body = asking(conversation_id="00000000-0000-0000-0000-000000000007")
        async with client.stream("POST", "/chat-messages", json=body, timeout=0.1) as response:
            chunks = response.aiter_bytes()
            assert await anext(chunks) == b"event: ping\n\n"
            with pytest.raises(httpx.ReadTimeout):
                await anext(chunks)

    run(scenario)


def test_silence_is_pinged() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, "chat")
        app.ping_every = 0.02
        app.answer = lambda *_: Answer("late", first_delay=0.09)
        response = await client.post("/chat-messages", json=asking())
        assert response.text.startswith("event: ping\n\nevent: ping\n\n")
        app.ping_every = 0
        response = await client.post("/chat-messages", json=asking())
        assert "ping" not in response.text

    run(scenario)


def test_faults_strike_the_next_requests_only() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, "chat")
        app.fail_next(Fault("overload"))
        app.fail_next(Fault("refuse", status=502, message="Bad Gateway", html=True))
        app.fail_next(Fault("error", after=2))
        app.fail_next(Fault("end", after=1))
        app.fail_next(Fault("reset", after=1))
        app.fail_next(Fault("reset", after=-1))
        busy = await client.post("/chat-messages", json=asking())
        assert busy.json()["message"].startswith("Too many requests.")
        gateway = await client.post("/chat-messages", json=asking())
        assert (gateway.status_code, gateway.headers["content-type"]) == (
            502,
            "text/html; charset=utf-8",
        )
        failed = await streamed(client, asking())
        assert names(failed) == ["message", "error"]
        assert text(failed) == "You said"
        assert names(await streamed(client, asking())) == ["message"]
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                await client.post("/chat-messages", json=asking())
        assert names(await streamed(client, asking())) == ["message", "message_end"]
        assert [asked.outcome for asked in sim.requests] == [
            "refused",
            "refused",
            "failed",
            "broken",
            "broken",
            "broken",
            "complete",
        ]

    run(scenario)


@pytest.mark.parametrize(
    ("kind", "version", "order"),
    [
        ("chatflow", "0.15", ["workflow_started", "message", "workflow_finished", "error"]),
        ("chatflow", "1.13", ["workflow_started", "message", "workflow_finished"]),
        ("workflow", "1.13", ["workflow_started", "text_chunk", "workflow_finished"]),
        ("agent", "1.13", ["agent_thought", "agent_message", "error"]),
    ],
)
def test_failure_is_told_as_the_kind_and_version_tell_it(
    kind: Kind, version: Version, order: list[str]
) -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, kind, version=version).fault = Fault("error", after=1)
        body = asking(inputs={"query": "hello"})
        events = await streamed(client, body, PATHS.get(kind, "/chat-messages"))
        assert names(events) == order

    run(scenario)


def test_close_ends_hanging_answers_at_once() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, "chat")
        app.fail_next(Fault("hang", after=1))
        app.fail_next(Fault("hang", after=-1))
        calls = [
            asyncio.create_task(client.post("/chat-messages", json=asking())) for _ in range(2)
        ]
        await until(lambda: len(sim.requests) == 2 and sim.running > 0)
        await asyncio.wait_for(sim.close(), 2)
        for call in calls:
            with pytest.raises(httpx.HTTPError):
                await call

    run(scenario)


def test_answers_blocking_where_the_real_one_does() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, "chat", version="0.15")
        body = asking()
        del body["response_mode"]
        told = (await client.post("/chat-messages", json=body)).json()
        assert (told["mode"], told["answer"]) == ("chat", "You said: hello. (turn 1)")
        sim.add_app(KEY, "workflow")
        body["inputs"] = {"query": "hello"}
        told = (await client.post("/workflows/run", json=body)).json()
        assert told["data"]["outputs"] == {"text": "You said: hello."}

    run(scenario)


def test_tells_what_it_is() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, "workflow", version="1.13")
        assert (await client.get("/info")).json()["mode"] == "workflow"
        form = (await client.get("/parameters")).json()["user_input_form"]
        assert form[0]["paragraph"]["variable"] == "query"
        assert (await client.get("/meta")).json() == {"tool_icons": {}}
        sim.add_app(KEY, "chat", version="0.15")
        assert "mode" not in (await client.get("/info")).json()

    run(scenario)


def test_echo_streams_as_many_tokens_as_told() -> None:
    answer = echo(tokens=200, interval=0.05, first_delay=0.3)("hi", 1, "alice", {})
    assert len(answer.pieces()) == 200
    assert answer.text == "".join(answer.pieces())


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("你好", "第 1 轮"),
        ("年假怎么算？", "| 工龄 |"),
        ("write some code", "```python"),
        ("how do I claim expenses?", "1. Collect"),
        ("天气如何", "关于“天气如何”"),
    ],
)
def test_demo_answers_in_the_language_of_the_question(query: str, part: str) -> None:
    answer = demo(query, 1, "alice", {})
    assert part in answer.text
    assert "".join(answer.pieces()) == answer.text
    assert "{" not in answer.text.replace("{path.name}", "").replace("{len(lines)}", "")


def test_a_rating_is_taken_back_once_and_nothing_odd_is_taken() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        sim.add_app(KEY, "chat")
        path = f"/messages/{(await streamed(client, asking()))[0]['message_id']}/feedbacks"

        async def rate(rating: object, **more: object) -> tuple[int, str]:
            body = {"rating": rating, "user": "alice", **more}
            response = await client.post(path, json=body)
            return response.status_code, response.json().get("message", "")

        never = (400, "rating cannot be None when feedback not exists")
        assert await rate(None) == never
        assert await rate("like", content="note") == (200, "")
        assert await rate(None, content="note") == (200, "")
        assert await rate(None) == never
        assert (await rate("great"))[0] == 400
        assert (await rate("like", content=7))[0] == 400
        assert (await client.get(path)).status_code == 405
        assert [it.rating for it in sim.ratings.taken] == ["like", None]

    run(scenario)


QUESTIONS = ("What is next?", "Tell me more", "Thank you")


@pytest.mark.parametrize("version", ["0.15", "1.13"])
def test_suggested_questions_as_recorded(version: Version) -> None:
    """What an app says of itself, what it suggests, and whom it refuses."""

    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, "chat", version=version)
        app.answer = lambda *_: Answer("hi", next=QUESTIONS)
        message_id = (await streamed(client, asking()))[0]["message_id"]
        path = f"/messages/{message_id}/suggested"

        async def refused(name: str, user: str) -> None:
            got = await client.get(path, params={"user": user} if user else {})
            status, body = recorded(f"dify-{version}", name)[1].split(b"\r\n\r\n", 1)
            assert str(got.status_code).encode() in status.split(b"\r\n")[0]
            assert got.json() == json.loads(body)

        await refused("error_suggested_disabled", "alice")
        await refused("error_suggested_other_user", "bob")
        await refused("error_suggested_no_user", "")
        app.suggests, app.opening, app.openers = True, "Hello.", ("What can you do?",)
        got = (await client.get(path, params={"user": "alice"})).json()
        assert got == json.loads(recorded("dify-0.15", "suggested")[1].split(b"\r\n\r\n", 1)[1])
        told = (await client.get("/parameters")).json()
        assert told["opening_statement"] == "Hello."
        assert told["suggested_questions"] == ["What can you do?"]
        assert told["suggested_questions_after_answer"] == {"enabled": True}

    run(scenario)


@pytest.mark.parametrize("version", ["0.15", "1.13"])
def test_citations_have_the_fields_that_were_recorded(version: Version) -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, "chat", version=version)
        app.answer = lambda *_: Answer("hi", sources=("handbook.pdf", "faq.md"))
        end = (await streamed(client, asking()))[-1]
        cited = end["metadata"]["retriever_resources"]
        assert [it["document_name"] for it in cited] == ["handbook.pdf", "faq.md"]
        body = recorded(f"dify-{version}", "chat_kb_stream")[1].decode()
        real = json.loads(re.findall(r"^data: (.*message_end.*)$", body, re.MULTILINE)[-1])
        known = real["metadata"]["retriever_resources"][0]
        assert set(cited[0]) == set(known)
        assert set(end["metadata"]) == set(real["metadata"])

    run(scenario)


def test_an_agents_tool_and_a_workflows_node_are_told() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        step = Step("web_search", "网页搜索", "Web search")
        agent = sim.add_app(KEY, "agent")
        agent.answer = lambda *_: Answer("found", steps=(step,))
        thoughts = [it for it in await streamed(client, asking()) if it["event"] == "agent_thought"]
        rounds = [(it["position"], it["tool"], it["observation"]) for it in thoughts]
        assert rounds == [
            (1, "", ""),
            (1, "web_search", ""),
            (1, "web_search", "{}"),
            (2, "", ""),
            (2, "", ""),
        ]
        body = recorded("dify-0.15", "agent_stream")[1].decode()
        real = next(json.loads(it) for it in re.findall(r"^data: (.*)$", body, re.MULTILINE))
        assert set(thoughts[1]) == set(real)
        assert thoughts[1]["tool_labels"]["web_search"]["zh_Hans"] == "网页搜索"
        assert thoughts[1]["id"] == thoughts[2]["id"] != thoughts[3]["id"]

        flow = sim.add_app("app-flow", "workflow")
        flow.answer = agent.answer
        client.headers["Authorization"] = "Bearer app-flow"
        asked = {"inputs": {"query": "x"}, "user": "alice", "response_mode": "streaming"}
        events = await streamed(client, asked, "/workflows/run")
        titles = [it["data"]["title"] for it in events if it["event"] == "node_started"]
        assert titles == ["START", "web_search", "LLM", "END"]

    run(scenario)


def test_a_script_of_its_own_answers_what_comes_with_files() -> None:
    async def scenario(sim: SimDify, client: httpx.AsyncClient) -> None:
        app = sim.add_app(KEY, "chat")
        app.takes = Takes(("image",))
        app.looks = lambda query, files: Answer(f"{query}: {[it.name for it in files]}")
        part = {"file": ("a.png", b"\x89PNG", "image/png")}
        got = (await client.post("/files/upload", files=part, data={"user": "alice"})).json()
        file = {"type": "image", "transfer_method": "local_file", "upload_file_id": got["id"]}
        assert text(await streamed(client, asking("look", files=[file]))) == "look: ['a.png']"
        assert text(await streamed(client, asking("look"))) == "You said: look. (turn 1)"

    run(scenario)
