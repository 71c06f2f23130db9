"""The real language server of VS Code's YAML support explains ``bots.yaml`` beside dod's files.

It sees what lies in the folder after dod's first start, and no network.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dod.config.example import EXAMPLE
from dod.config.firststart import begin_folder
from dod.config.schema import properties
from dod.editor import refresh_editor_files
from tests.editor.language_server import LanguageServer
from tests.require import require

HERE = Path(__file__).parent
INSTALL = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
# What its VS Code extension says where a person's settings say nothing.
DEFAULTS = {
    "yaml.validate": True,
    "yaml.hover": True,
    "yaml.completion": True,
    "yaml.schemaStore.enable": True,
    "yaml.kubernetesCRDStore.enable": True,
}
MODELINE = EXAMPLE.splitlines()[0] + "\n"
BOT = """\
bots:
  - name: it
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: !secret it_dingtalk_secret
    dify_app_type: chatbot
    dify_app_api_key: !secret it_dify_key
"""
OWN = len(BOT.splitlines()) + 1  # the line below the bot, after the modeline; 0-based


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Installs what the lock names; the command that starts it without a network."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        require("node", "node and npm are not on the path")
    place = tmp_path_factory.mktemp("language-server")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, place / name)
    try:
        done = subprocess.run(
            [npm, *INSTALL], cwd=place, capture_output=True, text=True, timeout=80, check=False
        )
    except subprocess.TimeoutExpired:
        require("node", "npm ci took too long")
    if done.returncode != 0:
        require("node", f"npm ci failed: {done.stderr[-500:]}")
    server = place / "node_modules/yaml-language-server/bin/yaml-language-server"
    return [node, "--require", str(HERE / "offline.cjs"), str(server), "--stdio"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A share as people name theirs, after the first start."""
    folder = tmp_path_factory.mktemp("nas") / "钉钉 机器人"
    folder.mkdir()
    assert begin_folder(folder)
    refresh_editor_files(folder)
    return folder


@pytest.fixture(scope="module")
def server(command: list[str], folder: Path) -> Iterator[LanguageServer]:
    attempts = folder.parent / "attempts"
    attempts.touch()
    settings = json.loads((folder / ".vscode/settings.json").read_text("utf-8"))
    environ = {**os.environ, "DOD_ATTEMPTS": str(attempts)}
    with LanguageServer(command, folder, {**DEFAULTS, **settings}, environ) as server:
        yield server
    assert attempts.read_text() == "", "somebody asked the internet"


def told(server: LanguageServer, path: Path, text: str) -> list[tuple[str, str]]:
    """What is underlined, and why."""
    lines = text.split("\n")
    found = []
    for it in server.show(path, text):
        start, end = it["range"]["start"], it["range"]["end"]
        assert start["line"] == end["line"]
        mark = lines[start["line"]][start["character"] : end["character"]]
        found.append((mark, it["message"]))
    return found


def proposed(server: LanguageServer, path: Path, text: str) -> dict[str, str]:
    """Label → text to insert, at the end of ``text``."""
    uri = server.open(path, text)
    server.diagnostics(uri)
    line, column = text.count("\n"), len(text.rpartition("\n")[2])
    items = server.complete(uri, line, column)
    server.close(uri)
    return {it["label"]: it["insertText"] for it in items if not it["label"].startswith("!")}


def test_the_example_of_the_first_start_is_right(server: LanguageServer, folder: Path) -> None:
    assert told(server, folder / "bots.yaml", EXAMPLE) == []


def test_a_bots_keys_are_completed(server: LanguageServer, folder: Path) -> None:
    keys = proposed(server, folder / "bots.yaml", f"{MODELINE}{BOT}    ")
    there = {"name", *(key for key in properties("bot") if f"    {key}:" in BOT)}
    assert set(keys) == set(properties("bot")) - there
    assert keys["max_workers"] == "max_workers: "
    values = proposed(server, folder / "bots.yaml", f"{MODELINE}{BOT}    card_updates: ")
    assert set(values) == {"auto", "smooth", "balanced", "economical", "final"}
    types = proposed(server, folder / "bots.yaml", f"{MODELINE}bots:\n  - dify_app_type: ")
    assert set(types) == {"chatbot", "completion", "workflow"}


def test_a_whole_bot_is_one_choice(server: LanguageServer, folder: Path) -> None:
    below = proposed(server, folder / "bots.yaml", f"{MODELINE}bots:\n  ")
    lines = below["新机器人 · a new bot"].split("\n")
    assert lines[0] == "- name: ${1:it}"
    assert [line[:2] for line in lines[1:]] == ["  "] * 4
    behind = proposed(server, folder / "bots.yaml", f"{MODELINE}bots:\n  - ")
    assert behind["新机器人 · a new bot"].startswith("name: ${1:it}\n  dingtalk_app_client_id: ")
    inside = proposed(server, folder / "bots.yaml", f"{MODELINE}{BOT}    ")
    assert "新机器人 · a new bot" not in inside


def test_a_secret_is_never_proposed_in_quotes(server: LanguageServer, folder: Path) -> None:
    text = f"{MODELINE}bots:\n  - name: it\n    dify_app_api_key: "
    uri = server.open(folder / "bots.yaml", text)
    server.diagnostics(uri)
    items = server.complete(uri, 3, 22)
    server.close(uri)
    assert "!secret " in {it["insertText"] for it in items}
    assert not [it for it in items if '"' in it["insertText"]]


@pytest.mark.parametrize("file", ["bots.yaml", ".bots.yaml"])
def test_hovering_explains_in_both_languages(
    server: LanguageServer, folder: Path, file: str
) -> None:
    """Also without the line at the top: the settings name both files."""
    text = BOT + "    dify_timeout_seconds: 60\n"
    uri = server.open(folder / file, text)
    server.diagnostics(uri)
    key, value = (server.hover(uri, 6, column) for column in (10, 27))
    secret = server.hover(uri, 3, 40)
    server.close(uri)
    for shown in (key, value):
        assert "连续多少秒没有任何输出" in shown
        assert "The longest silence of Dify" in shown
        assert "默认 Default: `300`" in shown
    assert "secrets.yaml" in secret


def test_what_is_wrong_is_underlined(server: LanguageServer, folder: Path) -> None:
    text = (
        MODELINE
        + BOT.replace("chatbot", "agent")
        + """\
    handler: DifyCardHandler
    strem: true
    max_workers: four
    enabled: yes
    dify_api_url: 192.168.1.10/v1
    conversation: {group: everybody}
    allow: everybody
  - it
  - name: hr
nots: 1
"""
    )
    found = told(server, folder / "bots.yaml", text)
    marks = {mark for mark, _ in found}
    assert {"agent", "DifyCardHandler", "strem", "four", "yes", "192.168.1.10/v1"} <= marks
    assert {"everybody", "it", "nots"} <= marks
    said = dict(found)
    assert "DifyMarkdownBotHandler" in said["DifyCardHandler"]
    assert said["yes"] == "只能写 true 或 false，不加引号。 true or false, without quotes."
    assert "只能是 chatbot" in said["agent"]
    assert [why for _, why in found if "dify_app_api_key" in why], "of hr: missing"


def test_nothing_is_underlined_under_tags(server: LanguageServer, folder: Path) -> None:
    text = (
        MODELINE
        + BOT
        + """\
    dify_api_url: !env_var OFFICE_DIFY http://192.168.1.10/v1
    card_updates: !env_var PACE auto
    max_workers: !env_var WORKERS 4
    enabled: !env_var it_enabled true
    greeting: !include greeting.yaml
    allow: !include vip.yaml
    dify_inputs: {who: !env_var WHO}
  - name: !env_var HR_NAME 人事
    dingtalk_app_client_id: !secret hr-id
    dingtalk_app_client_secret: !env_var HR_SECRET
    dify_app_type: !env_var HR_TYPE chatbot
    dify_app_api_key: !secret hr_key
    dify_api_url: !secret dify
  - !include bots.d/finance.yaml
defaults: !include defaults.yml
admins: !include admins.yaml
dingtalk_qps: !env_var QPS 18
web: {password: !secret web_password}
"""
    )
    assert told(server, folder / "bots.yaml", text) == []
    strange = BOT.replace("!secret it_dify", "!secrets it_dify")
    assert [why for _, why in told(server, folder / "bots.yaml", strange) if "!secrets" in why]


def test_the_network_would_have_been_noticed(command: list[str], folder: Path) -> None:
    """The same server with the extension's own settings asks for schemas at once."""
    attempts = folder.parent / "attempts-of-defaults"
    attempts.touch()
    environ = {**os.environ, "DOD_ATTEMPTS": str(attempts)}
    with LanguageServer(command, folder, DEFAULTS, environ) as server:
        server.show(folder / "bots.yaml", MODELINE + "bots: []\n")
    assert "schemastore.org" in attempts.read_text()
