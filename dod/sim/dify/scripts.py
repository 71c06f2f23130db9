"""What the simulated Dify says, and how it fails: answers, faults, and the echo."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dod.sim.dify.files import SimFile

PIECE = 4  # characters per token, where a script names none


@dataclass(frozen=True, slots=True)
class Fault:
    """How a request fails. ``after``: tokens written before it strikes; -1 before any byte.

    - ``refuse``: HTTP ``status`` with ``code`` and ``message`` in JSON, or a page if ``html``
    - ``overload``: too many requests at once, in the words of the app's version
    - ``error``: the run fails as this kind of app and this version tell it
    - ``hang``: silence for ``seconds``, without pings; then the end
    - ``reset``: the connection is reset
    - ``end``: the body ends in order, without a terminal event
    - ``garbage``: a line that is no JSON, then the end
    """

    kind: Literal["refuse", "overload", "error", "hang", "reset", "end", "garbage"]
    after: int = 0
    status: int = 400
    code: str = "completion_request_error"
    message: str = "the simulated model failed"
    html: bool = False
    seconds: float = 301.9  # as long as 1.13 keeps a stream without events


@dataclass(frozen=True, slots=True)
class Step:
    """What an app does before it writes: an agent's tool, or a node of a workflow.

    ``name`` identifies a tool, ``zh`` and ``en`` label it; ``title``: of a node, else its name.
    """

    name: str
    zh: str = ""
    en: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Seconds: ``first_delay`` before the first token, ``interval`` between tokens.

    ``tokens``: the pieces to stream, else ``text`` in pieces of four characters. ``thinking`` goes
    before, wrapped as the version does. ``files``: (name, content) that belong to it; ``{0}`` in
    the text becomes the first one's address. ``outputs``: of a workflow, else its text as ``text``.
    ``steps``: each takes ``step_seconds``. ``sources``: documents that it cites. ``next``: what
    may be asked next, where the app suggests that.
    """

    text: str = ""
    interval: float = 0.0
    first_delay: float = 0.0
    tokens: tuple[str, ...] = ()
    thinking: str | None = None
    outputs: Mapping[str, Any] | None = None
    fail: Fault | None = None
    files: tuple[tuple[str, bytes], ...] = ()
    steps: tuple[Step, ...] = ()
    step_seconds: float = 0.0
    sources: tuple[str, ...] = ()
    next: tuple[str, ...] = ()

    def naming(self, *links: str) -> "Answer":
        """With ``{0}`` … replaced by the addresses of its files."""
        text, tokens = self.text, self.tokens
        for number, link in enumerate(links):
            text = text.replace(f"{{{number}}}", link)
            tokens = tuple(token.replace(f"{{{number}}}", link) for token in tokens)
        return replace(self, text=text, tokens=tokens) if links else self

    def pieces(self, thinking: str = "") -> tuple[str, ...]:
        """What is streamed, one element per event. ``thinking``: already wrapped."""
        tokens = self.tokens or cut(self.text)
        return (*cut(thinking), *tokens)


# query, number of the turn (0: no conversation), user, inputs
Script = Callable[[str, int, str, Mapping[str, Any]], Answer]
# the same for a request with files, in the order in which they came
Look = Callable[[str, Sequence[SimFile]], Answer]


def echo(*, tokens: int = 0, interval: float = 0.0, first_delay: float = 0.0) -> Script:
    """A script that repeats what was asked and counts the conversation's turns.

    ``tokens``: how many pieces to stream; the answer is filled up with numbered words.
    """

    def script(query: str, turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
        text = f"You said: {query}." + (f" (turn {turn})" if turn else "")
        pieces = cut(text)
        if tokens:
            pieces = (text, *(f" w{n:04}" for n in range(1, tokens)))
        return Answer("".join(pieces), interval=interval, first_delay=first_delay, tokens=pieces)

    return script


def cut(text: str, size: int = PIECE) -> tuple[str, ...]:
    """``text`` in pieces of ``size`` characters, as models stream it: anywhere, also in words."""
    return tuple(text[at : at + size] for at in range(0, len(text), size))
