"""What could be better: told as a warning, with words that lead somewhere."""

import io
from pathlib import Path

import pytest

from dod.config.check import check
from dod.config.load import Loaded, load
from dod.notice import render
from dod.status import ConfigStatus, Status

SECRET = "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a"
CLEAR = f"""bots:
  - name: it
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: {SECRET}
    dify_app_type: chatbot
    dify_app_api_key: !env_var IT_KEY app-x
"""
ADD = "在 secrets.yaml 里加一行 · add to secrets.yaml"
NEW = "新建 secrets.yaml，写 · create secrets.yaml with"
USE = "dingtalk_app_client_secret: !secret"


def read(folder: Path, text: str = CLEAR, secrets: str | None = None) -> Loaded:
    (folder / "bots.yaml").write_text(text, encoding="utf-8")
    if secrets is not None:
        (folder / "secrets.yaml").write_text(secrets, encoding="utf-8")
    return load(folder, {}, run_secrets=folder / "none")


@pytest.mark.parametrize(
    ("secrets", "fix"),
    [
        (None, f'{NEW}: it_dingtalk_secret: "…" → {USE} it_dingtalk_secret'),
        ("other: x\n", f'{ADD}: it_dingtalk_secret: "…" → {USE} it_dingtalk_secret'),
        (
            "it_dingtalk_secret: x\n",
            f'{ADD}: it_dingtalk_secret_2: "…" → {USE} it_dingtalk_secret_2',
        ),
        (f"of_it: {SECRET}\n", f"{USE} of_it"),
    ],
)
def test_no_name_is_proposed_that_is_not_there_or_told_to_be_made(
    tmp_path: Path, secrets: str | None, fix: str
) -> None:
    advice = read(tmp_path, secrets=secrets).problems[0]
    assert advice.fix == fix
    assert ("put the line" in advice.en) == ("→" in fix)
    assert ("先在 secrets.yaml 里写一行" in advice.zh) == ("→" in fix)
    name = fix.rsplit(maxsplit=1)[1]
    assert f"!secret {name}" in advice.zh
    assert f"!secret {name}" in advice.en


def test_a_bot_whose_name_is_no_word_has_a_number(tmp_path: Path) -> None:
    fix = read(tmp_path, CLEAR.replace("name: it", "name: 人事")).problems[0].fix
    assert fix.endswith("!secret bot1_dingtalk_secret")


def test_the_password_of_the_page_may_move_too(tmp_path: Path) -> None:
    text = f"bots: []\nweb: {{password: {SECRET}}}\n"
    assert read(tmp_path, text).problems[-1].fix.endswith("password: !secret web_password")


def test_advice_is_a_warning_everywhere_and_exits_with_2(tmp_path: Path) -> None:
    loaded = read(tmp_path)
    out = io.StringIO()
    assert check(None, {}, folder=tmp_path, out=out) == 2
    assert out.getvalue().startswith("提醒 WARNING bots.yaml:4:33")
    assert loaded.problems[0].severity == "warning"
    config = ConfigStatus("bots.yaml", 1, loaded.verdict, 1.0, loaded.problems)
    text = render(Status(1.0, config))
    assert "1. [提醒] bots.yaml:4:33" in text
    assert "1. [warning] bots.yaml:4:33" in text
    assert not any(
        word in text + out.getvalue() for word in ("建议", "ADVICE", "WARN ", "uggestion")
    )
