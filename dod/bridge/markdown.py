"""Dify's Markdown as it came: thinking hidden, texts joined. How DingTalk shows it: ``dialects``.

Pure functions of the whole text so far: they are called once per card update, which is seldom,
and need no state that could go out of step with a replaced text.
"""

import re

from dod.bridge.blocks import open_fence

# Reasoning as Dify 1.x passes it on, and as 0.15 wraps it (dify-api §2, "Reasoning"). Not behind a
# backtick: there somebody writes about the tag. Bounded, because people's texts come through here.
_THINK = re.compile(r"(?<!`)<think>.*?</think>\s*", re.DOTALL)
_SUMMARY = r"<summary>\s{0,9}Thinking\.\.\.\s{0,9}</summary>"
_DETAILS = re.compile(rf"<details[^<>]{{0,300}}>\s{{0,9}}{_SUMMARY}.*?</details>\s*", re.DOTALL)
_OPENING = re.compile(rf"(?<!`)<think>|<details[^<>]{{0,300}}>\s{{0,9}}{_SUMMARY}")
_TAGS = ("<think>", "<details")
_PLAIN_SUMMARY = "<summary>Thinking...</summary>"  # without white space


def hide_thinking(text: str, *, complete: bool = False) -> str:
    """``text`` without its reasoning, also while a tag is only half there.

    ``complete``: no more text will come. Then a half tag is just text, and an opening tag without
    its end hides the rest only where nothing came before it.
    """
    if "<" not in text:
        return text
    shown = _without(_DETAILS, "</details>", _without(_THINK, "</think>", text))
    opening = _OPENING.search(shown)
    if opening and (not complete or not shown[: opening.start()].strip()):
        return shown[: opening.start()]
    return shown if complete else _without_half_opening(shown)


def _without(block: re.Pattern[str], end: str, text: str) -> str:
    """``text`` without these blocks. Behind the last ``end`` there is none, so none is sought."""
    last = text.rfind(end)
    if last < 0:
        return text
    stop = len(text) - len(text[last + len(end) :].lstrip())
    return block.sub("", text[:stop]) + text[stop:]


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


def joined(*paragraphs: str) -> str:
    """One text of several; a code fence that one leaves open is closed before the next."""
    whole = ""
    for paragraph in paragraphs:
        if not paragraph.strip():
            continue
        if whole:
            fence = open_fence(whole)
            whole = whole.rstrip("\n") + ("\n" + fence.marker if fence else "") + "\n\n"
        whole += paragraph
    return whole
