"""Which events one simulated answer consists of, in the order of each version of Dify.

After recordings of 0.15.3 and 1.13.0 (dify-api §2). ``1.13.1`` is the version whose chatflow says
``message_end`` before ``workflow_finished``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dod.sim.dify.events import PING, Events
from dod.sim.dify.kinds import Kind, Version
from dod.sim.dify.scripts import Step


def think(text: str, version: Version) -> str:
    """A model's reasoning as it appears inside the answer."""
    if version != "0.15":
        return f"<think>\n{text}\n</think>"
    style = "color:gray;background-color: #f8f8f8;padding: 8px;border-radius: 4px;"
    return f'<details style="{style}" open> <summary> Thinking... </summary>{text}</details>'


class Wire:
    """Puts the events of one answer in order. ``conversation_id`` is empty where there is none."""

    def __init__(
        self,
        kind: Kind,
        version: Version,
        *,
        user: str,
        conversation_id: str,
        inputs: Any,
        files: Sequence[Mapping[str, Any]] = (),
        sources: Sequence[str] = (),
    ) -> None:
        self._kind = kind
        self._version = version
        self._events = Events(
            kind,
            version,
            user=user,
            conversation_id=conversation_id,
            inputs=inputs,
            files=files,
            sources=sources,
        )

    @property
    def task_id(self) -> str:
        return self._events.task_id

    @property
    def message_id(self) -> str:
        """What the answer can be rated by; a workflow's run is no message."""
        return "" if self._kind == "workflow" else self._events.message_id

    @property
    def runs(self) -> bool:
        """A workflow runs behind it: chatflow and workflow."""
        return self._kind in {"chatflow", "workflow"}

    @property
    def relayed(self) -> bool:
        """Since 1.13 a worker runs it and the stream begins with a ping (dify-api §2)."""
        return self.runs and self._version != "0.15"

    def opening(self) -> bytes:
        """What comes before the model's first token; empty for a chat."""
        if self._kind == "agent":
            return self._events.thought("")
        if not self.runs:
            return b""
        return b"".join(
            (
                PING if self.relayed else b"",
                self._events.run_started(),
                self._events.node("node_started", "start"),
                self._events.node("node_finished", "start", "succeeded"),
            )
        )

    def step(self, step: Step, number: int, *, done: bool = False) -> bytes:
        """An agent's tool or a workflow's node begins, or is ``done``; empty for other kinds."""
        if self._kind == "agent":
            asks = self._events.thought(
                "", tool=step, observation="{}" if done else "", position=number
            )
            return asks + self._events.thought("", position=number + 1) if done else asks
        if not self.runs:
            return b""
        told = ("node_finished", "succeeded") if done else ("node_started", "")
        return self._events.node(
            told[0], f"step{number}", told[1], kind="code", title=step.title or step.name
        )

    def writing(self) -> bytes:
        """The model begins; empty where no workflow runs."""
        return self._events.node("node_started", "llm") if self.runs else b""

    def token(self, text: str) -> bytes:
        """The event that brings ``text``."""
        return self._events.token(text)

    def ending(
        self, text: str, *, outputs: Mapping[str, Any] | None = None, stopped: bool = False
    ) -> bytes:
        """Everything after the last token of an answer that went well, or was stopped."""
        if self._kind == "agent":
            said = b"" if stopped else self._events.thought(text) + self._events.message_files()
            return self.token("") * (not stopped) + said + self._events.message_end()
        if not self.runs:
            return self.token("") * (not stopped) + self._events.message_end()
        if stopped:
            finished = self._events.run_finished("stopped", None, "Stopped by user.")
            return finished + (self._events.message_end() if self._version_says_both else b"")
        last = "end" if self._kind == "workflow" else "answer"
        nodes = b"".join(
            (
                self._events.node("node_finished", "llm", "succeeded"),
                self._events.node("node_started", last),
                self._events.node("node_finished", last, "succeeded"),
            )
        )
        if outputs is None:
            outputs = {"text" if self._kind == "workflow" else "answer": text}
            if self._events.files:
                outputs["files"] = self._events.files
        finished = self._events.run_finished("succeeded", dict(outputs), None)
        if self._kind == "chatflow" and self._version == "1.13.1":
            return nodes + self._events.message_end() + finished
        return nodes + finished + (self._events.message_end() if self._version_says_both else b"")

    def failure(self, code: str, status: int, message: str) -> bytes:
        """How a failure of the model is told."""
        if not self.runs:
            return self._events.error(code, status, message)
        failed = self._events.node("node_finished", "llm", "failed", message)
        failed += self._events.run_finished("failed", {}, message)
        if self._version_says_both:
            failed += self._events.error("invalid_param", 400, f"Run failed: {message}")
        return failed

    def blocking(self, text: str, outputs: Mapping[str, Any] | None) -> dict[str, Any]:
        """The whole answer as one JSON object."""
        return self._events.blocking(text, outputs)

    @property
    def _version_says_both(self) -> bool:
        return self._kind == "chatflow" and self._version == "0.15"
