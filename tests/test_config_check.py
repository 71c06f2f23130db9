import io
import json
from pathlib import Path

from dod.config.check import check

CONFIGS = Path(__file__).parent / "configs"
BOT = """\
bots:
  - name: a
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: !env_var A_SECRET abcdefgh
    dify_app_type: chatbot
    dify_app_api_key: !env_var A_KEY app-x
"""


def run(file: str | None, folder: Path, text: str = "", style: str = "text") -> tuple[int, str]:
    out = io.StringIO()
    stdin = io.BytesIO(text.encode())
    code = check(
        file,
        {},
        folder=folder,
        out=out,
        stdin=stdin,
        style="json" if style == "json" else "text",
    )
    return code, out.getvalue()


def test_a_fine_file_gives_zero_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "bots.yaml").write_text(BOT)
    said = "=> 没有问题，可以用（机器人：a）。 · The file is fine (bots: a).\n"
    assert run(None, tmp_path) == (0, said)


def test_a_rejected_bot_gives_one(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(BOT + "    enabled: yes\n")
    code, text = run(str(tmp_path / "x.yaml"), tmp_path)
    assert code == 1
    assert text.startswith("错误 ERROR x.yaml:7:14  [机器人 bot a]\n    7 |     enabled: yes\n")


def test_warnings_only_give_two(tmp_path: Path) -> None:
    assert run("-", tmp_path, BOT + "    dify_api_url: http://dify.example.com/v1\n")[0] == 2


def test_nothing_there_gives_one_and_says_what_to_do(tmp_path: Path) -> None:
    code, text = run(None, tmp_path)
    assert code == 1
    assert "bots.yaml" in text
    assert "| " not in text, "there is no line to show"
    code, text = run(str(tmp_path / "none.yaml"), tmp_path)
    assert code == 1
    assert text.startswith("错误 ERROR none.yaml\n  找不到文件 none.yaml。\n  There is no file ")


def test_a_folder_stands_for_its_bots_yaml(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / ".bots.yaml").write_text(BOT)
    assert run(str(tmp_path / "given"), tmp_path)[0] == 0
    (tmp_path / "given" / "bots.yaml").write_text("bots: []\n")
    code, text = run(str(tmp_path / "given"), tmp_path)
    assert code == 2
    assert ".bots.yaml is ignored" in text


def test_bot_for_bots_is_one_mistake(tmp_path: Path) -> None:
    code, text = run("-", tmp_path, BOT.replace("bots:", "bot:"))
    assert code == 1
    assert text.count("ERROR") == 1
    assert "Did you mean 'bots'?" in text


def test_no_outcome_speaks_of_what_runs(tmp_path: Path) -> None:
    """Offline nobody knows whether there is a last good configuration."""
    for text in (BOT, BOT + "    enabled: yes\n", "bots", "", BOT.replace("bots:", "bot:")):
        assert "last good" not in run("-", tmp_path, text)[1]


# -- secrets
TWO = """\
bots:
  - name: a
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: !secret assistant_dingtalk
    dify_app_type: chatbot
    dify_app_api_key: !secret assistant_dify
  - name: b
    dingtalk_app_client_id: dingabcdefgi
    dingtalk_app_client_secret: abcdefgh
    dify_app_type: chatbot
    dify_app_api_key: app-x
"""


def fix(folder: Path, secrets: str, bots: str = TWO) -> str:
    """The last fix proposed for ``bots`` beside ``secrets``."""
    (folder / "secrets.yaml").write_text(secrets)
    text = run("-", folder, bots)[1]
    return text.rpartition("fix: ")[2].split("\n")[0]


def test_no_fix_proposes_another_bots_secret(tmp_path: Path) -> None:
    add = '在 secrets.yaml 里加一行 · add to secrets.yaml: assistant_dify: "…"'
    used = "assistant_dingtalk: abcdefghij\n"
    assert fix(tmp_path, used) == add
    assert fix(tmp_path, used + "assistant_dfiy: abcdefghij\n") == "!secret assistant_dfiy"
    assert fix(tmp_path, used + "assistant_coze: abcdefghij\n") == add
    # Very near, but it is the secret of bot b.
    bots = TWO.replace("app-x", "!secret assistant_dify_b")
    assert fix(tmp_path, used + "assistant_dify_b: abcdefghij\n", bots) == add
    # Numbers tell secrets apart.
    bots = TWO.replace("assistant_dify", "bot1_dify")
    assert "add to secrets.yaml: bot1_dify" in fix(tmp_path, used + "bot2_dify: abcdef\n", bots)


def test_a_missing_secrets_yaml_is_said_to_be_missing(tmp_path: Path) -> None:
    code, text = run("-", tmp_path, TWO)
    assert code == 1
    assert "there is no such file here" in text
    assert 'create secrets.yaml with: assistant_dify: "…"' in text


def test_a_broken_secrets_yaml_stops_only_who_needs_what_is_broken(tmp_path: Path) -> None:
    fine = "assistant_dingtalk: abcdefghij\nassistant_dify: abcdefghik\n"
    cases = {
        fine + "other：pin\n": (["a", "b"], []),
        fine.replace("dify:", "dify："): (["b"], ["a"]),
        fine + "assistant_dify: again123\n": (["b"], ["a"]),
        fine + "other [\n": (["b"], ["a"]),
    }
    for secrets, (applied, rejected) in cases.items():
        (tmp_path / "secrets.yaml").write_text(secrets)
        code, text = run("-", tmp_path, TWO, "json")
        answer = json.loads(text)
        assert (code, answer["verdict"]) == (1, "partly")
        assert (answer["applied"], answer["rejected"]) == (applied, rejected)
        text = run("-", tmp_path, TWO)[1]
        assert "Partly usable: " in text
        assert not any(value in text for value in ("pin", "abcdefghi", "again123"))


def test_json_has_the_shape_of_the_status(tmp_path: Path) -> None:
    code, text = run("-", tmp_path, BOT + "    enabled: yes\n", "json")
    answer = json.loads(text)
    assert code == 1
    assert answer["verdict"] == "rejected"
    assert answer["rejected"] == ["a"]
    problem = answer["problems"][0]
    assert set(problem) == {"severity", "file", "line", "column", "bot", "message", "fix"}
    assert set(problem["message"]) == {"zh", "en"}
