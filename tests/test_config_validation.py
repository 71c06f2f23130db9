"""dod's own reading of its schema against the library's: the same broken rules, on any value."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dod.config.schema import of_kind, properties, schema, walk
from dod.config.validation import KEYWORDS, broken_rules

Kind = Literal["bot", "defaults", "top"]
KINDS: tuple[Kind, ...] = ("bot", "defaults", "top")
VALIDATORS = {kind: Draft202012Validator(of_kind(kind)) for kind in KINDS}
# What says nothing about a value, or is read elsewhere in validation.
SILENT = {
    "$schema", "$id", "$defs", "$ref", "title", "description", "markdownDescription", "default",
    "examples", "format", "writeOnly", "deprecated", "properties", "patternProperties", "items",
    "markdownEnumDescriptions", "enumDescriptions", "defaultSnippets",
}  # fmt: skip
KEYS = sorted({path[-1] for kind in KINDS for path, _ in walk(of_kind(kind))})
words = st.sampled_from(
    ["", "a", "hr", "chatbot", "Workflow", "auto", "zh", "shared", "final", "*", "yes", "a b", " x",
     "https://dify/v1", "ftp://x", "DifyAiCardBotHandler", "x" * 65, "x" * 4001, "线", "a\n"]
)  # fmt: skip
scalars = (
    words
    | st.none()
    | st.booleans()
    | st.integers(-2, 10_000)
    | st.sampled_from([0.0, 1.0, 2.5, -0.5, 1e300, float("inf"), float("nan"), 10**30])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*KEYS, "", "other"]), inner, max_size=5)
    ),
    max_leaves=8,
)


def ours(value: Any, kind: Kind) -> set[tuple[Any, str]]:
    return {(it.path, it.keyword) for it in broken_rules(value, of_kind(kind))}


def theirs(value: Any, kind: Kind) -> set[tuple[Any, str]]:
    errors = VALIDATORS[kind].iter_errors(value)
    return {(tuple(error.absolute_path), str(error.validator)) for error in errors}


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(
    st.dictionaries(st.sampled_from([*KEYS, "other"]), values, max_size=8), st.sampled_from(KINDS)
)
def test_both_find_the_same(value: dict[str, Any], kind: Kind) -> None:
    assert ours(value, kind) == theirs(value, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_each_key_alone_with_each_kind_of_value(kind: Kind) -> None:
    for key in properties(kind):
        for value in ("", "x", "a b", 0, -1, 1, 2.0, 2.5, True, None, [], ["x", 1], {}, {"": 1}):
            assert ours({key: value}, kind) == theirs({key: value}, kind), (key, value)


def test_the_schema_uses_no_keyword_that_is_not_read() -> None:
    def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
        below = [
            *node.get("$defs", {}).values(),
            *node.get("properties", {}).values(),
            *node.get("patternProperties", {}).values(),
            *([node["items"]] if "items" in node else []),
        ]
        return [node, *(found for it in below for found in nodes(it))]

    used = {keyword for node in nodes(schema()) for keyword in node if not keyword.startswith("x-")}
    assert used <= KEYWORDS.keys() | SILENT


def test_the_library_is_no_part_of_what_runs() -> None:
    code = "import sys, dod.cli, dod.appliance, dod.config.check as c; c.load_text('bots: [{}]', {}, folder=c.Path('.')); print(sorted(it for it in sys.modules if 'schema' in it))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert "jsonschema" not in done.stdout
    assert "dod.config.schema" in done.stdout
