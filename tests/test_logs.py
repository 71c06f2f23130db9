"""Nothing secret passes the formatter."""

import logging

import pytest

from dod import logs


@pytest.mark.parametrize(
    "line",
    [
        "connect wss://host/connect?ticket=1f6c0b7e-SECRET-90",
        "x-acs-dingtalk-access-token: SECRETtoken99",
        '{"accessToken": "SECRETtoken99"}'.replace("accessToken", "access_token"),
        "Authorization: Bearer app-SECRET123456",
        "key app-SECRET123456 refused",
        "POST https://oapi.dingtalk.com/robot/sendBySession?session=SECRETsession",
        '"appSecret": "SECRETvalue1"',
        "password hunter2-SECRET here",
    ],
)
def test_secrets_are_masked(line: str) -> None:
    logs.hide("hunter2-SECRET")
    assert "SECRET" not in logs.redact(line)
    assert logs.MASK in logs.redact(line)


def test_tracebacks_are_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.hide("s3cr3t-value")
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers = []
    try:
        logs.set_up("DEBUG")
        try:
            raise ValueError("s3cr3t-value")
        except ValueError:
            logging.getLogger("dod.test").exception("failed with %s", "s3cr3t-value")
    finally:
        root.handlers = before
        root.setLevel(level)
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "s3cr3t" not in printed


def test_short_words_are_not_taken_for_secrets() -> None:
    logs.hide("it", "")
    assert logs.redact("it works") == "it works"
