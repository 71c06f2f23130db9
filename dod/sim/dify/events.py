"""The events of one simulated answer, each as the bytes that its version of Dify writes.

Spelling after recordings of 0.15.3 and 1.13.0 (dify-api §2).
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from dod.sim.dify import citing
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.scripts import Step

_HOLE = "<token>"  # where a token goes in a prepared line
PING = b"event: ping\n\n"
_USAGE = {
    "prompt_tokens": 11,
    "prompt_unit_price": "0",
    "prompt_price_unit": "0",
    "prompt_price": "0",
    "completion_tokens": 4,
    "completion_unit_price": "0",
    "completion_price_unit": "0",
    "completion_price": "0",
    "total_tokens": 15,
    "total_price": "0",
    "currency": "USD",
    "latency": 0.02,
}


def dumps(value: Any, version: Version) -> str:
    """JSON as that version spells it: 0.15 with spaces and ASCII only, 1.13 compact."""
    if version == "0.15":
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Events:
    """Makes each event of one answer. ``files``: those that it brings."""

    def __init__(
        self,
        kind: Kind,
        version: Version,
        *,
        user: str,
        conversation_id: str,
        inputs: Any,
        files: Sequence[Mapping[str, Any]],
        sources: Sequence[str],
    ) -> None:
        self.task_id = str(uuid.uuid4())
        self._kind = kind
        self._version = version
        self._inputs = inputs
        self.files = list(files)
        self._sources = sources
        self._thoughts: dict[int, str] = {}  # ids by position
        self._created_by = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, user)), "user": user}
        self._now = int(time.time())
        self._run_id = str(uuid.uuid4())
        self.message_id = str(uuid.uuid4())
        self._common: dict[str, Any] = {"workflow_run_id": self._run_id}
        if kind != "workflow":
            self._common = {"message_id": self.message_id, "created_at": self._now}
        if conversation_id:
            self._common = {"conversation_id": conversation_id, **self._common}
        self._common["task_id"] = self.task_id
        self._head, self._tail = self._token_line()

    def token(self, text: str) -> bytes:
        """The event that brings ``text``."""
        return self._head + dumps(text, self._version).encode() + self._tail

    def blocking(self, text: str, outputs: Mapping[str, Any] | None) -> dict[str, Any]:
        """The whole answer as one JSON object."""
        if self._kind == "workflow":
            run = self._finished("succeeded", dict(outputs or {"text": text}), None)
            return {"task_id": self.task_id, "workflow_run_id": self._run_id, "data": run}
        return {
            "event": "message",
            **self._common,
            "id": self.message_id,
            "mode": {"agent": "agent-chat", "chatflow": "advanced-chat"}.get(
                self._kind, self._kind
            ),
            "answer": text,
            "metadata": {"usage": _USAGE},
        }

    def _event(self, name: str, **own: Any) -> bytes:
        event = {"event": name, **self._common, **own}
        return b"data: " + dumps(event, self._version).encode() + b"\n\n"

    def error(self, code: str, status: int, message: str) -> bytes:
        event = {"event": "error", **self._common, "code": code, "status": status}
        del event["task_id"]
        event["message"] = message
        return b"data: " + dumps(event, self._version).encode() + b"\n\n"

    def message_end(self) -> bytes:
        metadata: dict[str, Any] = {"usage": _USAGE}
        cited = citing.resources(self._sources, self._version)
        if self._version != "0.15":
            metadata = {"annotation_reply": None, "retriever_resources": cited, "usage": _USAGE}
        elif cited:
            metadata = {"retriever_resources": cited, "usage": _USAGE}
        files = self.files if self.files and self._kind != "agent" else None
        return self._event("message_end", id=self.message_id, metadata=metadata, files=files)

    def message_files(self) -> bytes:
        """An agent's tool has drawn something: no name, the link alone (dify-api §2)."""
        return b"".join(
            self._event(
                "message_file",
                id=str(uuid.uuid4()),
                type=file["type"],
                belongs_to="assistant",
                url=file["url"],
            )
            for file in self.files
        )

    def thought(
        self,
        thought: str,
        *,
        tool: Step | None = None,
        observation: str = "",
        position: int = 0,
    ) -> bytes:
        """``position`` 0: the last round, or the first one."""
        position = position or max(self._thoughts, default=1)
        labels = {tool.name: {"zh_Hans": tool.zh, "en_US": tool.en}} if tool else {}
        return self._event(
            "agent_thought",
            id=self._thoughts.setdefault(position, str(uuid.uuid4())),
            position=position,
            thought=thought,
            observation=observation,
            tool=tool.name if tool else "",
            tool_labels=labels,
            tool_input=dumps({tool.name: {}}, self._version) if tool else "",
            message_files=[],
        )

    def run_started(self) -> bytes:
        started = {
            "id": self._run_id,
            "workflow_id": str(uuid.uuid4()),
            "inputs": self._inputs,
            "created_at": self._now,
        }
        return self._run("workflow_started", started)

    def _run(self, name: str, data: Mapping[str, Any]) -> bytes:
        return self._event(name, workflow_run_id=self._run_id, data=data)

    def node(
        self,
        name: str,
        node: str,
        status: str = "",
        error: str | None = None,
        *,
        kind: str = "",
        title: str = "",
    ) -> bytes:
        data: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "node_id": node,
            "node_type": kind or node,
            "title": title or node.upper(),
            "index": 1,
            "inputs": None,
            "created_at": self._now,
        }
        if status:
            data |= {"process_data": {}, "outputs": {}, "status": status, "error": error}
        return self._run(name, data)

    def run_finished(self, status: str, outputs: Any, error: str | None) -> bytes:
        return self._run("workflow_finished", self._finished(status, outputs, error))

    def _finished(self, status: str, outputs: Any, error: str | None) -> dict[str, Any]:
        return {
            "id": self._run_id,
            "status": status,
            "outputs": outputs,
            "error": error,
            "elapsed_time": 0.05,
            "total_tokens": 15,
            "total_steps": 3,
            "created_by": self._created_by,
            "created_at": self._now,
            "finished_at": int(time.time()),
            "exceptions_count": 0,
            "files": [],
        }

    def _token_line(self) -> tuple[bytes, bytes]:
        if self._kind == "workflow":
            data = {"text": _HOLE, "from_variable_selector": ["llm", "text"]}
            line = self._event("text_chunk", data=data)
        elif self._kind == "agent":
            line = self._event("agent_message", id=self.message_id, answer=_HOLE)
        else:
            selector = ["llm", "text"] if self._kind == "chatflow" else None
            line = self._event(
                "message",
                id=self.message_id,
                answer=_HOLE,
                from_variable_selector=selector,
            )
        head, _, tail = line.partition(dumps(_HOLE, self._version).encode())
        return head, tail
