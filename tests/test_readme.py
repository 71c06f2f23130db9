"""What both READMEs say is true of this version."""

import json
import re
from pathlib import Path

import pytest

from dod.config.load import load
from dod.config.schema import schema_text

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh-CN.md")


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def keys(name: str, table: str) -> list[str]:
    """The first column of the table behind its marker."""
    rows = text(name).split(f"<!-- keys:{table} -->")[1].strip().split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def yaml_blocks(name: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", text(name), re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_the_tables_name_every_key_of_the_schema(name: str) -> None:
    schema = json.loads(schema_text())
    bot = schema["properties"]["bots"]["items"]
    if "$ref" in bot:
        bot = schema["$defs"][bot["$ref"].rsplit("/", 1)[1]]
    assert sorted(keys(name, "bot")) == sorted(bot["properties"])
    assert sorted(keys(name, "top")) == sorted(schema["properties"])


@pytest.mark.parametrize("name", READMES)
def test_the_example_is_complete_and_right(name: str, tmp_path: Path) -> None:
    bots, secrets = yaml_blocks(name)
    (tmp_path / "bots.yaml").write_text(bots, "utf-8")
    (tmp_path / "secrets.yaml").write_text(secrets, "utf-8")
    loaded = load(tmp_path, {})
    assert loaded.verdict == "accepted", loaded.problems
    assert loaded.accepted == ("问答助手",)
    assert [problem for problem in loaded.problems if problem.severity == "error"] == []


@pytest.mark.parametrize("name", READMES)
def test_every_variable_is_named(name: str) -> None:
    for variable in ("DOD_CONFIG_DIR", "DOD_DATA_DIR", "DOD_WEB_LISTEN", "DOD_DRAIN_SECONDS"):
        assert variable in text(name)


def test_both_say_the_same_commands() -> None:
    english, chinese = (re.findall(r"```sh\n(.*?)```", text(name), re.DOTALL) for name in READMES)
    assert len(english) == len(chinese)
    for ours, theirs in zip(english, chinese, strict=True):
        assert [line.split("#")[0].strip() for line in ours.splitlines()] == [
            line.split("#")[0].strip() for line in theirs.splitlines()
        ]


@pytest.mark.parametrize("name", READMES)
def test_links_within_the_project_exist(name: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", text(name)):
        if "://" not in link:
            assert (ROOT / link).exists(), link
