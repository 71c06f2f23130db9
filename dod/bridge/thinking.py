"""A model's reasoning inside its answer: hidden, folded to one line, or shown as a quote.

Pure functions of the whole text so far: they are called once per card update, which is seldom,
and need no state that could go out of step with a replaced text.
"""

import re
from collections.abc import Callable

from dod.config.spec import Thinking
from dod.texts import Tongue, say

# Reasoning as Dify 1.x passes it on, and as 0.15 wraps it (dify-api §2, "Reasoning"). Not behind a
# backtick: there somebody writes about the tag. Bounded, because people's texts come through here.
_THINK = re.compile(r"(?<!`)<think>(.*?)</think>\s*", re.DOTALL)
_SUMMARY = r"<summary>\s{0,9}Thinking\.\.\.\s{0,9}</summary>"
_DETAILS = re.compile(rf"<details[^<>]{{0,300}}>\s{{0,9}}{_SUMMARY}(.*?)</details>\s*", re.DOTALL)
_OPENING = re.compile(rf"(?<!`)<think>|<details[^<>]{{0,300}}>\s{{0,9}}{_SUMMARY}")
_TAGS = ("<think>", "<details")
_PLAIN_SUMMARY = "<summary>Thinking...</summary>"  # without white space


# What a piece of reasoning becomes. The second argument: it goes on.
Put = Callable[[str, bool], str]


def think(text: str, show: Thinking, tongue: Tongue, *, complete: bool = False) -> str:
    """``text`` with its reasoning hidden, folded to one line, or shown as a quote."""
    if show is False:
        return hide_thinking(text, complete=complete)
    if show == "folded":
        return _put(text, lambda inner, more: _folded(inner, tongue, more=more), complete=complete)
    return _put(text, _quoted, complete=complete)


def hide_thinking(text: str, *, complete: bool = False) -> str:
    """``text`` without its reasoning, also while a tag is only half there.

    ``complete``: no more text will come. Then a half tag is just text, and an opening tag without
    its end hides the rest only where nothing came before it.
    """
    return _put(text, lambda _inner, _more: "", complete=complete)


def _folded(inner: str, tongue: Tongue, *, more: bool) -> str:
    if not inner.strip():
        return ""
    line = say("thinking", tongue) if more else say("thought", tongue, count=len(inner.strip()))
    return f"> {line}\n\n"


def _quoted(inner: str, _more: bool) -> str:
    lines = inner.strip().split("\n")
    return "".join(f"> {line}".rstrip() + "\n" for line in lines) + "\n" if inner.strip() else ""


def _put(text: str, put: Put, *, complete: bool) -> str:
    """``text`` with ``put`` instead of each piece of reasoning."""
    if "<" not in text:
        return text
    shown = _replaced(_THINK, "</think>", text, put)
    shown = _replaced(_DETAILS, "</details>", shown, put)
    opening = _OPENING.search(shown)
    if opening and (not complete or not shown[: opening.start()].strip()):
        inner = shown[opening.end() :]
        inner = inner if complete else _without_half_closing(inner)
        return shown[: opening.start()] + put(inner, not complete)
    return shown if complete else _without_half_opening(shown)


def _replaced(block: re.Pattern[str], end: str, text: str, put: Put) -> str:
    """Behind the last ``end`` there is no such block, so none is sought there."""
    last = text.rfind(end)
    if last < 0:
        return text
    stop = len(text) - len(text[last + len(end) :].lstrip())
    return block.sub(lambda found: put(found[1], False), text[:stop]) + text[stop:]


def _without_half_closing(inner: str) -> str:
    start = inner.rfind("<")
    half = start >= 0 and any(tag.startswith(inner[start:]) for tag in ("</think>", "</details>"))
    return inner[:start] if half else inner


def _without_half_opening(text: str) -> str:
    """Hold back an end that may yet turn out to open a piece of reasoning."""
    start = text.rfind("<details")
    if start >= 0:
        tag, closed, body = text[start : start + 400].partition(">")
        if len(tag) < 300 and (not closed or _PLAIN_SUMMARY.startswith("".join(body.split()))):
            return text[:start]
    start = text.rfind("<")
    if start >= 0 and any(tag.startswith(text[start:]) for tag in _TAGS):
        return text[:start]
    return text
