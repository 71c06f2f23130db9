import dataclasses
import os
from pathlib import Path

import httpx
import pytest

from dod import logs
from dod.config.addresses import bad_url
from dod.config.bots import Tagged
from dod.config.load import Loaded, load, load_file, load_text
from dod.config.spec import PUBLIC_TEMPLATE_ID, BotSpec

SECRET = "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a"
KEY = "app-AbCdEfGhIjKlMnOpQrStUvWx"


def bot(name: str, **keys: str) -> str:
    values = {
        "name": name,
        "dingtalk_app_client_id": f"ding{name}client",
        "dingtalk_app_client_secret": SECRET + name,
        "dify_app_type": "chatbot",
        "dify_app_api_key": KEY + name,
        **keys,
    }
    return "  - " + "\n    ".join(f"{key}: {value}" for key, value in values.items()) + "\n"


def read(folder: Path, text: str, **environ: str) -> Loaded:
    (folder / "bots.yaml").write_text(text, encoding="utf-8")
    return load(folder, environ, run_secrets=folder / "run")


def first(loaded: Loaded) -> BotSpec:
    assert loaded.config, loaded.problems
    return loaded.config.bots[0]


def said(loaded: Loaded) -> list[str]:
    return [problem.en for problem in loaded.problems]


# -- the original's files
ORIGINAL_BOTS = f"""\
bots:
  - name: "chat_bot"
    dingtalk_app_client_id: dingq1w2e3r4t5y6u7i8
    dingtalk_app_client_secret: {SECRET}
    dify_app_type: chatbot
    dify_app_api_key: {KEY}
    handler: DifyAiCardBotHandler
  - name: "completion_bot"
    dingtalk_app_client_id: dinga1s2d3f4g5h6j7k8
    dingtalk_app_client_secret: {SECRET}2
    dify_app_type: Completion
    dify_app_api_key: {KEY}2
    handler: DifyAiCardBotHandler
    max_workers: 5
  - name: "workflow_bot"
    dingtalk_app_client_id: dingz1x2c3v4b5n6m7l8
    dingtalk_app_client_secret: {SECRET}3
    dify_app_type: workflow
    dify_app_api_key: {KEY}3
    handler: DifyAiCardBotHandler
"""
ORIGINAL_ENV = """\
# 日志级别
LOG_LEVEL=INFO
# 每个机器人的线程数
DEFAULT_MAX_WORKERS=3
# Dify
DIFY_OPEN_API_URL="https://dify.example.com/v1"
DIFY_CONVERSATION_REMAIN_TIME=15
DINGTALK_AI_CARD_TEMPLATE_ID="8aebdfb9-28f4-4a98-98f5-396c3dde41a0.schema"
"""


def test_the_originals_files_run_unchanged(tmp_path: Path) -> None:
    (tmp_path / ".bots.yaml").write_text(ORIGINAL_BOTS, encoding="utf-8")
    (tmp_path / ".env").write_text(ORIGINAL_ENV, encoding="utf-8")
    loaded = load(tmp_path, {})
    assert loaded.file == ".bots.yaml"
    assert loaded.verdict == "accepted"
    assert loaded.config
    assert loaded.accepted == ("chat_bot", "completion_bot", "workflow_bot")
    chat, completion, workflow = loaded.config.bots
    assert (chat.max_workers, completion.max_workers) == (3, 5)
    assert {bot.dify_api_url for bot in loaded.config.bots} == {"https://dify.example.com/v1"}
    assert chat.dingtalk_ai_card_template_id.startswith("8aebdfb9")
    assert chat.dingtalk_ai_card_content_key == "content"
    assert (chat.dify_inputs, workflow.dify_inputs) == ((), (("query", "{text}"),))
    assert completion.dify_app_type == "completion"
    advice, warning = loaded.problems
    assert (advice.file, advice.advice, warning.file) == (".bots.yaml", True, ".env")
    assert "conversation.expire_minutes" in warning.en
    assert "DIFY_CONVERSATION_REMAIN_TIME" not in os.environ


def test_an_unfilled_template_id_in_env_is_unset_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('DINGTALK_AI_CARD_TEMPLATE_ID="<your-template-id>"\n')
    loaded = read(tmp_path, "bots:\n" + bot("a"))
    assert loaded.verdict == "accepted"
    assert first(loaded).dingtalk_ai_card_template_id == PUBLIC_TEMPLATE_ID
    assert first(loaded).dingtalk_ai_card_content_key == "msgContent"
    assert [(it.severity, it.file, it.line) for it in loaded.problems if not it.advice] == [
        ("warning", ".env", 1)
    ]


# -- waiting
def test_no_folder_waits(tmp_path: Path) -> None:
    loaded = load(tmp_path / "none", {})
    assert (loaded.verdict, loaded.file, loaded.config) == ("waiting", "", None)
    assert "bots.yaml" in loaded.problems[0].en


def test_no_file_waits_and_says_where_to_put_it(tmp_path: Path) -> None:
    loaded = load(tmp_path, {})
    assert loaded.verdict == "waiting"
    assert "bots.yaml" in loaded.problems[0].zh
    names = {path.name for path in loaded.files}
    assert names == {"bots.yaml", ".bots.yaml", "secrets.yaml", ".env"}


@pytest.mark.parametrize("text", ["", "\n\n", "# later\n", "---\n", "\ufeff"])
def test_an_empty_file_waits(tmp_path: Path, text: str) -> None:
    loaded = read(tmp_path, text)
    assert (loaded.verdict, loaded.file) == ("waiting", "bots.yaml")


def test_a_folder_called_bots_yaml_waits(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").mkdir()
    loaded = load(tmp_path, {})
    assert loaded.verdict == "waiting"
    assert "folder" in loaded.problems[0].en


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bots.yaml")
    assert load(tmp_path, {}).verdict == "waiting"


# -- verdicts
def test_a_bad_bot_leaves_the_others(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + bot("a") + bot("b", enabled="yes") + bot("c"))
    assert (loaded.verdict, loaded.accepted, loaded.rejected) == ("partly", ("a", "c"), ("b",))
    assert [problem.bot for problem in loaded.problems] == ["b"]
    assert set(loaded.unresolved) == {"a", "c"}


def test_no_bot_at_all_is_accepted_with_a_hint(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots: []\n")
    assert loaded.verdict == "accepted"
    assert loaded.config
    assert loaded.config.bots == ()
    assert [problem.severity for problem in loaded.problems] == ["warning"]


def test_no_right_bot_at_all_rejects_the_file(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + bot("a", enabled="yes"))
    assert (loaded.verdict, loaded.config, loaded.rejected) == ("rejected", None, ("a",))


def test_a_bad_top_level_key_leaves_the_bots(tmp_path: Path) -> None:
    loaded = read(tmp_path, "dingtalk_qps: fast\nadmins: [m1]\nextra: 1\nbots:\n" + bot("a"))
    assert (loaded.verdict, loaded.accepted, loaded.rejected) == ("partly", ("a",), ())
    assert loaded.config
    assert (loaded.config.dingtalk_qps, loaded.config.admins) == (18, ("m1",))


def test_the_second_of_two_alike_is_left_out(tmp_path: Path) -> None:
    same = bot("c", dingtalk_app_client_id="dingaclient")
    loaded = read(tmp_path, "bots:\n" + bot("a") + bot("a", max_workers="9") + same)
    assert loaded.accepted == ("a",)
    assert loaded.rejected == ("#2", "c")
    assert "here and on line 2" in said(loaded)[0]
    assert first(loaded).max_workers == 2


def test_a_disabled_bot_is_accepted(tmp_path: Path) -> None:
    assert not first(read(tmp_path, "bots:\n" + bot("a", enabled="false"))).enabled


# -- defaults
def test_defaults_lie_under_every_bot(tmp_path: Path) -> None:
    text = (
        "defaults:\n  max_workers: 7\n  conversation: {group: shared, expire_minutes: 5}\n"
        "  allow: {users: [u1, u2]}\nbots:\n"
        + bot("a")
        + bot("b", max_workers="1", conversation="{expire_minutes: 9}", allow="{users: [u3]}")
    )
    loaded = read(tmp_path, text)
    assert loaded.config
    a, b = loaded.config.bots
    assert (a.max_workers, a.conversation.group, a.allow.users) == (7, "shared", ("u1", "u2"))
    assert (b.max_workers, b.conversation.group, b.allow.users) == (1, "shared", ("u3",))
    assert (b.conversation.expire_minutes, b.allow.groups) == (9, ("*",))


def test_a_wrong_default_fails_only_who_inherits_it(tmp_path: Path) -> None:
    text = "defaults: {max_workers: many}\nbots:\n" + bot("a") + bot("b", max_workers="1")
    loaded = read(tmp_path, text)
    assert (loaded.accepted, loaded.rejected) == (("b",), ("a",))
    assert [(it.line, it.bot) for it in loaded.problems] == [(1, "")]


@pytest.mark.parametrize(
    ("text", "environ", "wanted"),
    [
        ("", {}, "https://api.dify.ai/v1"),
        ("", {"DIFY_OPEN_API_URL": "http://dify/v1/"}, "http://dify/v1"),
        ("http://own/v1/", {"DIFY_OPEN_API_URL": "http://dify/v1"}, "http://own/v1"),
    ],
)
def test_the_url_comes_from_the_bot_then_the_environment(
    tmp_path: Path, text: str, environ: dict[str, str], wanted: str
) -> None:
    keys = {"dify_api_url": text} if text else {}
    assert first(read(tmp_path, "bots:\n" + bot("a", **keys), **environ)).dify_api_url == wanted


def test_own_template_has_its_text_in_content(tmp_path: Path) -> None:
    spec = first(read(tmp_path, "bots:\n" + bot("a", dingtalk_ai_card_template_id="x.schema")))
    assert spec.dingtalk_ai_card_content_key == "content"


# -- tags
def test_secrets_from_the_file_then_from_run_secrets(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("one: first-secret\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "two").write_text("second-secret\n")
    text = "bots:\n" + bot(
        "a", dingtalk_app_client_secret="!secret one", dify_app_api_key="!secret two"
    )
    loaded = read(tmp_path, text)
    spec = first(loaded)
    assert (spec.dingtalk_app_client_secret, spec.dify_app_api_key) == (
        "first-secret",
        "second-secret",
    )
    kept = loaded.unresolved["a"]["dify_app_api_key"]
    assert isinstance(kept, Tagged)
    assert kept == "!secret two"
    assert tmp_path / "run" / "two" in loaded.files
    assert "second-secret" not in logs.redact("it is second-secret here")


def test_a_secret_file_cannot_be_reached_by_a_path(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("top-secret-text")
    text = "bots:\n" + bot("a", dify_app_api_key="!secret ../outside")
    loaded = read(tmp_path, text)
    assert loaded.rejected == ("a",)
    assert tmp_path / "outside" not in {path.resolve() for path in loaded.files}


def test_a_broken_secrets_file_is_told_once_in_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("good: abcdef\nbad：hunter2hunter2\n", encoding="utf-8")
    loaded = read(tmp_path, "bots:\n" + bot("a", dify_app_api_key="!secret other") + bot("b"))
    assert (loaded.accepted, loaded.rejected) == (("b",), ("a",))
    broken = next(it for it in loaded.problems if it.file == "secrets.yaml")
    assert (broken.line, broken.column) == (2, 4)
    assert "hunter2" not in str(loaded.problems)


def test_variables_with_and_without_a_default(tmp_path: Path) -> None:
    text = "bots:\n" + bot(
        "a",
        dify_app_api_key="!env_var IT_KEY",
        max_workers="!env_var WORKERS 4",
        enabled="!env_var ON true",
        greeting="!env_var HELLO hello to you",
    )
    loaded = read(tmp_path, text, IT_KEY="app-from-environ", ON="false")
    spec = first(loaded)
    assert (spec.dify_app_api_key, spec.max_workers, spec.enabled) == ("app-from-environ", 4, False)
    assert spec.greeting == "hello to you"
    assert loaded.unresolved["a"]["max_workers"] == "!env_var WORKERS 4"


def test_included_bots_keep_their_own_places(tmp_path: Path) -> None:
    (tmp_path / "bots.d").mkdir()
    body = bot("b", enabled="maybe").replace("  - ", "").replace("\n    ", "\n")
    (tmp_path / "bots.d" / "b.yaml").write_text(body)
    loaded = read(tmp_path, "bots:\n" + bot("a") + "  - !include bots.d/b.yaml\n")
    assert (loaded.accepted, loaded.rejected) == (("a",), ("b",))
    problem = loaded.problems[0]
    assert (problem.file, problem.line, problem.column) == ("bots.d/b.yaml", 6, 10)
    assert tmp_path / "bots.d" / "b.yaml" in loaded.files


def test_an_absent_include_is_watched_for(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + bot("a") + "  - !include b.yaml\n")
    assert tmp_path / "b.yaml" in loaded.files


def test_a_link_out_of_the_folder_is_no_include(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text("name: x\n")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    loaded = read(folder, "bots:\n" + bot("a") + "  - !include link.yaml\n")
    assert "outside" in said(loaded)[0]


def test_a_kubernetes_volume_may_link_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "all.yaml").write_text(bot("a").replace("\n    ", "\n  ")[2:])
    (tmp_path / "all.yaml").symlink_to("..data/all.yaml")
    assert read(tmp_path, "bots: !include all.yaml\n").accepted == ("a",)


def test_includes_end_after_five_levels(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.yaml").write_text(f"!include {number + 1}.yaml\n")
    loaded = read(tmp_path, "bots:\n" + bot("a") + "  - !include 0.yaml\n")
    assert "levels deep" in said(loaded)[0]


# -- limits
def test_a_huge_file_is_rejected(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + "#" * 1_000_001)
    assert loaded.verdict == "rejected"
    assert "too large" in said(loaded)[0]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{after}: &{after} [{', '.join(['*' + name] * 9)}]\n"
            for name, after in zip("abcde", "bcdef", strict=True)
        ),
        "bots: [" + "{}, " * 10_001 + "]",
        "bots: &a [*a]",
        "[" * 5000,
    ],
    ids=["laughs", "many", "itself", "deep"],
)  # fmt: skip
def test_a_file_that_expands_too_far_is_rejected(tmp_path: Path, text: str) -> None:
    loaded = read(tmp_path, text)
    assert (loaded.verdict, loaded.config) == ("rejected", None)


def test_at_most_twenty_problems(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + "".join(bot(f"b{n}", enabled="yes") for n in range(30)))
    assert len(loaded.problems) == 20


# -- YAML's own ways
def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    text = (
        "bots:\n  - &base\n"
        + bot("a", max_workers="3").replace("  - ", "    ")
        + "  - <<: *base\n    name: b\n    dingtalk_app_client_id: dingother\n"
    )
    loaded = read(tmp_path, text)
    assert loaded.config
    assert [(spec.name, spec.max_workers) for spec in loaded.config.bots] == [("a", 3), ("b", 3)]


def test_a_reused_anchor_is_no_failure(tmp_path: Path) -> None:
    assert read(tmp_path, "bots:\n" + bot("a", greeting="&x hi", dify_output="&x y")).config


def test_chinese_punctuation_in_values_is_legal(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + bot("hr").replace("name: hr", "name: 人事：“助手”"))
    assert loaded.accepted == ("人事：“助手”",)
    assert all(problem.advice for problem in loaded.problems)


def test_file_and_text_take_the_same_path(tmp_path: Path) -> None:
    text = "bots:\n" + bot("a")
    (tmp_path / "x.yaml").write_text(text)
    from_file = load_file(tmp_path / "x.yaml", {})
    from_text = load_text(text.encode(), {}, folder=tmp_path, name="x.yaml")
    assert from_file.file == from_text.file == "x.yaml"
    assert from_file.config == from_text.config
    assert tmp_path / "x.yaml" in from_file.files
    assert tmp_path / "x.yaml" not in from_text.files


def test_the_file_decides_on_the_language_before_the_environment(tmp_path: Path) -> None:
    text = "bots:\n" + bot("a")
    assert read(tmp_path, text, DOD_LANG="zh").language == "zh"
    assert read(tmp_path, "language: en\n" + text, DOD_LANG="zh").language == "en"


def test_all_secrets_are_hidden_from_the_log(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("unused: never-shown-1\n")
    read(tmp_path, "web: {password: open-sesame-2}\nbots:\n" + bot("hidden"))
    shown = logs.redact(f"never-shown-1 open-sesame-2 {SECRET}hidden")
    assert "never" not in shown
    assert "sesame" not in shown
    assert SECRET not in shown


def test_loaded_is_frozen_and_shows_no_secret(tmp_path: Path) -> None:
    loaded = read(tmp_path, "bots:\n" + bot("a"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.file = "x"  # type: ignore[misc]
    assert SECRET not in repr(loaded)
    assert KEY not in repr(loaded)


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://dify.example.com/v1", True),
        ("http://[::1]:5001/v1", True),
        ("http://中文.cn/v1", True),
        ("http://☃.de/v1", False),
        ("http://a\u0085b/v1", False),
    ],
)
def test_an_address_that_no_client_takes_is_refused(address: str, good: bool) -> None:
    assert bad_url(address) != good
    if good:
        assert httpx.URL(address).host


def test_a_bot_whose_keys_stand_outside_is_one_problem_and_its_own(tmp_path: Path) -> None:
    outside = bot("b").replace("    ", "")
    loaded = read(tmp_path, "bots:\n" + bot("a") + outside)
    (problem,) = [it for it in loaded.problems if it.severity == "error"]
    assert (problem.bot, problem.line, loaded.rejected) == ("b", 8, ("b",))
    assert "9-11" in problem.en


def test_a_key_that_stands_nowhere_is_still_missed(tmp_path: Path) -> None:
    text = bot("b").replace("    ", "").replace("dify_app_type: chatbot\n", "")
    loaded = read(tmp_path, "bots:\n" + bot("a") + text)
    said = [it.en for it in loaded.problems if it.severity == "error"]
    assert any("Missing required" in it for it in said)
    assert any("belongs under a bot" in it for it in said)
