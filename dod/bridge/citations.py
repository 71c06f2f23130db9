"""The sources of an answer, as a numbered list below it."""

from collections.abc import Sequence

from dod.texts import Tongue, say

MOST = 10
_LONGEST = 100  # characters of a name


def citations(sources: Sequence[str], tongue: Tongue) -> str:
    """Markdown; empty without sources."""
    if not sources:
        return ""
    lines = [f"{number}. {_plain(name)}" for number, name in enumerate(sources[:MOST], 1)]
    if len(sources) > MOST:
        lines.append(say("more_sources", tongue, count=len(sources) - MOST))
    return "\n".join([say("sources", tongue), "", *lines])


def _plain(name: str) -> str:
    """One line that no Markdown changes: names have underscores, stars and brackets."""
    one = " ".join(name.split())
    if len(one) > _LONGEST:
        one = one[:_LONGEST] + "…"
    return "".join("\\" + char if char in "\\*_[]`~" else char for char in one)
