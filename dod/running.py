"""The dod that runs on this machine, as its own status page tells it: for commands beside it."""

import base64
import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from dod.config.load import Loaded

TIMEOUT = 5.0  # seconds
# A proxy of the office leads to other machines.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Unanswered(Exception):
    """Nobody answers at ``url``, or not as a dod does. ``code``: of HTTP, 0 without an answer."""

    def __init__(self, url: str, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.url = url
        self.code = code


def url_of(loaded: Loaded) -> str:
    """Where a dod of this configuration tells its status; empty if its page is off."""
    listen = loaded.environment.web_listen
    if listen is None:
        return ""
    # Who listens everywhere is reached at home.
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(listen[0], listen[0])  # noqa: S104
    return f"http://{host}:{listen[1]}/api/status"


def ask(loaded: Loaded, url: str) -> dict[str, Any]:
    """The answer of ``/api/status`` at ``url``. Blocks for some seconds. Raises Unanswered."""
    password = loaded.config.web.password if loaded.config else ""
    try:
        with _OPENER.open(_request(url, password), timeout=TIMEOUT) as answer:
            status: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise Unanswered(url, f"HTTP {error.code}", error.code) from error
    except (http.client.HTTPException, OSError, ValueError, RecursionError) as error:
        raise Unanswered(url, str(getattr(error, "reason", error))) from error
    bots = status.get("bots") if isinstance(status, dict) else None
    if not isinstance(bots, list) or not all(isinstance(bot, dict) for bot in bots):
        raise Unanswered(url, "another program answers there")
    return status


def _request(url: str, password: str) -> urllib.request.Request:
    request = urllib.request.Request(url)  # noqa: S310 - the scheme is ours
    if password:
        login = base64.b64encode(f"dod:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    return request
