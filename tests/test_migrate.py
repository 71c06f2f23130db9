"""Whoever comes from dify-on-dingtalk gets the same bots, and files without a fault."""

import errno
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dod.config.document import parse
from dod.config.firststart import begin_folder
from dod.config.load import Loaded, load
from dod.config.nodes import Mapping, plain
from dod.config.source import Source
from dod.config.spec import BotSpec
from dod.migrate import command
from dod.migrate.command import migrate
from dod.migrate.moved import spelled
from dod.migrate.variables import unquoted

SECRET, KEY = "s3cr3t-of-dingtalk-0123456789", "app-AbCdEf0123456789xyz"
# Keys and comments as the original's examples have them.
BOTS = f"""\
bots:
  - name: 问答助手
    dingtalk_app_client_id: dingabcdefghij
    dingtalk_app_client_secret: {SECRET}
    dify_app_type: chatbot
    dify_app_api_key: {KEY}
    handler: DifyAiCardBotHandler
"""
DOTENV = """\
# app config
LOG_LEVEL=INFO
DEFAULT_MAX_WORKERS=4

# dify service config
DIFY_OPEN_API_URL="http://192.168.1.10/v1"
DIFY_CONVERSATION_REMAIN_TIME=15

# dingtalk config
DINGTALK_AI_CARD_TEMPLATE_ID="office-template.schema"
"""
FORK = """\
DIFY_OPEN_API_URL="http://192.168.1.10/v1"
DIFY_CONVERSATION_REMAIN_TIME=15
REDIS_HOST=127.0.0.1
REDIS_PORT=6379
REDIS_PASSWORD=Sesame0open1Sesame2
REDIS_DB=0
APP_NAME=office
"""


def old(folder: Path, bots: str | bytes = BOTS, dotenv: str | None = DOTENV) -> Path:
    home = folder / "old"
    home.mkdir(exist_ok=True)
    (home / ".bots.yaml").write_bytes(bots.encode() if isinstance(bots, str) else bots)
    if dotenv is not None:
        (home / ".env").write_text(dotenv, "utf-8")
    return home


def moved(source: Path, *, dry: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    code = migrate(source, source.parent / "new", out=out, environ={}, dry=dry)
    said = out.getvalue()
    assert SECRET not in said
    assert KEY not in said
    return code, said


def fine(source: Path) -> tuple[Loaded, str]:
    """What dod loads after a move that worked; it has not a word to say."""
    code, said = moved(source)
    assert code == 0, said
    loaded = load(source.parent / "new", {})
    assert loaded.problems == ()
    assert loaded.config
    return loaded, said


def only(source: Path) -> BotSpec:
    loaded, _ = fine(source)
    assert loaded.config
    (bot,) = loaded.config.bots
    return bot


def refused(source: Path) -> str:
    """Nothing was written, and why."""
    new = source.parent / "new"
    before = sorted(new.iterdir()) if new.exists() else None
    code, said = moved(source)
    assert code == 1, said
    assert (sorted(new.iterdir()) if new.exists() else None) == before
    return said


# -- what becomes of it
def test_the_new_files_give_the_bots_of_the_old_ones(tmp_path: Path) -> None:
    source = old(tmp_path)
    there = load(source, {})
    assert there.config
    (was,) = there.config.bots
    (now,) = fine(source)[0].config.bots  # type: ignore[union-attr]
    assert now.credentials == was.credentials == ("dingabcdefghij", SECRET)
    for key in ("name", "dify_app_api_key", "dify_api_url", "max_workers", "handler"):
        assert getattr(now, key) == getattr(was, key)
    assert now.card_style == was.card_style
    assert now.conversation.expire_minutes == 15
    assert (source / ".bots.yaml").read_text("utf-8") == BOTS
    text = (tmp_path / "new/bots.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=./config.schema.json\n")
    assert "!secret bot1_dingtalk_secret" in text
    assert SECRET not in text
    assert KEY not in text


def test_the_diff_shows_what_changes_without_a_secret(tmp_path: Path) -> None:
    _, said = fine(old(tmp_path))
    assert said.startswith("--- .bots.yaml\n+++ bots.yaml\n@@")
    assert "-    dingtalk_app_client_secret: ••••••\n" in said
    assert "+    dingtalk_app_client_secret: !secret bot1_dingtalk_secret\n" in said
    assert "     dingtalk" not in said.split("- DIFY_OPEN_API_URL")[1]
    for name, key in (
        ("DIFY_OPEN_API_URL", "dify_api_url"),
        ("DINGTALK_AI_CARD_TEMPLATE_ID", "dingtalk_ai_card_template_id"),
        ("DEFAULT_MAX_WORKERS", "max_workers"),
        ("DIFY_CONVERSATION_REMAIN_TIME", "conversation"),
    ):
        assert f"{name} 写成了 defaults.{key}" in said
    assert "LOG_LEVEL" not in said, "INFO is the default"


@pytest.mark.parametrize("login", ["me:hunter2-pw", "token-of-a-proxy"])
def test_a_login_in_an_address_goes_to_the_secrets(tmp_path: Path, login: str) -> None:
    bots = BOTS + f"    dify_api_url: https://{login}@dify.office/v1\n"
    bots += BOTS.split("\n", 1)[1].replace("问答助手", "it").replace("dingabc", "dingxyz")
    dotenv = DOTENV.replace("http://192", "http://you:sesame77@192")
    loaded, said = fine(old(tmp_path, bots, dotenv))
    first, second = loaded.config.bots  # type: ignore[union-attr]
    assert first.dify_api_url == f"https://{login}@dify.office/v1"
    assert second.dify_api_url == "http://you:sesame77@192.168.1.10/v1"
    text = (tmp_path / "new/bots.yaml").read_text("utf-8")
    assert "    dify_api_url: !secret bot1_dify_url\n" in text
    assert "  dify_api_url: !secret dify_url\n" in text
    for shown in (text, said):
        assert login.rsplit(":", maxsplit=1)[-1] not in shown
        assert "sesame77" not in shown
    assert "DIFY_OPEN_API_URL 里有登录信息" in said
    assert "the address of Dify holds a login" in said


def test_nothing_is_said_of_the_file_that_is_left_behind(tmp_path: Path) -> None:
    bots = BOTS + "    dify_api_url: http://dify.example.com/v1\n"
    code, said = moved(old(tmp_path, bots))
    assert code == 0
    told = [line for line in said.splitlines() if line.startswith("提醒 WARNING")]
    assert told == ["提醒 WARNING bots.yaml:24:19"], "the address, and of the new file alone"


def test_a_secret_that_was_cut_is_told_of_as_it_stands_in_the_old_file(tmp_path: Path) -> None:
    code, said = moved(old(tmp_path, BOTS.replace(SECRET, "s3cr3t #0123456789")))
    assert code == 0
    assert "提醒 WARNING .bots.yaml:4:33" in said
    assert "被当作注释丢掉了" in said


def test_the_redis_fork(tmp_path: Path) -> None:
    bots = BOTS.replace("handler", "dingtalk_ai_card_template_id: own.schema\n    handler")
    flow = bots.replace("- name: 问答助手", "- name: flow").replace("chatbot", "workflow")
    flow = flow.replace("dingabc", "dingxyz").replace("bots:\n", "")
    loaded, said = fine(old(tmp_path, bots + flow, FORK))
    assert loaded.config
    chat, work = loaded.config.bots
    assert chat.dingtalk_ai_card_template_id == "own.schema"
    assert chat.conversation.expire_minutes == 0, "it never forgets"
    assert dict(chat.dify_inputs) == {
        "platform": "dingtalk",
        "userName": "{sender_name}",
        "userId": "{sender_id}",
        "conversationType": "{chat_type}",
        "conversationTitle": "{chat_title}",
    }
    assert dict(work.dify_inputs) == {**dict(chat.dify_inputs), "query": "{text}"}
    assert "REDIS_* and APP_NAME have no counterpart" in said
    assert "Sesame0open1" not in said


def test_the_fork_is_known_by_its_code_too(tmp_path: Path) -> None:
    source = old(tmp_path, dotenv="")
    (source / "core").mkdir()
    (source / "core/rediscache.py").touch()
    assert "platform" in dict(only(source).dify_inputs)


def test_without_env_everything_is_as_dod_does_it(tmp_path: Path) -> None:
    bot = only(old(tmp_path, dotenv=None))
    assert bot.dify_api_url == "https://api.dify.ai/v1"
    assert "defaults:" not in (tmp_path / "new/bots.yaml").read_text("utf-8")


def test_the_files_may_lie_where_the_readme_puts_them(tmp_path: Path) -> None:
    source = old(tmp_path)
    (source / "docker").mkdir()
    for name in (".bots.yaml", ".env"):
        (source / name).rename(source / "docker" / name)
    (source / "docker/docker-compose.yaml").write_text(
        "services:\n  dod-app:\n    environment:\n      DINGTALK_AI_CARD_TEMPLATE_ID: c.schema\n"
        "      DEFAULT_MAX_WORKERS: ${WORKERS}\n"
    )
    code, said = moved(source)
    assert code == 0
    assert "docker-compose.yaml: DEFAULT_MAX_WORKERS" in said, "not read, and said"
    loaded = load(tmp_path / "new", {})
    assert loaded.config
    assert loaded.config.bots[0].dingtalk_ai_card_template_id == "c.schema"


def test_the_file_itself_may_be_named(tmp_path: Path) -> None:
    source = old(tmp_path)
    assert migrate(source / ".bots.yaml", tmp_path / "new", out=io.StringIO(), environ={}) == 0


def test_comments_come_along_unless_they_may_hold_a_secret(tmp_path: Path) -> None:
    bots = BOTS.replace("  - name", "  # 行政部\n  - name").replace("hij\n", "hij  # 主应用\n")
    old_one = "#  - name: old\n#    dingtalk_app_client_secret: sesame\n"
    _, said = fine(old(tmp_path, "# 我们的\n" + bots + old_one))
    text = (tmp_path / "new/bots.yaml").read_text("utf-8")
    assert "# 我们的\nbots:\n  # 行政部\n  - name: 问答助手\n" in text
    assert "dingabcdefghij  # 主应用\n" in text
    assert "sesame" not in text + said
    assert "2 lines of comments may hold secrets" in said


def test_what_had_no_effect_is_left_out_and_said(tmp_path: Path) -> None:
    bots = BOTS + "    description: 给行政部\n    max_worker: 8\n"
    loaded, said = fine(old(tmp_path, bots, DOTENV.replace("INFO", "DEBUG") + "HTTP_PROXY=x\n"))
    assert loaded.accepted == ("问答助手",)
    assert "'description' had no effect before either" in said
    assert "Did you mean 'max_workers'?" in said
    assert "LOG_LEVEL=DEBUG has no place in bots.yaml" in said
    assert "No counterpart, left out: HTTP_PROXY" in said


def test_what_the_original_took_is_taken(tmp_path: Path) -> None:
    bots = BOTS.replace("问答助手", "007").replace("chatbot", "ChatBot")
    bot = only(old(tmp_path, bots + '    max_workers: "3"\n'))
    assert (bot.name, bot.dify_app_type, bot.max_workers) == ("007", "chatbot", 3)


def test_no_memory_has_no_counterpart(tmp_path: Path) -> None:
    _, said = fine(old(tmp_path, dotenv="DIFY_CONVERSATION_REMAIN_TIME=0\n"))
    assert "meant no memory at all" in said


def test_a_template_that_was_never_filled_in(tmp_path: Path) -> None:
    dotenv = 'DINGTALK_AI_CARD_TEMPLATE_ID="<your-dingtalk-ai-card-temp-id>"\n'
    loaded, said = fine(old(tmp_path, dotenv=dotenv))
    assert loaded.config
    assert loaded.config.bots[0].card_style.public
    assert "DINGTALK_AI_CARD_TEMPLATE_ID was never filled in" in said


def test_two_bots_of_one_name_to_secrets_differ(tmp_path: Path) -> None:
    second = BOTS.removeprefix("bots:\n").replace("dingabc", "dingxyz")
    names = BOTS.replace("问答助手", "hr bot") + second.replace("问答助手", "HR-Bot")
    loaded, _ = fine(old(tmp_path, names))
    assert loaded.accepted == ("hr bot", "HR-Bot")
    secrets = (tmp_path / "new/secrets.yaml").read_text("utf-8")
    assert "hr_bot_dify_key:" in secrets
    assert "bot2_dify_key:" in secrets


def test_no_bots_are_no_bots(tmp_path: Path) -> None:
    code, _ = moved(old(tmp_path, "bots: []\n"))
    assert code == 0
    assert load(tmp_path / "new", {}).verdict == "accepted"


# -- odd writing
@pytest.mark.parametrize(
    "data",
    [
        BOTS.replace("\n", "\r\n").encode(),
        BOTS.encode("utf-8-sig"),
        BOTS.encode("gbk"),
        BOTS.encode("utf-16"),
        BOTS.rstrip().encode(),
    ],
    ids=["crlf", "bom", "gbk", "utf-16", "no line end"],
)
def test_any_encoding_becomes_utf_8(tmp_path: Path, data: bytes) -> None:
    assert only(old(tmp_path, data)).name == "问答助手"
    assert b"\r" not in (tmp_path / "new/bots.yaml").read_bytes()


ODD = ["it's:#1", 'a"b\\c', "!secret", "'x'", "{a}", "-b", "@at", "%x"]
ODD += ["0123456", "true", "1e5", "&a*b", "a:b"]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("style", ["single", "double", "folded"])
def test_a_secret_in_any_quotes_arrives_whole(tmp_path: Path, value: str, style: str) -> None:
    written = {
        "single": "'" + value.replace("'", "''") + "'",
        "double": '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"',
        "folded": f">-\n      {value}",
    }[style]
    bots = BOTS.replace(SECRET, written)
    assert only(old(tmp_path, bots)).dingtalk_app_client_secret == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("plain", "plain"),
        ("plain # comment", "plain"),
        ("a#b", "a#b"),
        ("'single # no comment'", "single # no comment"),
        ('"double \\"quoted\\""  # comment', 'double "quoted"'),
        ("'it\\'s'", "it's"),
        ('"a\\nb"', "a\nb"),
        ("", ""),
        ("# only a comment", ""),
        ("${HOST}/v1", "http://h/v1"),
        ("${NONE:-x}", "x"),
        ('"open', None),
    ],
)
def test_env_is_read_as_python_dotenv_does(written: str, value: str | None) -> None:
    assert unquoted(written, {"HOST": "http://h"}) == value


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_every_text_is_spelled_so_that_it_reads_back(value: str) -> None:
    root = parse(Source("bots.yaml", f"key: {spelled(value)}\n")).root
    assert isinstance(root, Mapping)
    assert plain(root) == {"key": value}


# -- what cannot be moved
def test_bad_input_is_explained_and_nothing_is_written(tmp_path: Path) -> None:
    assert "There is no folder" in refused(tmp_path / "none")
    (tmp_path / "old").mkdir()
    assert "There is no .bots.yaml" in refused(tmp_path / "old")
    (tmp_path / "old/bots.yaml").write_text(BOTS)
    assert "There is a bots.yaml: if that is the one, rename it" in refused(tmp_path / "old")
    (tmp_path / "file").touch()
    assert "is no folder" in refused(tmp_path / "file")


@pytest.mark.parametrize(
    ("bots", "line", "why"),
    [
        (BOTS.replace("name: ", "name：", 1), ":2:", "全角"),
        (BOTS.replace("    dify_app_type", "\tdify_app_type"), ":5:", "Tab"),
        (BOTS.replace("chatbot", "assistant"), ":5:", "dify_app_type"),
        (BOTS.replace(KEY, "<your-dify-api-key-per-app>"), ":6:", "还没有填写"),
        (BOTS.replace(SECRET, "“curly0123”"), ":4:", "中文引号"),
        (BOTS.replace("DifyAiCardBotHandler", "DifyOtherHandler"), ":7:", "handler"),
        (BOTS + BOTS.removeprefix("bots:\n"), ":8:", "两次"),
        ("bots:\n  it: {}\n", ":2:", "列表"),
        ("", ".bots.yaml", "空的"),
    ],
)
def test_mistakes_in_the_old_file_are_shown_with_their_line(
    tmp_path: Path, bots: str, line: str, why: str
) -> None:
    said = refused(old(tmp_path, bots))
    assert line in said
    assert why in said
    assert "Nothing was written" in said


def test_a_file_of_dod_is_no_original(tmp_path: Path) -> None:
    """Its tags would be taken for the values they stand for."""
    source = old(tmp_path, BOTS.replace(SECRET, "!secret s"))
    (source / "secrets.yaml").write_text(f"s: {SECRET}\n")
    assert "is a file of dod already" in refused(source)


@pytest.mark.parametrize(
    "dotenv",
    [
        "DIFY_OPEN_API_URL=192.168.1.10/v1\n",
        "DEFAULT_MAX_WORKERS=many\n",
        "DIFY_CONVERSATION_REMAIN_TIME=15m\n",
    ],
)
def test_a_variable_that_cannot_be_right_stops_the_move(tmp_path: Path, dotenv: str) -> None:
    said = refused(old(tmp_path, dotenv=dotenv))
    assert dotenv.partition("=")[0] in said
    assert "correct it in .env first" in said


# -- where it goes
@pytest.mark.parametrize("name", ["bots.yaml", "secrets.yaml"])
def test_no_file_is_ever_replaced(tmp_path: Path, name: str) -> None:
    source = old(tmp_path)
    new = tmp_path / "new"
    new.mkdir()
    (new / name).write_text("mine")
    assert f"There is already {name}" in refused(source)
    assert (new / name).read_text() == "mine"
    (new / name).unlink()
    (new / name).symlink_to(tmp_path / "nowhere")
    assert f"There is already {name}" in refused(source)
    assert not (tmp_path / "nowhere").exists()


def test_the_example_of_the_first_start_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    begin_folder(tmp_path / "new")
    assert "only the example of the first start" in refused(old(tmp_path))


def test_a_dry_run_leaves_no_trace(tmp_path: Path) -> None:
    source = old(tmp_path)
    code, said = moved(source, dry=True)
    assert code == 0
    assert "+++ bots.yaml" in said
    assert "No file was written" in said
    assert not (tmp_path / "new").exists()


def test_in_the_same_folder_it_says_what_is_left_to_do(tmp_path: Path) -> None:
    source = old(tmp_path)
    out = io.StringIO()
    assert migrate(source, source, out=out, environ={}) == 0
    assert ".bots.yaml is ignored" in out.getvalue()
    (source / ".bots.yaml").unlink()
    (source / ".env").unlink()
    assert load(source, {}).problems == ()


def test_the_files_belong_to_the_people_of_the_folder(tmp_path: Path) -> None:
    new = tmp_path / "new"
    for mode, bots, secrets in (
        (0o755, 0o644, 0o640),
        (0o777, 0o666, 0o666),
        (0o700, 0o600, 0o600),
    ):
        new.mkdir()
        new.chmod(mode)
        fine(old(tmp_path))
        assert [(new / it).stat().st_mode & 0o777 for it in ("bots.yaml", "secrets.yaml")] == [
            bots,
            secrets,
        ]
        assert len(list(new.iterdir())) == 2, "nothing else is left there"
        for path in new.iterdir():
            path.unlink()
        new.rmdir()


def test_a_disk_that_fails_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of the two files cannot be made: the first does not stay alone."""
    appear, calls = command._appear, []

    def fail_at_last(staged: Path, path: Path) -> None:
        calls.append(path.name)
        if path.name == "bots.yaml":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        appear(staged, path)

    monkeypatch.setattr(command, "_appear", fail_at_last)
    assert "No space left" in refused(old(tmp_path))
    assert calls == ["secrets.yaml", "bots.yaml"]
    (tmp_path / "new").mkdir()
    assert "No space left" in refused(old(tmp_path))


def test_a_share_without_links_gets_whole_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", no_links)
    only(old(tmp_path))
    assert len(list((tmp_path / "new").iterdir())) == 2
    with pytest.raises(FileExistsError):
        command._appear(tmp_path / "old/.env", tmp_path / "new/bots.yaml")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    source = old(tmp_path)
    out = io.StringIO()
    assert migrate(source, tmp_path / "a/b", out=out, environ={}) == 1
    assert "cannot be read or written (No such file" in out.getvalue()
    (tmp_path / "taken").touch()
    assert migrate(source, tmp_path / "taken", out=out, environ={}) == 1
    assert "Not a directory" in out.getvalue()
