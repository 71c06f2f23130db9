"""Dify's Markdown made fit for a card: thinking hidden, long texts cut where Markdown allows.

Pure functions of the whole text so far: they are called once per card update, which is seldom,
and need no state that could go out of step with a replaced text.
"""

import re

CARD_MAX_BYTES = 9000  # undocumented; blank cards were seen above some 3,000 Chinese characters

# Reasoning as Dify 1.x passes it on, and as 0.15 wraps it (dify-api §2, "Reasoning"). Not behind a
# backtick: there somebody writes about the tag. Bounded, because people's texts come through here.
_THINK = re.compile(r"(?<!`)<think>.*?</think>\s*", re.DOTALL)
_SUMMARY = r"<summary>\s{0,9}Thinking\.\.\.\s{0,9}</summary>"
_DETAILS = re.compile(rf"<details[^<>]{{0,300}}>\s{{0,9}}{_SUMMARY}.*?</details>\s*", re.DOTALL)
_OPENING = re.compile(rf"(?<!`)<think>|<details[^<>]{{0,300}}>\s{{0,9}}{_SUMMARY}")
_TAGS = ("<think>", "<details")
_PLAIN_SUMMARY = "<summary>Thinking...</summary>"  # without white space
_FENCE = re.compile(r"^ {0,3}(?:(`{3,20})([^`]*)|(~{3,20})(.*))$")
_INFO_MAX = 20  # characters of a language's name
_FENCE_ROOM = 24  # bytes to close one


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
            fence = _open_fence(whole)
            whole = whole.rstrip("\n") + ("\n" + fence[0] if fence else "") + "\n\n"
        whole += paragraph
    return whole


def cut(text: str, max_bytes: int = CARD_MAX_BYTES) -> list[str]:
    """``text`` in parts of at most ``max_bytes`` UTF-8 bytes, each valid Markdown by itself.

    Cut after a paragraph, else a line, a sentence, a character. A code fence that spans a cut is
    closed and opened again. Text that only grows keeps its earlier parts unchanged.
    """
    parts = []
    prefix = ""
    while len((prefix + text).encode()) > max_bytes:
        head, text = _split(text, max_bytes - len(prefix.encode()) - _FENCE_ROOM)
        fence = _open_fence(prefix + head)
        closing = "\n" + fence[0] if fence else ""
        parts.append(prefix + head.rstrip("\n") + closing)
        prefix = "".join(fence) + "\n" if fence else ""
    parts.append(prefix + text)
    return [part for part in parts if part.strip()] or [text]


def _split(text: str, room: int) -> tuple[str, str]:
    head = text.encode()[: max(room, 16)].decode(errors="ignore")
    for boundary in ("\n\n", "\n", "。", "！", "？", ". ", "；", "，", " "):
        at = head.rfind(boundary)
        if at > len(head) // 2:
            end = at + len(boundary)
            return text[:end], text[end:]
    return head, text[len(head) :]


def _open_fence(text: str) -> tuple[str, str] | None:
    """Marker and info string of the code fence that is open at the end of ``text``."""
    opened: tuple[str, str] | None = None
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if match is None:
            continue
        marker = match.group(1) or match.group(3)
        info = (match.group(2) or match.group(4) or "").strip()
        if opened is None:
            opened = (marker, info.split(" ")[0][:_INFO_MAX] if info.isascii() else "")
        elif marker[0] == opened[0][0] and len(marker) >= len(opened[0]) and not info:
            opened = None
    return opened
