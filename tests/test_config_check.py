import io
import json
from pathlib import Path

from dod.config.check import check, schema_text

CONFIGS = Path(__file__).parent / "configs"
BOT = """\
bots:
  - name: a
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: abcdefgh
    dify_app_type: chatbot
    dify_app_api_key: app-x
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
    assert run(None, tmp_path) == (0, "=> 采用 applied: a; 未采用 rejected: -\n")


def test_a_rejected_bot_gives_one(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(BOT + "    enabled: yes\n")
    code, text = run(str(tmp_path / "x.yaml"), tmp_path)
    assert code == 1
    assert text.startswith("错误 ERROR x.yaml:7:14  [机器人 bot a]\n    7 |     enabled: yes\n")


def test_warnings_only_give_two(tmp_path: Path) -> None:
    assert run("-", tmp_path, BOT + "    greeting: hi\n")[0] == 2


def test_nothing_there_gives_one_and_says_what_to_do(tmp_path: Path) -> None:
    code, text = run(None, tmp_path)
    assert code == 1
    assert "bots.yaml" in text
    assert run(str(tmp_path / "none.yaml"), tmp_path)[0] == 1


def test_json_has_the_shape_of_the_status(tmp_path: Path) -> None:
    code, text = run("-", tmp_path, BOT + "    enabled: yes\n", "json")
    answer = json.loads(text)
    assert code == 1
    assert answer["verdict"] == "rejected"
    assert answer["rejected"] == ["a"]
    problem = answer["problems"][0]
    assert set(problem) == {"severity", "file", "line", "column", "bot", "message", "fix"}
    assert set(problem["message"]) == {"zh", "en"}


def test_the_schema_is_what_the_command_prints() -> None:
    assert json.loads(schema_text())["title"]
