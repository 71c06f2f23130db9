"""``dod check`` as a process: what a person at a terminal and a tool in a pipe get."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.rig import ROOT
from tests.test_config_check import BOT

WRONG = BOT + "    enabled: yes\n"


def dod(*words: str, folder: Path, stdin: bytes = b"", **environ: str) -> tuple[int, bytes, str]:
    """Exit status, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "dod", *words],
        cwd=ROOT,
        env=environment(folder, environ),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


def environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    return {**kept, "DOD_CONFIG_DIR": str(folder), "TERM": "xterm", **more}


def on_a_terminal(*words: str, folder: Path, **environ: str) -> str:
    master, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "dod", *words],
            cwd=ROOT,
            env=environment(folder, environ),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
        )
        os.close(terminal)
        shown = b""
        try:
            while more := os.read(master, 65536):
                shown += more
        except OSError:  # Linux says so at the end of a terminal
            pass
        process.wait(60)
    finally:
        os.close(master)
    return shown.decode()


@pytest.mark.parametrize(
    ("text", "status"),
    [(BOT, 0), (WRONG, 1), (BOT + "    dify_api_url: http://dify.example.com/v1\n", 2), ("", 1)],
)
def test_the_exit_status_is_the_verdict(tmp_path: Path, text: str, status: int) -> None:
    (tmp_path / "bots.yaml").write_text(text)
    for style in ("text", "json"):
        code, out, err = dod("check", "--format", style, folder=tmp_path)
        assert (code, err) == (status, "")
        assert out


def test_wrong_arguments_are_no_verdict(tmp_path: Path) -> None:
    for words in (("check", "--fromat", "json"), ("check", "a", "b"), ("chekc",)):
        code, out, err = dod(*words, folder=tmp_path)
        assert (code, out) == (64, b"")
        assert "usage: dod" in err
    assert b"64 wrong arguments" in dod("check", "--help", folder=tmp_path)[1]


def test_a_terminal_has_colours(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(WRONG)
    shown = on_a_terminal("check", folder=tmp_path)
    assert "\x1b[31;1m错误 ERROR\x1b[0m" in shown
    assert "\x1b[31;1m^\x1b[0m" in shown
    assert "\x1b[32m  改成 fix: enabled: true\x1b[0m" in shown
    plain = dod("check", folder=tmp_path)[1].decode()
    assert "\x1b" not in plain, "none in a pipe"
    for code in ("31;1", "32", "1", "0"):
        shown = shown.replace(f"\x1b[{code}m", "")
    assert shown.replace("\r\n", "\n") == plain


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_declined(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "bots.yaml").write_text(WRONG)
    assert "\x1b" not in on_a_terminal("check", folder=tmp_path, **environ)
    assert "\x1b" not in on_a_terminal("check", "--format", "json", folder=tmp_path)


def test_an_empty_no_color_declines_nothing(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(WRONG)
    assert "\x1b" in on_a_terminal("check", folder=tmp_path, NO_COLOR="")


def test_stdin_is_checked_beside_the_secrets_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("key: app-0123456789abcdef\n")
    text = BOT.replace("!env_var A_KEY app-x", "!secret key").encode()
    assert dod("check", "-", folder=tmp_path, stdin=text)[0] == 0
    code, out, _ = dod("check", "-", "--format", "json", folder=tmp_path, stdin=WRONG.encode())
    assert (code, json.loads(out)["problems"][0]["file"]) == (1, "-")
    gbk = BOT.replace("name: a", "name: 问答助手").encode("gbk")
    code, out, _ = dod("check", "-", folder=tmp_path, stdin=gbk)
    assert code == 2
    assert "GBK" in out.decode()
    code, out, err = dod("check", "-", folder=tmp_path, stdin=b"\xff\x00\xfe\x1b[31m")
    assert (code, err) == (1, "")
    assert b"\x1b" not in out


def test_a_key_is_explained(tmp_path: Path) -> None:
    code, out, _ = dod("check", "--explain", "card_updates", folder=tmp_path)
    assert code == 0
    assert "smooth 最流畅" in out.decode()
    assert "auto chooses by what is left" in out.decode()
    code, out, _ = dod("check", "--explain", "max_worker", folder=tmp_path)
    assert code == 1
    assert "Did you mean 'max_workers'?" in out.decode()


def test_a_reader_that_leaves_and_a_terminal_without_chinese_get_no_traceback(
    tmp_path: Path,
) -> None:
    (tmp_path / "bots.yaml").write_text(WRONG)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "dod", "check"],
            cwd=ROOT,
            env=environment(tmp_path, {}),
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.stderr == b""
    code, out, err = dod("check", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert (code, err) == (1, "")
    assert b"must be true or false" in out
