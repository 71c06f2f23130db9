"""What the admin finds beside bots.yaml, and that it never does harm there."""

import json
import logging
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dod import ownfiles
from dod.config.load import Loaded, load
from dod.editor import refresh_editor_files
from dod.notice import FILE, Notice, encode, render
from dod.status import BotSnapshot, BotState, BotVerdict, ConfigStatus, Status, Turns

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

BROKEN = """\
admins: [manager-planted]
bots:
- name: it
  dingtalk_app_client_id: dingit
  dingtalk_app_client_secret: planted-s3cret
  dify_app_type: chatbot
  dify_app_api_key: app-planted0123456789
  max_worker: 3
- name: hr
  dingtalk_app_client_id: dinghr
  dingtalk_app_client_secret: planted-s3cret-two
  dify_app_type: chatbot
  dify_app_api_key: app-planted9876543210
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.mkdir()
    return path


def status_of(loaded: Loaded, *bots: BotSnapshot, loads: int = 1, trouble: str = "") -> Status:
    config = ConfigStatus(loaded.file, loads, loaded.verdict, 1_790_000_000.0, loaded.problems)
    return Status(1_790_000_000.0, config, bots, trouble=trouble)


def one(
    name: str = "it", state: BotState = "connected", verdict: BotVerdict = "running"
) -> BotSnapshot:
    return BotSnapshot(name=name, state=state, since=1.0, verdict=verdict)


def fine(*bots: BotSnapshot, loads: int = 1) -> Status:
    config = ConfigStatus("bots.yaml", loads, "accepted", 1_790_000_000.0, applied=True)
    return Status(1_790_000_000.0, config, bots)


@pytest.fixture
def broken(folder: Path) -> Loaded:
    (folder / "bots.yaml").write_text(BROKEN)
    return load(folder, {}, run_secrets=folder / "none")


# -- the words


def test_every_problem_is_told_with_place_sentences_and_fix(broken: Loaded) -> None:
    text = render(status_of(broken, one("it", verdict="running_old"), one("hr")))
    (problem,) = broken.problems
    line = "    8 |   max_worker: 3\n      |   ^\n"
    assert f"1. [错误] bots.yaml:8:3（机器人 it）\n{line}   {problem.zh}\n   改成：" in text
    assert f"1. [error] bots.yaml:8:3 (bot it)\n{line}   {problem.en}\n   Write instead: " in text
    assert "max_workers" in text
    assert "- it：已连接钉钉，运行正常；仍按旧配置运行，新的没有采用，见问题 1" in text
    assert "runs with its OLD configuration" in text
    assert "- hr：已连接钉钉，运行正常\n" in text
    assert text.index("只采用了一部分") < text.index("Only a part")


def test_the_line_is_quoted_without_its_secret(folder: Path) -> None:
    text = BROKEN.replace("client_secret: planted-s3cret\n", "client_secret：planted-s3cret\n")
    (folder / "bots.yaml").write_text(text)
    said = render(status_of(load(folder, {})))
    key = "  dingtalk_app_client_secret"
    assert f"    5 | {key}：••••••\n      | {' ' * len(key)}^\n" in said
    assert "planted" not in said


def test_a_missing_file_has_no_line_to_quote(folder: Path) -> None:
    said = render(status_of(load(folder, {})))
    assert "1. [错误] bots.yaml\n   " in said
    assert " | " not in said


def test_english_comes_first_for_those_who_chose_it(broken: Loaded) -> None:
    text = render(status_of(broken), "en")
    assert text.index("Only a part") < text.index("只采用了一部分")


@pytest.mark.parametrize(
    ("bot", "zh", "en"),
    [
        (one(), "已连接钉钉", "connected to DingTalk"),
        (one(state="connecting"), "正在连接钉钉", "connecting to DingTalk"),
        (
            one(state="bad_credentials"),
            "钉钉不接受它的 Client ID",
            "DingTalk refuses its client id and secret; compare them",
        ),
        (one(state="retrying"), "连不上钉钉", "cannot connect"),
        (one(state="dead"), "出了故障", "crashed"),
        (one(state="stopped", verdict="disabled"), "已停用", "disabled"),
        (one(state="stopped", verdict="not_started"), "没有启动", "not started"),
        (one(verdict="running_old"), "新凭证连不上", "its new credentials do not connect"),
        (one("#2", "stopped", "not_started"), "第 2 个机器人：没有启动", "bot no. 2: not started"),
    ],
)
def test_each_bot_says_what_happened_to_it(bot: BotSnapshot, zh: str, en: str) -> None:
    chinese, english = render(fine(bot)).split("\n\n\n")
    assert zh in chinese
    assert en in english


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("{{{", "没有采用；继续用上一份好的配置", "the last good version stays"),
        ("", "没有可用的配置", "There is no configuration"),
        ("bots: []", "已全部采用", "All of bots.yaml is applied"),
    ],
)
def test_the_verdict_is_a_sentence(folder: Path, text: str, zh: str, en: str) -> None:
    (folder / "bots.yaml").write_text(text)
    said = render(status_of(load(folder, {})))
    assert zh in said
    assert en in said
    assert "没有机器人" in said


def test_store_trouble_is_told(broken: Loaded) -> None:
    text = render(status_of(broken, trouble="the disk is full; kept in memory"))
    assert "存储：the disk is full" in text
    assert "Store: the disk is full" in text


def test_no_secret_no_person_and_nothing_that_counts(broken: Loaded) -> None:
    status = status_of(broken, one("it"), one("app-planted0123456789"))
    text = render(status)
    assert "planted" not in text
    busy = replace(
        status,
        bots=tuple(
            replace(
                bot, turns=Turns(9, 9, 9, 9), since=99.0, calls=7, connections=8, generation=9,
                pushes=5, last_error="the request id of this very minute",
            )
            for bot in status.bots
        ),
        started_at=5.0,
        alive=False,
    )  # fmt: skip
    assert render(busy) == text


# -- the file


def test_notepad_can_read_it(folder: Path) -> None:
    assert Notice(folder).show(fine(one("人事")), now=0.0)
    data = (folder / FILE).read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert not data[3:].startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == data.count(b"\r\n") > 5
    assert data.endswith(b"\r\n")
    assert data.decode("utf-8-sig").replace("\r\n", "\n") == render(fine(one("人事")))


def test_half_a_surrogate_pair_is_no_reason_to_fail() -> None:
    assert encode("a\ud83d\n").endswith(b"a?\r\n")


def test_only_a_new_text_is_written(folder: Path) -> None:
    notice = Notice(folder)
    assert notice.show(fine(one()), now=0.0)
    before = (folder / FILE).stat()
    assert not notice.show(fine(one()), now=100.0)
    assert not Notice(folder).show(fine(one()), now=0.0)  # after a restart
    after = (folder / FILE).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    (folder / FILE).unlink()  # by the admin: it stays away until there is something to say
    assert not notice.show(fine(one()), now=200.0)
    assert not (folder / FILE).exists()


def test_a_connection_lost_for_a_moment_is_not_written(folder: Path) -> None:
    notice = Notice(folder, settle=5.0)
    lost, back = fine(one(state="retrying")), fine(one())
    assert notice.show(back, now=0.0)
    assert not notice.show(lost, now=1.0)
    assert not notice.show(back, now=2.0)
    assert not notice.show(lost, now=10.0)
    assert not notice.show(lost, now=14.9)
    assert notice.show(lost, now=15.1)
    assert notice.show(fine(one(), loads=2), now=15.2)  # a load is told at once


def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    assert not Notice(tmp_path / "config").show(fine(), now=0.0)
    refresh_editor_files(tmp_path / "config")
    assert not (tmp_path / "config").exists()


@as_root
@pytest.mark.parametrize(
    ("folder_mode", "mode"), [(0o777, 0o666), (0o755, 0o644), (0o2770, 0o660), (0o700, 0o600)]
)
def test_what_dod_creates_belongs_to_the_folders_owner(
    folder: Path, folder_mode: int, mode: int
) -> None:
    folder.chmod(folder_mode)
    os.chown(folder, 1026, 100)
    Notice(folder).show(fine(), now=0.0)
    refresh_editor_files(folder)
    for name in (FILE, "config.schema.json", ".vscode/settings.json"):
        made = (folder / name).stat()
        assert (made.st_uid, made.st_gid) == (1026, 100), name
        assert stat.S_IMODE(made.st_mode) == mode, name
    inner = (folder / ".vscode").stat()
    assert (inner.st_uid, inner.st_gid) == (1026, 100)
    assert stat.S_IMODE(inner.st_mode) == folder_mode & 0o777


def test_an_unwritable_place_is_one_warning_until_it_changes(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notice = Notice(folder, again=60.0)
    (folder / FILE).mkdir()  # a folder in place of the file
    with caplog.at_level(logging.INFO):
        assert not notice.show(fine(), now=0.0)
        assert not notice.show(fine(), now=61.0)
        assert not notice.show(fine(loads=2), now=62.0)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        (folder / FILE).rmdir()
        assert not notice.show(fine(loads=2), now=63.0)
        assert notice.show(fine(loads=2), now=123.0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert [path.name for path in folder.iterdir()] == [FILE]


@pytest.fixture
def read_only(folder: Path) -> Iterator[Path]:
    """A file system that takes no write, not even root's."""
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_folder_is_a_warning_and_nothing_more(
    read_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notice = Notice(read_only)
    assert not notice.show(fine(), now=0.0)
    assert not notice.show(fine(loads=2), now=100.0)
    refresh_editor_files(read_only)
    warned = [it.levelname for it in caplog.records if it.levelno >= logging.WARNING]
    assert warned == ["WARNING"]
    assert "Read-only file system" in caplog.messages[0]


def test_a_link_is_replaced_and_never_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    (folder / FILE).symlink_to(outside)
    assert Notice(folder).show(fine(), now=0.0)
    assert outside.read_text() == "theirs"
    assert not (folder / FILE).is_symlink()


def test_a_file_mounted_by_itself_is_written_in_place(folder: Path, tmp_path: Path) -> None:
    """Renaming over a mount point is refused: EBUSY."""
    real, target = tmp_path / "real", folder / FILE
    real.write_text("old " * 1000)
    target.touch()
    mount = subprocess.run(
        ["mount", "--bind", str(real), str(target)], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip(f"nothing can be mounted here: {mount.stderr.decode().strip()}")
    try:
        assert Notice(folder).show(fine(), now=0.0)
        assert real.read_bytes() == encode(render(fine()))
        assert [path.name for path in folder.iterdir()] == [FILE]
    finally:
        subprocess.run(["umount", str(target)], check=True)


def test_the_draft_of_a_power_cut_is_in_nobodys_way(folder: Path) -> None:
    (folder / f".{FILE}.tmp").write_text("half")
    assert Notice(folder).show(fine(), now=0.0)
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_owning_what_is_not_there_is_no_error(folder: Path) -> None:
    ownfiles.own(folder / "absent", folder)
    ownfiles.own(folder, folder / "absent")


# -- for the editor


def test_the_editor_gets_schema_and_tags(folder: Path) -> None:
    refresh_editor_files(folder)
    schema = json.loads((folder / "config.schema.json").read_text(encoding="utf-8"))
    assert "bots" in schema["properties"]
    settings = json.loads((folder / ".vscode/settings.json").read_text())
    assert settings["yaml.schemas"] == {"./config.schema.json": ["bots.yaml", ".bots.yaml"]}
    assert settings["yaml.customTags"] == ["!secret scalar", "!env_var scalar", "!include scalar"]
    assert settings["yaml.schemaStore.enable"] is False, "it would ask the internet first"


def test_an_old_schema_is_refreshed_and_own_settings_stay(folder: Path) -> None:
    (folder / ".vscode").mkdir()
    (folder / ".vscode/settings.json").write_text("{mine}")
    (folder / "config.schema.json").write_text("{}")
    (folder / "bots.yaml").write_bytes(b"bots: []\r\n")
    refresh_editor_files(folder)
    assert (folder / ".vscode/settings.json").read_text() == "{mine}"
    assert (folder / "bots.yaml").read_bytes() == b"bots: []\r\n"
    assert len((folder / "config.schema.json").read_text(encoding="utf-8")) > 1000
    before = (folder / "config.schema.json").stat().st_ino
    refresh_editor_files(folder)
    assert (folder / "config.schema.json").stat().st_ino == before


def test_a_linked_editor_folder_is_left_alone(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / ".vscode").symlink_to(outside)
    refresh_editor_files(folder)
    assert not list(outside.iterdir())
