"""Texts put together. How DingTalk shows them: ``dialects``."""

from dod.bridge.blocks import open_fence


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
