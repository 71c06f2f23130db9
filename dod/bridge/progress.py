"""One line that says what an app is doing while there is no text from it."""

from dod.messages import Progress
from dod.texts import Tongue, say

_LONGEST = 60  # characters of a name


def progress_line(progress: Progress, tongue: Tongue) -> str:
    """Markdown, one line."""
    name = progress.name_zh if tongue == "zh" and progress.name_zh else progress.name
    plain = " ".join(name.replace("`", "'").split())
    if len(plain) > _LONGEST:
        plain = plain[:_LONGEST] + "…"
    return say("using_tool" if progress.kind == "tool" else "at_node", tongue, name=plain)
