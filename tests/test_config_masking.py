import re
from pathlib import Path

import pytest

from dod.config.check import to_json, to_text
from dod.config.load import load_text
from dod.config.masking import WIDEST, Mask
from dod.config.problems import Report
from dod.config.schema import key_names
from dod.config.source import Remark, Source
from dod.logs import MASK

SECRET = "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a"


def shown(text: str, line: int = 1, column: int = 1) -> str:
    source = Source("bots.yaml", text)
    mask = Mask(*key_names())
    mask.harvest(source)
    return mask.line(source.at(line, column))[0]


@pytest.mark.parametrize(
    "line",
    [
        "dingtalk_app_client_secret: hunter2",
        "dingtalk_app_client_secret：hunter2",
        "dingtalk_app_client_secret:hunter2",
        "dingtalk_app_client_secret hunter2",
        "dingtalk_app_client_secrethunter2",
        "  - dify_app_api_key: 'hunter2'",
        "client_secret: hunter2",
        "{name: it, password: hunter2, enabled: true}",
        '{name: it, password: "p}ss,hunter2", enabled: true}',
        '{"name": "it", "password": "p\\"ss}, hunter2"}',
        "{name: it, password: 'p''ss, hunter2', enabled: true}",
        '{name: it, password: "p,hunter2',
        '{name: it, password: !env "p,hunter2"}',
        "dify_app_api_key: !env_var KEY hunter2",
        "dify_app_api_key: !secret " + SECRET + "hunter2",
        "dify_api_kye: app-hunter2hunter2",
        "something: " + SECRET + "hunter2",
        "密码：hunter2",
        "dify_api_url: http://me:hunter2@dify/v1",
        "dify_api_url: http://me:at@hunter2@dify/v1",
        "x " * 5000 + "hunter2",
        "dify_app_api_key: >-\n  hunter2",
        "dify_app_api_key:\n\n  hunter2",
        "dify_app_api_key: abcdefg\nhunter2",
        "dify_app_api_key: |\n  a: b\n  hunter2: x",
        "# dify_app_api_key: hunter2",
        "enabled: true  # dingtalk_app_client_secret：hunter2",
        "dify_app_api_key: app # hunter2",
        "dify_app_api_key: hunter2\n# it is hunter2, still",
    ],
)
def test_a_secret_is_hidden_whatever_the_line_looks_like(line: str) -> None:
    for number in range(1, line.count("\n") + 2):
        assert "hunter2" not in shown(line, number)


@pytest.mark.parametrize(
    "line",
    [
        "dingtalk_app_client_secret: !secret it_client_secret_2",
        "dingtalk_ai_card_content_key: content",
        "dingtalk_ai_card_template_id: 02fcf2f4-5e02-4a85-b672-46d1f715543e.schema",
        "dingtalk_app_client_id: dingabc123def456ghi7",
        "handler: DifyAiCardBotHandler",
        "dify_api_url: https://api.dify.ai/v1",
        "dify_app_api_key: <your-dify-app-api-key>",
        "dify_app_api_key:",
        "# the secret: is below",
        "enabled: true  # the key: see the wiki",
        "name: it # password with Li",
        "# dify_app_api_key is in the console",
        'dify_app_api_key: "…"',
        "- !include bots.d/it2.yaml",
        "dify_app_api_key: !env_var IT_DIFY_KEY",
    ],
)
def test_what_is_no_secret_is_shown(line: str) -> None:
    assert shown(line) == line


def test_a_line_after_a_tag_is_shown() -> None:
    assert shown("dify_app_api_key: !secret it\n<<<<<<< HEAD", 2) == "<<<<<<< HEAD"


def test_a_short_secret_is_no_part_of_a_word_in_a_comment() -> None:
    text = "web: {password: office}\nname: officer  # of the offices; office-1"
    assert shown(text, 2) == f"name: {MASK}r  # of the offices; {MASK}-1"


@pytest.mark.parametrize("secret", ["a", "q7", "abc", "12345", "hunter2"])
@pytest.mark.parametrize(
    "line",
    [
        "dify_app_api_key：{}",
        "dify_app_api_key:{}",
        "  - dingtalk_app_client_secret={}",
        "\tdify_app_api_key: {}",
        'dify_app_api_key: "{}',
        "dify_app_api_key {}",
        "dify_app_api_key: {}: {}",
        "web: {{password：{}}}",
        "     dify_app_api_key: {}",
    ],
)
def test_no_proposed_line_shows_a_secret_however_short(line: str, secret: str) -> None:
    text = "bots:\n  - name: it\n    {}\n    dify_app_type: chatbot\n"
    loaded = load_text(text.format(line.format(*[secret] * 2)), {}, folder=Path("/nonexistent"))
    alone = re.compile(rf"(?<![a-z0-9]){secret}(?![a-z0-9])")
    assert loaded.problems
    for problem in loaded.problems:
        assert not alone.search(problem.fix)
        assert not alone.search(problem.source_line)
        if any(char.isdigit() for char in secret):  # others are words of the sentences, too
            assert not alone.search(problem.zh + problem.en)


def test_a_known_secret_is_hidden_everywhere() -> None:
    mask = Mask(*key_names())
    mask.learn("hunter2\nsecond line", "short")
    assert mask.text("it is hunter2, second line, short") == f"it is {MASK}, {MASK}, short"


def test_everything_in_secrets_yaml_is_hidden() -> None:
    source = Source("secrets.yaml", "it：hunter2\nnonsense\n- a: hunter3", secret=True)
    mask = Mask(*key_names())
    assert mask.line(source.at(1, 3)) == (f"it：{MASK}", 2)
    assert mask.line(source.at(2, 1))[0] == MASK
    assert "hunter3" not in mask.line(source.at(3, 1))[0]


@pytest.mark.parametrize(
    ("line", "column", "rest"),
    [
        ("dify_app_api_key: hunter2", 1, "dify_app_api_key"),
        ("dify_app_api_key: hunter2", 19, MASK),
        ("dify_app_api_key: hunter2", 22, MASK),
        ("{password: hunter2, enabled: x}", 21, "enabled: x}"),
        ("{password: hunter2, enabled: x}", 32, ""),
    ],
)
def test_the_caret_moves_with_what_is_hidden(line: str, column: int, rest: str) -> None:
    source = Source("bots.yaml", line)
    text, caret = Mask(*key_names()).line(source.at(1, column))
    assert text[caret:].startswith(rest)
    assert caret <= len(text)


def test_a_long_line_is_shown_around_the_place() -> None:
    source = Source("bots.yaml", "x " * 1000 + "HERE" + " y" * 1000)
    text, caret = Mask(*key_names()).line(source.at(1, 2001))
    assert text[caret:].startswith("HERE")
    assert len(text) <= WIDEST + 2


def test_a_caret_stands_under_its_place_after_chinese() -> None:
    report = Report(Mask(*key_names()))
    report.error(Source("bots.yaml", "人事: x").at(1, 5), Remark("错", "wrong"))
    caret = report.problems()[0].render().splitlines()[2]
    assert caret == "      | " + " " * 6 + "^"


def test_no_text_of_a_problem_carries_a_secret() -> None:
    text = f"""bots:
  - name: {SECRET}
    dingtalk_app_client_secret: {SECRET}
    {SECRET}: 1
    dify_app_type: {SECRET}
    dingtalk_app_client_id: {SECRET}
"""
    loaded = load_text(text, {}, folder=Path("/nonexistent"))
    assert SECRET not in to_text(loaded)
    assert SECRET not in to_json(loaded)
