"""Dify's Markdown made fit for a card: thinking hidden, long texts cut where Markdown allows.

Pure functions of the whole text so far: they are called once per card update, which is seldom,
and need no state that could go out of step with a replaced text.
"""

import re

CARD_MAX_BYTES = 9000  # undocumented; blank cards were seen above some 3,000 Chinese characters

# Reasoning as Dify 1.x passes it on, and as 0.15 wraps it (dify-api §2, "Reasoning").
_THINK = re.compile(r"<think>.*?(?:</think>\s*|\Z)", re.DOTALL)
_DETAILS = re.compile(
    r"<details[^>]*>\s*<summary>\s*Thinking\.\.\.\s*</summary>.*?(?:</details>\s*|\Z)", re.DOTALL
)
_OPENINGS = ("<think>", "<details")
_SUMMARY = "<summary>Thinking...</summary>"  # without white space
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")


def hide_thinking(text: str, *, complete: bool = False) -> str:
    """``text`` without its reasoning, also while a tag is only half there.

    ``complete``: no more text will come, so a half tag at the end is just text.
    """
    if "<" not in text:
        return text
    shown = _DETAILS.sub("", _THINK.sub("", text))
    return shown if complete else _without_half_opening(shown)


def _without_half_opening(text: str) -> str:
    """Hold back an end that may yet turn out to open a piece of reasoning."""
    start = text.rfind("<details")
    if start >= 0:
        tag, closed, body = text[start:].partition(">")
        if not closed or _SUMMARY.startswith("".join(body.split())):
            return text[:start] if len(tag) < 300 else text
    start = text.rfind("<")
    if start >= 0 and any(opening.startswith(text[start:]) for opening in _OPENINGS):
        return text[:start]
    return text


def cut(text: str, max_bytes: int = CARD_MAX_BYTES) -> list[str]:
    """``text`` in parts of at most ``max_bytes`` UTF-8 bytes, each valid Markdown by itself.

    Cut after a paragraph, else a line, a sentence, a character. A code fence that spans a cut is
    closed and opened again. Text that only grows keeps its earlier parts unchanged.
    """
    parts = []
    prefix = ""
    while len((prefix + text).encode()) > max_bytes:
        head, text = _split(text, max_bytes - len(prefix.encode()) - 8)
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
        marker, info = match.group(1), match.group(2).strip()
        if opened is None:
            opened = (marker, info)
        elif marker[0] == opened[0][0] and len(marker) >= len(opened[0]) and not info:
            opened = None
    return opened
