"""A bug of dod's own, met while it looks at a file, ends nothing and shows nobody a traceback."""

import io
import logging
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from dod.bridge.bot import Bot
from dod.config import load as loading
from dod.config.check import REJECTED, check
from dod.config.document import Parsed
from dod.config.load import OWN_BUG, load, load_text
from dod.config.source import Source
from dod.config.spec import BotSpec
from dod.fleet import Change, Fleet
from dod.reloader import Reloader

SECRET = "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a"
BOT = f"""\
bots:
  - name: a
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: {SECRET}
    dify_app_type: chatbot
    dify_app_api_key: app-AbCdEfGhIjKlMnOpQrStUvWx
"""


class Applied(Fleet):
    """Keeps what would run instead of running it."""

    def __init__(self) -> None:
        super().__init__(_never)
        self.names: list[list[str]] = []

    def apply(
        self, specs: Iterable[BotSpec], rejected: Collection[str] = (), *, remove: bool = True
    ) -> dict[str, Change]:
        assert not rejected
        assert isinstance(remove, bool)
        self.names.append([spec.name for spec in specs])
        return {}


def _never(_spec: BotSpec, _owner: str) -> Bot:
    raise AssertionError("nothing is built here")


def stumble(source: Source) -> Parsed:
    raise ArithmeticError(f"a bug, beside {source.text}")


def folder_of(path: Path) -> Path:
    (path / "config").mkdir()
    (path / "config" / "bots.yaml").write_text(BOT, "utf-8")
    return path / "config"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_bug_rejects_the_file_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loading, "parse", stumble)
    folder = folder_of(tmp_path)
    for loaded in (load(folder, {}), load_text(BOT, {}, folder=folder, name="bots.yaml")):
        assert (loaded.verdict, loaded.config, loaded.file) == ("rejected", None, "bots.yaml")
        assert [(it.zh, it.en) for it in loaded.problems] == [(OWN_BUG.zh, OWN_BUG.en)]
    assert "Traceback" in said.text
    assert "ArithmeticError: a bug" in said.text
    assert SECRET not in said.text


def test_a_check_says_it_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "parse", stumble)
    out = io.StringIO()
    assert check(None, {}, folder=folder_of(tmp_path), out=out) == REJECTED
    assert OWN_BUG.en in out.getvalue()
    assert "Traceback" not in out.getvalue()


def test_what_runs_goes_on_after_a_bug_at_a_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, fleet = folder_of(tmp_path), Applied()
    reloader = Reloader(folder, {"DOD_DATA_DIR": str(tmp_path / "data")}, fleet, lambda: None)
    try:
        assert reloader.begin()
        running = reloader.config
        with monkeypatch.context() as broken:
            broken.setattr(loading, "parse", stumble)
            (folder / "bots.yaml").write_text(BOT + "    greeting: hello\n", "utf-8")
            look_until(reloader, "rejected")
        assert reloader.config == running
        assert [it.en for it in reloader.status.problems] == [OWN_BUG.en]
        assert fleet.names == [["a"]]
        (folder / "bots.yaml").write_text(BOT + "    greeting: good day\n", "utf-8")
        look_until(reloader, "accepted")
        assert fleet.names == [["a"], ["a"]]
    finally:
        reloader.close()


def test_a_bug_at_the_start_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, fleet = folder_of(tmp_path), Applied()
    with monkeypatch.context() as broken:
        broken.setattr(loading, "parse", stumble)
        reloader = Reloader(folder, {"DOD_DATA_DIR": str(tmp_path / "data")}, fleet, lambda: None)
        try:
            assert not reloader.begin()
            assert reloader.environment.data_dir == tmp_path / "data"
            assert (reloader.status.verdict, fleet.names) == ("rejected", [])
        finally:
            reloader.close()


def look_until(reloader: Reloader, verdict: str) -> None:
    deadline = time.monotonic() + 10
    while reloader.status.verdict != verdict:
        assert time.monotonic() < deadline, reloader.status
        reloader.nudge()
        reloader.look()
        time.sleep(0.02)


def test_a_variable_with_half_a_character_is_refused(tmp_path: Path) -> None:
    text = BOT + "    greeting: !env_var HELLO\n"
    loaded = load_text(text, {"HELLO": "a\udce4"}, folder=tmp_path, name="bots.yaml")
    assert (loaded.verdict, loaded.problems[0].line) == ("rejected", 7)
    assert "broken" in loaded.problems[0].en
