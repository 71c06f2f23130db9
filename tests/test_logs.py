"""Nothing secret passes the formatter."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from dod import logs


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests of this process called a secret is none here."""
    monkeypatch.setattr(logs, "_secrets", ())


@pytest.mark.parametrize(
    "line",
    [
        "connect wss://host/connect?ticket=1f6c0b7e-SECRET-90",
        "x-acs-dingtalk-access-token: SECRETtoken99",
        '{"accessToken": "SECRETtoken99"}'.replace("accessToken", "access_token"),
        "Authorization: Bearer app-SECRET123456",
        "Authorization: Bearer SECRET",
        "{'authorization': 'Bearer SECRET'}",
        "bearer  SECRET0token refused",
        "access-token SECRETtoken99",
        "{'x-acs-dingtalk-access-token': 'SECRETtoken99'}",
        r"{\"x-acs-dingtalk-access-token\": \"SECRETtoken99\"}",
        "key app-SECRET123456 refused",
        "POST https://oapi.dingtalk.com/robot/sendBySession?session=SECRETsession",
        '"appSecret": "SECRETvalue1"',
        '"accessToken": "SECRETtoken99"',
        r"error='{\"clientSecret\": \"SECRETvalue1\"}'",
        "password hunter2-SECRET here",
    ],
)
def test_secrets_are_masked(line: str) -> None:
    logs.hide("hunter2-SECRET")
    assert "SECRET" not in logs.redact(line)
    assert logs.MASK in logs.redact(line)


@contextlib.contextmanager
def the_log() -> Iterator[logging.Logger]:
    """What is logged inside goes to stderr by the formatter of the house alone."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers = []
    try:
        logs.set_up("DEBUG")
        yield logging.getLogger("dod.test")
    finally:
        root.handlers = before
        root.setLevel(level)


def test_tracebacks_are_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.hide("s3cr3t-value")
    with the_log() as log:
        try:
            raise ValueError("s3cr3t-value")
        except ValueError:
            log.exception("failed with %s", "s3cr3t-value")
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "s3cr3t" not in printed


def test_short_words_are_not_taken_for_secrets() -> None:
    logs.hide("it", "")
    assert logs.redact("it works") == "it works"


@pytest.mark.parametrize(
    "spelt",
    [
        str,
        json.dumps,
        repr,
        lambda secret: repr(json.dumps({"a'b": secret})),
        lambda secret: quote(secret, safe=""),
        lambda secret: f"{{'it': {secret!r}}}",
    ],
)
def test_a_secret_is_known_however_it_is_quoted(spelt: Callable[[str], str]) -> None:
    """A neighbour's error may say it back, and the log quotes that."""
    secret = "Zq7&x=%/+\"'{}\\9k"
    logs.hide(secret)
    said = logs.redact(f"bad {spelt(secret)} value")
    assert "Zq7" not in said
    assert "9k" not in said


def test_a_secret_that_has_no_bytes_is_hidden_too() -> None:
    logs.hide("abcdefgh\ud83d")
    assert logs.redact("not abcdefgh\ud83d!") == f"not {logs.MASK}!"


def test_a_secret_that_begins_another_leaves_nothing_of_it() -> None:
    longer = [f"office-2026{char}tail" for char in "abcdefgh"]
    logs.hide("office-2026", *longer)
    assert all(logs.redact(it) == logs.MASK for it in longer)


@pytest.mark.parametrize(
    "line",
    [
        "DingTalk does not accept the client id and client secret (HTTP 401 invalid)",
        "'dingtalk_app_client_secret' has ASCII letters, digits and signs only",
        "then write !secret it_dify_key here",
        "the access-token has expired",
        "HTTP 401: Bearer authentication required.",
        "no bearer token",
    ],
)
def test_words_about_secrets_can_be_read(line: str) -> None:
    assert logs.redact(line) == line


def test_nobody_s_words_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with the_log() as log:
        log.warning("turn failed: %s\tnext", "DifyError not allowed: \x1b[2J\x9b1A\r\u202eok")
    printed = capsys.readouterr().err
    assert printed.endswith("not allowed: ·[2J·1A··ok\tnext\n")


@pytest.mark.parametrize("name", ["authorization: Bearer", "x-acs-dingtalk-access-token:"])
def test_a_value_in_its_place_is_masked_even_if_it_is_a_word(name: str) -> None:
    assert logs.redact(f"{name} hunter") == f"{name} {logs.MASK}"
