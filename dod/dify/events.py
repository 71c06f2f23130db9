"""From Dify's stream events to ours: one ``Transcript`` per answer. No I/O.

Every version sends other events in another order (dify-api §2); unknown ones are ignored.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dod.dify.refusals import reported, run_failed
from dod.messages import (
    AnswerEvent,
    AnswerFile,
    Cited,
    Finished,
    Progress,
    Started,
    TextDelta,
    TextReplaced,
)

log = logging.getLogger(__name__)

# Events without a word for the reader, which may be long (a node's prompts). Skipped unparsed, in
# both spellings (0.15 puts a space after the colon); one that misses here is parsed and ignored.
_DULL = tuple(
    f'{{"event":{space}"{name}'
    for space in ("", " ")
    for name in ("node_", "iteration_", "loop_", "parallel_branch_", "agent_log")
)
# Of these the reader is told where the run has come to; so much of one is looked at, unparsed.
_HEAD = 1500  # characters
_NODE_STARTED = re.compile(r'\{"event": ?"node_started"')
_NODE = re.compile(r'"node_type": ?"([^"]*)", ?"title": ?("(?:[^"\\]|\\.)*")')
_CALL = re.compile(r'"label": ?"CALL ([^"\\]+)"')  # an agent node's tool, as its plugins name it
_FIELD = re.compile(r"\{\{#\$output\.[^{}#]{1,100}#\}\}")  # of a form that a person fills in
_BLANK = "\uff3f" * 4  # wide underscores: no Markdown
# Nodes that only steer, or begin and end: no work that one waits for.
_AGENT_LOG = ('{"event":"agent_log', '{"event": "agent_log')
_STEERING = frozenset({"start", "end", "answer", "if-else", "variable-aggregator", "assigner"})


class Transcript:
    """What one stream has said so far.

    ``read`` each event's data; when the stream ends without ``Finished``, ``close``.
    ``workflow``: the app is a workflow, whose outputs are its answer; ``output`` names the one to
    show. ``started``: a data event came. ``spoke``: text came. ``ending``: of a chatflow's two
    terminal events the first came; the other may carry the failure, but need not come.
    """

    def __init__(self, *, workflow: bool, output: str = "") -> None:
        self.started = False
        self.spoke = False
        self.ending = False
        self._workflow = workflow
        self._output = output
        self._chatflow = False
        self._text: list[str] = []
        self._forms: list[str] = []
        self._failed_node = ""
        self._attached: set[str] = set()
        self._doing: Progress | None = None

    def read(self, data: str) -> Iterator[AnswerEvent]:
        """What the event in ``data`` tells; nothing follows ``Finished``.

        Raises DifyError if it tells a failure, ValueError if it is no event.
        """
        if self.started and data.startswith(_DULL) and '"failed"' not in data:
            self._chatflow = True
            yield from self._progress(_begun(data))
            return
        event = json.loads(data)
        if not isinstance(event, dict):
            raise ValueError("not an object")  # noqa: TRY004  as json: this is no event
        if not self.started:
            self.started = True
            yield Started(
                _string(event, "task_id"),
                _string(event, "conversation_id"),
                _string(event, "message_id"),
            )
        if "workflow_run_id" in event:
            self._chatflow = True
        yield from self._tell(event)

    def close(self) -> Finished | None:
        """How the answer ended if nothing more comes; None if no terminal event came."""
        if self._forms:
            return self._paused()
        return Finished() if self.ending else None

    def _tell(self, event: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        match event.get("event"):
            # message_file carries either a file or, since 1.11.2, a piece of the answer.
            case "message" | "agent_message":
                yield from self._say(_string(event, "answer"))
            case "message_file":
                yield from self._say(_string(event, "answer"))
                if event.get("belongs_to") != "user":
                    yield from self._attach([event])
            case "text_chunk":
                yield from self._say(_string(_mapping(event, "data"), "text"))
            case "message_replace":
                yield self._replace(_string(event, "answer"))
            case "text_replace":
                yield self._replace(_string(_mapping(event, "data"), "text"))
            case "agent_thought":
                yield from self._progress(_tool(event))
            case "message_end":
                yield from self._attach(event.get("files"))
                if sources := _sources(_mapping(event, "metadata")):
                    yield Cited(sources)
                yield from self._end()
            case "workflow_finished":
                yield from self._run_finished(_mapping(event, "data"))
            case "workflow_paused":
                yield self._paused(_mapping(event, "data"))
            case "human_input_required":
                self._forms.append(_string(_mapping(event, "data"), "form_content"))
            case "node_finished":
                data = _mapping(event, "data")
                if data.get("status") == "failed":
                    self._failed_node = _string(data, "node_type")
            case "error":
                raise reported(event)

    def _progress(self, progress: Progress | None) -> Iterator[AnswerEvent]:
        if progress is not None and progress != self._doing:
            self._doing = progress
            yield progress

    def _say(self, text: str) -> Iterator[AnswerEvent]:
        if text:
            self.spoke = True
            self._text.append(text)
            yield TextDelta(text)

    def _attach(self, files: object) -> Iterator[AnswerEvent]:
        """Each file once, whichever events name it. A path has another signature each time."""
        for file in files if isinstance(files, list) else ():
            told = file if isinstance(file, dict) else {}
            address = _string(told, "url") or _string(told, "remote_url")
            path = address.partition("?")[0]
            if address and path not in self._attached:
                self._attached.add(path)
                yield AnswerFile(address, _string(told, "type"), _string(told, "filename"))

    def _replace(self, text: str) -> TextReplaced:
        self.spoke = bool(text)
        self._text = [text]
        return TextReplaced(text)

    def _end(self) -> Iterator[AnswerEvent]:
        """One terminal event: the last one, unless a chatflow's other one may follow."""
        if self.ending or self._workflow or not self._chatflow:
            yield Finished()
        self.ending = True

    def _run_finished(self, run: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        match run.get("status"):
            case "failed":
                raise run_failed(_string(run, "error"), node=self._failed_node)
            case "stopped":
                yield Finished("stopped")
            case "paused":
                yield self._paused()
            case _:  # succeeded, partial-succeeded
                outputs = _mapping(run, "outputs")
                yield from self._outcome(outputs)
                yield from self._attach(run.get("files"))
                yield from self._attach(_files_in(outputs))
                yield from self._end()

    def _outcome(self, outputs: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        if not self._workflow:
            # From 1.13 events travel by pub/sub and may be lost; this repeats the whole answer.
            if not self.spoke:
                yield from self._say(_string(outputs, "answer"))
            return
        if self._output and self._output not in outputs:
            log.warning("workflow has no such output output=%s has=%s", self._output, [*outputs])
        chosen = outputs.get(self._output) if self._output else None
        if not self.spoke:
            yield from self._say(show(outputs) if chosen is None else _shown(chosen))
        elif chosen is not None and _shown(chosen) != "".join(self._text):
            yield self._replace(_shown(chosen))

    def _paused(self, pause: Mapping[str, Any] | None = None) -> Finished:
        forms = self._forms
        if not forms and pause and isinstance(reasons := pause.get("reasons"), list):
            forms = [_string(one, "form_content") for one in reasons if isinstance(one, dict)]
        shown = (_FIELD.sub(_BLANK, form) for form in forms if form)
        return Finished("paused", "\n\n".join(shown))


def show(outputs: Mapping[str, Any]) -> str:
    """A workflow's outputs as Markdown: the one text among them, else all, labelled."""
    # Files come as ``AnswerFile``: they are shown, not named.
    said = {name: _without_files(value) for name, value in outputs.items()}
    given = {name: value for name, value in said.items() if value not in (None, "")}
    texts = [value for value in given.values() if isinstance(value, str)]
    if len(texts) == 1:
        return texts[0]
    return "\n\n".join(f"**{name}**: {_shown(value)}" for name, value in given.items())


def _without_files(value: Any) -> Any:
    if isinstance(value, list) and any(map(_is_file, value)):
        return [one for one in value if not _is_file(one)] or None
    return None if _is_file(value) else value


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if _is_file(value):
        return _string(value, "filename")  # its signed link is not for people (dify-api §7)
    return json.dumps(_named(value), ensure_ascii=False)


def _named(value: Any) -> Any:
    """``value`` with the names of its files in their place, however deep they stand."""
    if _is_file(value):
        return _string(value, "filename")
    if isinstance(value, dict):
        return {name: _named(one) for name, one in value.items()}
    return [_named(one) for one in value] if isinstance(value, list) else value


def _files_in(outputs: Mapping[str, Any]) -> list[Any]:
    """File objects among the outputs, also in lists (dify-api §2)."""
    values = (value if isinstance(value, list) else [value] for value in outputs.values())
    return [one for many in values for one in many if _is_file(one)]


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and value.get("dify_model_identity") == "__dify__file__"


def _begun(data: str) -> Progress | None:
    """What a node's event says of the work that begins."""
    if _NODE_STARTED.match(data):
        found = _NODE.search(data, 0, _HEAD)
        if found is None or found[1] in _STEERING:
            return None
        return Progress("node", str(json.loads(found[2])))
    call = _CALL.search(data, 0, _HEAD) if data.startswith(_AGENT_LOG) else None
    return Progress("tool", call[1]) if call else None


def _tool(thought: Mapping[str, Any]) -> Progress | None:
    """The tool that an agent uses; several are joined by semicolons."""
    names = [name for name in _string(thought, "tool").split(";") if name]
    if not names:
        return None
    labels = _mapping(thought, "tool_labels")
    english = [_string(_mapping(labels, name), "en_US") or name for name in names]
    chinese = [_string(_mapping(labels, name), "zh_Hans") or name for name in names]
    return Progress("tool", ", ".join(english), "、".join(chinese))


def _sources(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the documents that were cited (dify-api §10); all fields may be null."""
    cited = metadata.get("retriever_resources")
    names = [
        _string(one, "document_name") or _string(one, "title")
        for one in (cited if isinstance(cited, list) else ())
        if isinstance(one, dict)
    ]
    return tuple(dict.fromkeys(name for name in names if name))


def _string(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""


def _mapping(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = event.get(name)
    return value if isinstance(value, dict) else {}
