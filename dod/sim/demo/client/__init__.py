"""The chat page's sources, joined into the one document that a browser is given."""

from importlib import resources

STYLES = ("base.css", "chats.css", "card.css", "extras.css", "panel.css", "phone.css")
SCRIPTS = (
    "words.js",
    "markdown.js",
    "world.js",
    "list.js",
    "compose.js",
    "extras.js",
    "window.js",
    "panel.js",
    "lab.js",
    "start.js",
)


def document() -> str:
    """The page; ``{{nonce}}`` in it is to be replaced for each answer."""
    files = resources.files(__name__)

    def joined(names: tuple[str, ...]) -> str:
        return "\n".join(files.joinpath(name).read_text("utf-8") for name in names)

    frame = files.joinpath("frame.html").read_text("utf-8")
    return frame.replace("{{styles}}", joined(STYLES)).replace("{{scripts}}", joined(SCRIPTS))
