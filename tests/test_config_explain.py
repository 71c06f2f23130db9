"""Every key can be asked for, and what is told of it is right."""

import io
import json

import pytest

from dod.config.check import explain
from dod.config.document import parse
from dod.config.explain import Key, every_key, find, to_text, unknown
from dod.config.nodes import plain
from dod.config.schema import properties
from dod.config.source import Source

KEYS = every_key()


def told(word: str, style: str = "text") -> tuple[int, str]:
    out = io.StringIO()
    code = explain(word, out=out, style="json" if style == "json" else "text")
    return code, out.getvalue()


def test_all_keys_are_there() -> None:
    paths = {key.path for key in KEYS}
    assert set(properties("bot")) | set(properties("top")) <= paths
    assert {"conversation.group", "show.thinking", "web.password"} <= paths
    assert len(paths) == len(KEYS)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_each_is_told_in_both_languages(key: Key) -> None:
    code, text = told(key.path)
    assert code == 0
    assert all(it in text for it in key.rule["description"].split("\n\n"))
    assert "{}" not in text.split("默认 default")[1].split("\n")[0]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_an_example_reads_back_as_that_of_the_schema(key: Key) -> None:
    lines = json.loads(told(key.path, "json")[1])[0]["examples"]
    for line, example in zip(lines, key.rule["examples"], strict=True):
        root = parse(Source("bots.yaml", line)).root
        assert root
        value = plain(root)
        for name in key.path.split("."):
            value = value[name]
        # A tag is no part of a plain value.
        assert json.dumps(value) == json.dumps(example).replace("!secret ", "")


def test_a_key_may_be_asked_for_as_it_is_written() -> None:
    for word in ("max_workers", "max_workers:", "defaults.max_workers", " bots.max_workers"):
        assert [key.path for key in find(word)] == ["max_workers"]
    assert [key.path for key in find("per_minute")] == ["limits.per_minute"]


def test_what_must_be_written_and_what_happens_without() -> None:
    assert "必填" in told("dify_app_api_key")[1]
    assert "  默认 default  300\n" in told("dify_timeout_seconds")[1]
    assert "any letter case" in told("dify_app_type")[1]
    assert "1 到 1000" in told("max_workers")[1]
    assert "用新凭证重新连接" in told("dingtalk_app_client_id")[1]
    assert "conversation: {expire_minutes: 60}" in told("expire_minutes")[1]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("max_worker", "max_workers"),
        ("Card_Update", "card_updates"),
        ("expire_minute", "conversation.expire_minutes"),
    ],
)
def test_an_unknown_key_gives_the_nearest(word: str, meant: str) -> None:
    code, text = told(word)
    assert code == 1
    assert f"Did you mean '{meant}'?" in text
    assert f"是不是想问 “{meant}”？" in text


def test_an_odd_word_cannot_trick_a_terminal() -> None:
    text = unknown("\x1b[31m" + "x" * 500)
    assert "\x1b" not in text
    assert "Did you mean" not in text
    assert "  card_updates\n" in text
    assert told("strem", "json") == (1, "[]\n")
    assert to_text(KEYS[0]).startswith("name  ")
