"""What is shown of a bot."""

import time

from dod import logs
from dod.ports import Connection
from dod.status import BotSnapshot


def shown(connection: Connection | None) -> object:
    bot = BotSnapshot(name="it", state="connected", since=0.0, connection=connection)
    return bot.to_json()["connection"]


def test_the_ages_of_a_connection_are_told_in_seconds() -> None:
    now = time.monotonic()
    assert shown(Connection(now - 7200.0, now - 30.0, now - 600.0)) == {
        "age_seconds": 7200,
        "frame_seconds_ago": 30,
        "message_seconds_ago": 600,
    }


def test_what_has_not_come_yet_has_no_age() -> None:
    assert shown(None) is None
    assert shown(Connection(time.monotonic())) == {
        "age_seconds": 0,
        "frame_seconds_ago": None,
        "message_seconds_ago": None,
    }


def test_what_a_neighbour_says_back_shows_no_secret() -> None:
    """The page is open to the whole network."""
    logs.hide("dingsecret-said-back-1")
    error = "DingTalk refused the call (HTTP 400 bad dingsecret-said-back-1)"
    bot = BotSnapshot(name="it", state="retrying", since=0.0, last_error=error)
    assert bot.to_json()["last_error"] == f"DingTalk refused the call (HTTP 400 bad {logs.MASK})"
