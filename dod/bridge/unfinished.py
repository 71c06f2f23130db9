"""The part of a growing text that can be shown without being taken back a moment later.

A line that may yet turn out to be the head of a table, a fence, a list's mark or a link is held
back until it is known; the rest of the text is shown as it comes. Nothing is held back for long: a
line ends, or becomes something else. The last frame shows everything.
"""

import re

from dod.bridge.blocks import LONGEST, Scanner

# A whole line so far that may become something else with the next characters.
_MARK = re.compile(r"\s*(?:[-*+_=#>]+\s*|[0-9]{1,9}[.)]?\s*|`{1,20}[^`]{0,200}|~{1,20})?\Z")
_DASHES = re.compile(r"[\s|:-]*\Z")
_LINK = re.compile(r"!?\[[^\[\]\n]{0,200}(?:\](?:\([^()\s]{0,2000})?)?\Z|!\Z")
_CLOSING = re.compile(r" {0,3}(?:`+|~+)\s*\Z")


def finished(text: str) -> str:
    """``text`` without what may not be shown yet."""
    texts = text.split("\n")
    scanner = Scanner()
    for number, line in enumerate(texts[:-1]):
        following = texts[number + 1] if number + 2 < len(texts) else None
        scanner.take(line, following)
    last = texts[-1]
    if scanner.fence is not None:
        return _without(text, last) if _CLOSING.match(last) else text
    if scanner.table is not None:
        return _without(text, last) if len(last) <= LONGEST else text
    if len(texts) > 1 and _maybe_head(texts[-2]) and _DASHES.match(last):
        return _without(text, texts[-2] + "\n" + last)
    if _maybe_head(last):
        return _without(text, last)
    if last and _MARK.match(last):
        return _without(text, last)
    link = _LINK.search(last)
    return text[: len(text) - len(last) + link.start()] if link else text


def _without(text: str, tail: str) -> str:
    return text[: len(text) - len(tail)]


def _maybe_head(line: str) -> bool:
    return line.lstrip().startswith("|") and len(line) <= LONGEST
