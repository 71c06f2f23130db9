from pathlib import Path
from typing import Any

import pytest

from dod.config.environment import READERS, Environment, read_dotenv, read_environment, together
from dod.config.masking import Mask
from dod.config.problems import Problem, Report
from dod.config.source import Source


def read(dotenv: str = "", **environ: str) -> tuple[Environment, tuple[Problem, ...]]:
    report = Report(Mask(frozenset({"password"}), frozenset()))
    variables = read_dotenv(Source(".env", dotenv), report)
    return read_environment(environ, variables, report), report.problems()


def test_nothing_set_means_the_defaults() -> None:
    assert read() == (Environment(), ())
    assert Environment().web_listen == ("127.0.0.1", 8765)
    assert Environment().config_dir == Path("config")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("DOD_CONFIG_DIR", "/config", Path("/config")),
        ("DOD_DATA_DIR", "/data", Path("/data")),
        ("DOD_LOG_DIR", "/logs", Path("/logs")),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_LEVEL", "WARN", "WARNING"),
        ("DEFAULT_MAX_WORKERS", "8", 8),
        ("DIFY_OPEN_API_URL", "http://dify:5001/v1/", "http://dify:5001/v1"),
        ("DINGTALK_AI_CARD_TEMPLATE_ID", "x.schema", "x.schema"),
        ("DOD_WEB_LISTEN", "0.0.0.0:80", ("0.0.0.0", 80)),
        ("DOD_WEB_LISTEN", "[::1]:8765", ("::1", 8765)),
        ("DOD_WEB_LISTEN", ":9000", ("0.0.0.0", 9000)),
        ("DOD_WEB_LISTEN", "9000", ("127.0.0.1", 9000)),
        ("DOD_WEB_LISTEN", "", None),
        ("DOD_WEB_LISTEN", "off", None),
        ("DOD_WEB_HOSTS", "Bots.example.com, b.example.com", ("bots.example.com", "b.example.com")),
        ("DOD_LANG", "ZH", "zh"),
        ("DOD_POLL_SECONDS", "0.5", 0.5),
        ("DOD_DRAIN_SECONDS", "20", 20.0),
        ("DOD_ON_BAD_CONFIG", "exit", "exit"),
        ("DINGTALK_OPENAPI_ENDPOINT", "http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("DINGTALK_OAPI_ENDPOINT", "http://127.0.0.1:2/", "http://127.0.0.1:2"),
    ],
)
def test_a_variable_is_read(name: str, text: str, value: Any) -> None:
    environment, problems = read(**{name: text})
    assert getattr(environment, READERS[name][0]) == value
    assert not problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LOG_LEVEL", "LOUD"),
        ("DEFAULT_MAX_WORKERS", "0"),
        ("DEFAULT_MAX_WORKERS", "two"),
        ("DIFY_OPEN_API_URL", "dify/v1"),
        ("DIFY_OPEN_API_URL", "http://dify:99999"),
        ("DINGTALK_AI_CARD_TEMPLATE_ID", "a b"),
        ("DOD_WEB_LISTEN", "somewhere"),
        ("DOD_WEB_LISTEN", "0.0.0.0:70000"),
        ("DOD_LANG", "fr"),
        ("DOD_POLL_SECONDS", "-1"),
        ("DOD_POLL_SECONDS", "nan"),
        ("DOD_ON_BAD_CONFIG", "crash"),
    ],
)
def test_a_bad_value_is_warned_of_and_the_default_used(name: str, text: str) -> None:
    environment, problems = read(**{name: text})
    assert environment == Environment()
    assert [(it.severity, it.file, it.line) for it in problems] == [("warning", "environment", 1)]
    assert name in problems[0].en
    assert problems[0].column == len(name) + 2


def test_an_empty_variable_is_an_unset_one() -> None:
    empty = dict.fromkeys(READERS, "")
    del empty["DOD_WEB_LISTEN"]
    assert read(**empty) == (Environment(), ())


@pytest.mark.parametrize(
    "line",
    [
        "DEFAULT_MAX_WORKERS=9",
        'DEFAULT_MAX_WORKERS="9"',
        "DEFAULT_MAX_WORKERS='9'  # nine",
        "DEFAULT_MAX_WORKERS=9 # nine",
        "export DEFAULT_MAX_WORKERS = 9",
        "  DEFAULT_MAX_WORKERS=9  ",
        "# comment\n\nDEFAULT_MAX_WORKERS=1\nDEFAULT_MAX_WORKERS=9\n",
    ],
)
def test_env_files_are_read_as_people_write_them(line: str) -> None:
    environment, problems = read(line)
    assert environment.default_max_workers == 9
    assert not problems


def test_a_hash_inside_quotes_or_a_word_is_kept() -> None:
    report = Report(Mask(frozenset({"password"}), frozenset()))
    variables = read_dotenv(Source(".env", 'DINGTALK_A="x # y"\nDINGTALK_B=x#y'), report)
    assert {name: it.value for name, it in variables.items()} == {
        "DINGTALK_A": "x # y",
        "DINGTALK_B": "x#y",
    }


def test_the_real_environment_wins_over_the_file() -> None:
    assert read("LOG_LEVEL=DEBUG", LOG_LEVEL="ERROR")[0].log_level == "ERROR"
    assert read("LOG_LEVEL=DEBUG", LOG_LEVEL="")[0].log_level == "DEBUG"


def test_only_the_originals_names_count_in_the_file() -> None:
    report = Report(Mask(frozenset({"password"}), frozenset()))
    text = "PATH=/evil\nHTTPS_PROXY=http://evil\nDOD_LANG=zh\nLOG_LEVLE=INFO\nDINGTALK_X=1\n"
    variables = read_dotenv(Source(".env", text), report)
    assert set(variables) == {"DINGTALK_X"}
    assert [it.line for it in report.problems()] == [3, 4]
    assert together({"A": "1", "B": ""}, variables) == {"A": "1", "DINGTALK_X": "1"}


def test_a_bad_line_is_warned_of_with_its_place() -> None:
    _, problems = read("LOG_LEVEL=INFO\nnonsense\nDEFAULT_MAX_WORKERS＝9\nLOG_LEVEL=LOUD")
    assert [(it.file, it.line, it.column) for it in problems] == [
        (".env", 2, 1),
        (".env", 3, 20),
        (".env", 4, 11),
    ]


def test_the_unused_variable_is_told_once() -> None:
    _, problems = read("DIFY_CONVERSATION_REMAIN_TIME=15")
    assert len(problems) == 1
    assert "conversation.expire_minutes" in problems[0].zh
