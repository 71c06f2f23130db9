"""One app of the simulated Dify: what it is, how it answers, what it asks of a request."""

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from dod.sim.dify import checks
from dod.sim.dify.files import Takes
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.run import Asked
from dod.sim.dify.scripts import Answer, Fault, Look, Script, echo

_MODES = {"agent": "agent-chat", "chatflow": "advanced-chat"}


@dataclass(slots=True)
class SimApp:
    """One simulated app; every field may be changed at any time and counts from the next request.

    ``answer``: its script. ``fault``: how every request fails. ``required``: inputs that it wants;
    ``max_concurrent``: requests at once, 0 = any number. ``enabled``: its API is on. ``published``:
    as a workflow. ``takes``: its files. ``ping_every``: seconds, 0 = never. ``split``: bytes per
    write, 0 = one event. ``looks``: its script for requests with files, None = the same as without.
    ``opening`` and ``openers``: its opening statement. ``suggests``: questions after each answer.
    """

    key: str
    kind: Kind
    version: Version = "1.13"
    answer: Script = field(default_factory=echo)
    fault: Fault | None = None
    required: tuple[str, ...] = ()
    max_concurrent: int = 0
    enabled: bool = True
    published: bool = True
    ping_every: float = 10.0
    split: int = 0
    takes: Takes = field(default_factory=Takes)
    looks: Look | None = None
    opening: str = ""
    openers: tuple[str, ...] = ()
    suggests: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    _next: deque[Fault | None] = field(default_factory=deque)

    def fail_next(self, fault: Fault | None, times: int = 1) -> None:
        """The next ``times`` requests fail so; a queued None lets one through."""
        self._next.extend([fault] * times)

    def take_fault(self) -> Fault | None:
        """The fault of the request that is coming in."""
        return self._next.popleft() if self._next else self.fault

    @property
    def converses(self) -> bool:
        """It keeps conversations."""
        return self.kind in {"chat", "agent", "chatflow"}

    @property
    def relayed(self) -> bool:
        """A worker runs it: whatever is wrong is found there, and nobody is told (dify-api §2)."""
        return self.version != "0.15" and self.kind in {"chatflow", "workflow"}

    @property
    def relays_files(self) -> bool:
        """Its ``file_upload`` is a workflow's (dify-api §8)."""
        return self.kind in {"chatflow", "workflow"}

    def judge(self, body: dict[str, Any], *, known: bool) -> bool:
        """Whether the run can start; raises Refused if the request is answered with an error.

        ``known``: its conversation, if it names one, is one of this user with this app.
        """
        streaming = body.get("response_mode") == "streaming"
        if self.kind == "agent" and not streaming:
            said = "Agent Chat App does not support blocking mode"
            raise checks.refuse(400, "invalid_param", said)
        if self.converses and not body["query"]:
            raise checks.refuse(400, "invalid_param", "query is required")
        if self.kind in {"chatflow", "workflow"} and not self.published:
            raise checks.refuse(400, "invalid_param", "Workflow not published")
        if self.kind == "chatflow" and self.relayed and not streaming:
            return False  # broken in 1.13.0: a stream with one ping
        lost = self.relayed and streaming
        if not known:
            if lost:
                return False
            raise checks.conversation_unknown(self.version)
        for name in self.required:
            if body["inputs"].get(name) in {None, ""}:
                if lost:
                    return False
                said = f"{name} is required in input form"
                raise checks.refuse(400, "invalid_param", said)
        return True

    def say(self, asked: Asked, turn: int) -> Answer:
        """What it answers."""
        if self.looks is not None and asked.files:
            return self.looks(asked.query, asked.files)
        return self.answer(asked.query, turn, asked.user, asked.inputs)

    def info(self) -> dict[str, Any]:
        """The answer to GET /info."""
        about: dict[str, Any] = {"name": "Simulated", "description": "", "tags": []}
        if self.version != "0.15":
            about |= {"mode": _MODES.get(self.kind, self.kind), "author_name": "dod"}
        return about

    def parameters(self) -> dict[str, Any]:
        """The answer to GET /parameters."""
        if not self.published:
            raise checks.app_unavailable()
        off = {"enabled": False}
        form = [
            {"paragraph": {"label": name, "variable": name, "required": True, "default": ""}}
            for name in self.required
        ]
        return {
            "opening_statement": self.opening,
            "suggested_questions": list(self.openers),
            "suggested_questions_after_answer": {"enabled": self.suggests},
            "speech_to_text": {"enabled": self.takes.said is not None},
            "text_to_speech": {"enabled": False, "language": "", "voice": ""},
            "retriever_resource": {"enabled": True},
            "annotation_reply": off,
            "more_like_this": off,
            "user_input_form": [*form, *self.takes.form()],
            "sensitive_word_avoidance": off,
            "file_upload": self.takes.upload(chat=not self.relays_files),
            "system_parameters": self.takes.limits(),
        }
