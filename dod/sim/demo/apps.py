"""What the demo's simulated Dify apps can do besides answering in text."""

from dod.sim.dify.app import SimApp
from dod.sim.dify.files import Takes
from dod.sim.dify.scripts import Look

OPENING = "👋 文字、图片、文件、语音都可以发来。 Send me text, pictures, files or your voice."


def furnish(app: SimApp, look: Look) -> None:
    """A chat app reads pictures and files, greets, and suggests; others are left as they are.

    So a workflow's bot shows what is said where an app takes no pictures.
    """
    if app.converses:
        app.takes = Takes(("image", "document"))
        app.looks = look
        app.opening = OPENING
        app.suggests = True
