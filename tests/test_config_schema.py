import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dod.config.document import parse
from dod.config.load import load_text
from dod.config.nodes import Mapping, plain
from dod.config.schema import deref, key_names, of_kind, properties, schema, schema_text, walk
from dod.config.source import Source
from dod.config.spec import BotSpec, Config

ROOT = Path(__file__).parent.parent
CONFIGS = ROOT / "tests" / "configs"
REQUIRED = {
    "name",
    "dingtalk_app_client_id",
    "dingtalk_app_client_secret",
    "dify_app_type",
    "dify_app_api_key",
}
ALL = [*walk(schema()), *walk(of_kind("bot"))]
IDS = [".".join(path) for path, _ in ALL]


def test_is_a_valid_schema_and_ships_in_the_package() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema_text() == (ROOT / "config.schema.json").read_text(encoding="utf-8")
    assert (ROOT / "dod/config/config.schema.json").is_symlink()


def everything(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node, *(it for value in node.values() for it in everything(value))]
    return [it for value in node for it in everything(value)] if isinstance(node, list) else []


def test_is_closed_and_has_no_alternatives() -> None:
    for node in everything(schema()):
        assert not node.keys() & {"anyOf", "oneOf"}
        if "properties" in node and isinstance(node.get("type"), str):
            assert node["additionalProperties"] is False


@pytest.mark.parametrize(("path", "rule"), ALL, ids=IDS)
def test_every_property_is_documented_in_both_languages(
    path: tuple[str, ...], rule: dict[str, Any]
) -> None:
    chinese, _, english = rule["description"].partition("\n\n")
    assert re.search("[\u4e00-\u9fff]", chinese)
    assert re.search("[A-Za-z]{3}", english)
    assert rule["title"]
    assert rule["examples"]
    assert ("default" in rule) != (path[-1] in REQUIRED | {"bots"})
    assert rule["x-reload"] in {"live", "reconnect"}
    if rule.get("type") == "integer":
        assert rule["minimum"] >= 0


@pytest.mark.parametrize(("path", "rule"), ALL, ids=IDS)
def test_examples_and_defaults_obey_their_own_rule(
    path: tuple[str, ...], rule: dict[str, Any]
) -> None:
    validator = Draft202012Validator({"$defs": schema()["$defs"], **rule})
    for value in [*rule["examples"], *([rule["default"]] if "default" in rule else [])]:
        if not str(value).startswith("!secret "):  # a tag, for the editor to complete
            validator.validate(value)
    assert path


def test_reconnect_and_secret_are_exactly_the_credentials() -> None:
    bot = properties("bot")
    assert {key for key, rule in bot.items() if rule["x-reload"] == "reconnect"} == {
        "dingtalk_app_client_id",
        "dingtalk_app_client_secret",
    }
    assert key_names()[0] == {"dingtalk_app_client_secret", "dify_app_api_key", "password"}


def test_keys_and_defaults_are_those_of_the_dataclasses() -> None:
    assert set(properties("bot")) == {field.name for field in dataclasses.fields(BotSpec)}
    assert set(properties("defaults")) == set(properties("bot")) - REQUIRED
    assert set(properties("top")) == {f.name for f in dataclasses.fields(Config)} | {"defaults"}
    assert set(deref(schema()["$defs"]["bot"])["required"]) == REQUIRED
    spec = BotSpec("a", "b", "c", "chatbot", "d")
    for key, rule in [*properties("bot").items(), *properties("top").items()]:
        if key not in REQUIRED | {"bots", "defaults"}:
            owner = spec if hasattr(spec, key) else Config()
            compare(getattr(owner, key), rule)


def compare(value: Any, rule: dict[str, Any]) -> None:
    if dataclasses.is_dataclass(value):
        fields = {field.name for field in dataclasses.fields(value)}
        assert fields == set(rule["properties"])
        for name in fields:
            compare(getattr(value, name), rule["properties"][name])
    else:
        plain_value = list(value) if isinstance(value, tuple) else value
        assert plain_value == ([] if rule["default"] == {} else rule["default"])


def test_an_example_with_every_key_is_the_defaults() -> None:
    text = (CONFIGS / "every-key.yaml").read_text(encoding="utf-8")
    root = parse(Source("bots.yaml", text)).root
    assert isinstance(root, Mapping)
    value = plain(root)
    assert set(value) == set(properties("top"))
    assert set(value["bots"][0]) == set(properties("bot"))
    loaded = load_text(text, {}, folder=CONFIGS / "beside")
    assert loaded.verdict == "accepted"
    assert loaded.config
    bot = loaded.config.bots[0]
    assert dataclasses.replace(loaded.config, bots=()) == Config()
    assert bot == BotSpec(
        bot.name, bot.dingtalk_app_client_id, bot.dingtalk_app_client_secret, "chatbot",
        bot.dify_app_api_key,
    )  # fmt: skip


@pytest.mark.parametrize("word", ["chatbot", "Chatbot", "CHATBOT", "WorkFlow", "Completion"])
def test_the_app_type_may_have_any_letter_case(word: str) -> None:
    Draft202012Validator(properties("bot")["dify_app_type"]).validate(word)


def test_jsonschema_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, dod.config.check; print('jsonschema' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "False"


def test_the_schema_is_plain_json() -> None:
    assert json.loads(schema_text()) == schema()
