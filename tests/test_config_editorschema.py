"""The schema for editors says no less than the loader's, but where a tag may stand."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dod.config.document import parse
from dod.config.editorschema import NEW_BOT, editor_schema, editor_schema_text
from dod.config.load import load_text
from dod.config.nodes import Mapping, plain
from dod.config.schema import schema, schema_text
from dod.config.source import Source

CONFIGS = Path(__file__).parent / "configs"


def test_is_a_valid_schema_of_the_same_keys() -> None:
    Draft202012Validator.check_schema(editor_schema())
    for name in ("bot", "defaults"):
        here, there = (it["$defs"][name]["properties"] for it in (editor_schema(), schema()))
        assert list(here) == list(there)
    assert editor_schema()["properties"].keys() == schema()["properties"].keys()
    assert editor_schema()["additionalProperties"] is False


def test_the_loaders_own_stays_as_it_is() -> None:
    before = schema_text()
    editor_schema()
    assert schema_text() == before
    assert "patternErrorMessage" not in before
    assert schema()["$defs"]["max_workers"]["type"] == "integer"


def test_every_key_is_explained_in_both_languages_with_its_default() -> None:
    for key, rule in editor_schema()["$defs"].items():
        chinese, english = rule["markdownDescription"].split("\n\n")[:2]
        assert re.search("[\u4e00-\u9fff]", chinese)
        assert re.search("[A-Za-z]{3}", english)
        if rule.get("default"):
            assert "默认 Default: `" in rule["markdownDescription"], key


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("max_workers", [4, "WORKERS 4", "it_workers"], ["four", "4", 1.5, 0, True]),
        ("enabled", [True, "ENABLED true"], ["yes", "true", "on", 1]),
        ("card_updates", ["auto", "PACE", "PACE auto"], ["fast", "Auto", 1]),
        (
            "dify_api_url",
            ["http://a/v1", "dify_url", "URL x"],
            ["192.168.1.1/v1", "a.b", "http:/a"],
        ),
        ("dify_app_type", ["ChatBot", "HR_TYPE chatbot"], ["agent", "chat"]),
        ("dingtalk_app_client_id", ["dingabc", "ID ding1"], ["ding abc.d", " "]),
        ("allow", [{"users": ["a"]}, "vip.yaml"], [["a"], "everybody", 3]),
    ],
)
def test_a_tags_text_is_right_and_nothing_else_is(
    key: str, right: list[object], wrong: list[object]
) -> None:
    whole = editor_schema()
    validator = Draft202012Validator({"$defs": whole["$defs"], "$ref": f"#/$defs/{key}"})
    for value in right:
        validator.validate(value)
    assert [value for value in wrong if validator.is_valid(value)] == []


def test_the_example_with_every_key_is_right() -> None:
    text = (CONFIGS / "every-key.yaml").read_text("utf-8")
    root = parse(Source("bots.yaml", text)).root
    assert isinstance(root, Mapping)
    Draft202012Validator(json.loads(editor_schema_text())).validate(plain(root))


def _first_choice(placeholder: str) -> str:
    """``${1:it}`` → it, ``${4|chatbot,workflow|}`` → chatbot."""
    return re.split("[:|,}]", placeholder)[1]


def test_the_snippet_is_a_bot_once_it_is_filled_in() -> None:
    body = {key: _first_choice(value) for key, value in NEW_BOT["body"].items()}
    lines = [f"  {key}: {value}" for key, value in body.items()]
    lines[0] = lines[0].replace("  ", "- ", 1)
    text = "bots:\n" + "\n".join(lines) + "\n"
    assert set(body) == set(schema()["$defs"]["bot"]["required"])
    loaded = load_text(text, {}, folder=CONFIGS)
    assert [problem.zh for problem in loaded.problems if "还没有填写" not in problem.zh] == []
    filled = re.sub("<[a-z-]+>", "dingabcdefgh", text)
    assert load_text(filled, {}, folder=CONFIGS).accepted == ("it",)
