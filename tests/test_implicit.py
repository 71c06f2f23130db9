"""A bot out of environment variables: only where the file lists none."""

from pathlib import Path

from dod.config.example import EXAMPLE
from dod.config.implicit import IGNORED, load_all

FORM = {
    "DINGTALK_APP_CLIENT_ID": "dingfromtheform",
    "DINGTALK_APP_CLIENT_SECRET": "form-secret-0123456789",
    "DIFY_APP_API_KEY": "app-0123456789abcdef",
}
BOT = """\
bots:
  - name: it
    dingtalk_app_client_id: dingabcdef
    dingtalk_app_client_secret: secret-of-the-file
    dify_app_type: chatbot
    dify_app_api_key: app-fedcba9876543210
"""


def test_the_form_is_a_bot_where_there_is_no_file(tmp_path: Path) -> None:
    loaded = load_all(tmp_path, {**FORM, "DIFY_APP_TYPE": "workflow", "DOD_BOT_NAME": "前台"})
    assert (loaded.verdict, loaded.problems) == ("accepted", ())
    assert loaded.config is not None
    (spec,) = loaded.config.bots
    assert (spec.name, spec.dify_app_type) == ("前台", "workflow")
    assert spec.credentials == ("dingfromtheform", "form-secret-0123456789")
    # What is kept on disk names the variables, and holds no value of theirs.
    assert "form-secret" not in str(loaded.unresolved)
    assert tmp_path / "bots.yaml" in loaded.files


def test_so_it_is_beside_the_example_and_an_empty_list(tmp_path: Path) -> None:
    for text in (EXAMPLE, "bots: []\nadmins: ['manager1']\n"):
        (tmp_path / "bots.yaml").write_text(text, "utf-8")
        loaded = load_all(tmp_path, FORM)
        assert (loaded.accepted, loaded.problems) == (("bot",), ())
    assert loaded.config is not None
    assert loaded.config.admins == ("manager1",)


def test_each_may_come_from_a_file(tmp_path: Path) -> None:
    form = {name: value for name, value in FORM.items() if name != "DIFY_APP_API_KEY"}
    secret = tmp_path / "key"
    secret.write_text("app-fromthefile01\n")
    loaded = load_all(tmp_path / "config", {**form, "DIFY_APP_API_KEY_FILE": str(secret)})
    assert loaded.config is not None
    assert loaded.config.bots[0].dify_app_api_key == "app-fromthefile01"
    secret.unlink()
    loaded = load_all(tmp_path / "config", {**form, "DIFY_APP_API_KEY_FILE": str(secret)})
    assert loaded.config is None
    assert any("DIFY_APP_API_KEY_FILE" in problem.en for problem in loaded.problems)


def test_the_file_counts_as_soon_as_it_lists_bots(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(BOT, "utf-8")
    loaded = load_all(tmp_path, FORM)
    assert loaded.accepted == ("it",)
    said = [problem.en for problem in loaded.problems if not problem.advice]
    assert said == [IGNORED.en]
    assert all(problem.advice for problem in load_all(tmp_path, {}).problems)


def test_a_form_half_filled_in_says_what_is_missing(tmp_path: Path) -> None:
    loaded = load_all(tmp_path, {"DINGTALK_APP_CLIENT_ID": "dingfromtheform"})
    assert loaded.config is None
    said = " ".join(problem.en for problem in loaded.problems)
    assert "DINGTALK_APP_CLIENT_SECRET" in said
    assert "DIFY_APP_API_KEY" in said


def test_without_a_form_it_is_the_file_alone(tmp_path: Path) -> None:
    assert load_all(tmp_path, {"DIFY_APP_TYPE": "chatbot"}).verdict == "waiting"
