"""An empty folder gets an example that is no bot yet, and becomes one as it says."""

import re
from pathlib import Path

import pytest

from dod.config.example import EXAMPLE
from dod.config.firststart import begin_folder, not_ours, tell_of_owners
from dod.config.load import load

BOT = """\
bots:
  - name: moved
    dingtalk_app_client_id: dingabcdefghijkl
    dingtalk_app_client_secret: secret0123456789
    dify_app_type: ChatBot
    dify_app_api_key: app-0123456789
    handler: DifyAiCardBotHandler
"""


def test_an_empty_folder_gets_an_example_that_waits(tmp_path: Path) -> None:
    for name in ("config.schema.json", "bots.status.txt", ".env", "@eaDir"):
        (tmp_path / name).touch()
    assert begin_folder(tmp_path)
    assert (tmp_path / "bots.yaml").read_text("utf-8") == EXAMPLE
    assert oct((tmp_path / "bots.yaml").stat().st_mode & 0o777) == oct(
        tmp_path.stat().st_mode & 0o666
    )
    loaded = load(tmp_path, {})
    assert (loaded.verdict, loaded.config) == ("waiting", None)
    assert "只有注释" in loaded.problems[0].zh
    assert not begin_folder(tmp_path)


@pytest.mark.parametrize("name", ["bots.yaml", ".bots.yaml", "bots.yml", "bots.yaml.txt"])
def test_a_folder_somebody_uses_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert not begin_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_folder_is_made(tmp_path: Path) -> None:
    assert not begin_folder(tmp_path / "config")
    assert not (tmp_path / "config").exists()


def test_the_example_becomes_a_bot_as_it_says(tmp_path: Path) -> None:
    text = EXAMPLE[EXAMPLE.index("# bots:") :]
    text = re.sub("^# ?", "", text, flags=re.MULTILINE)
    (tmp_path / "bots.yaml").write_text(text, "utf-8")
    # Not filled in yet: each placeholder is its own error, and there are no others.
    loaded = load(tmp_path, {})
    assert len(loaded.problems) == 3
    assert all("<" in problem.source_line for problem in loaded.problems)
    (tmp_path / "bots.yaml").write_text(re.sub("<[a-z-]+>", "ding123456", text), "utf-8")
    loaded = load(tmp_path, {})
    assert loaded.accepted == ("问答助手",)
    assert all(problem.advice for problem in loaded.problems)


def test_the_originals_file_put_beside_the_untouched_example_counts(tmp_path: Path) -> None:
    begin_folder(tmp_path)
    assert load(tmp_path, {}).verdict == "waiting"
    (tmp_path / ".bots.yaml").write_text(BOT, "utf-8")
    loaded = load(tmp_path, {})
    assert (loaded.file, loaded.accepted) == (".bots.yaml", ("moved",))
    warned = [problem.en for problem in loaded.problems if not problem.advice]
    assert ["bots.yaml is ignored" in sentence for sentence in warned] == [True]
    # Once a person has written into bots.yaml, it is meant: also when it says that no bot is.
    with (tmp_path / "bots.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# nothing any more\n")
    assert load(tmp_path, {}).verdict == "waiting"


def test_only_a_folder_of_someone_else_is_told_of(tmp_path: Path) -> None:
    assert tell_of_owners(tmp_path, tmp_path / "absent") == ()
    assert list(tmp_path.iterdir()) == []


def test_the_sentence_names_the_owner_and_the_value() -> None:
    theirs = not_ours(Path("/config"), 1026, 100, needed=False)
    assert "1026:100" in theirs.zh
    assert "PUID=1026 and PGID=100" in theirs.en
    roots = not_ours(Path("/data"), 0, 0, needed=True)
    assert "chown" in roots.zh
    assert "chown" in roots.en
