"""A valid file and what can happen to it: the strategies, and the judge of every damaged file."""

from pathlib import Path

from hypothesis import strategies as st

from dod.config.check import to_json, to_text
from dod.config.decoding import decode
from dod.config.load import Loaded, _Load

FOLDER = Path(__file__).parent / "configs" / "beside"
OTHERS = {path.name: path.read_text("utf-8").split("\n") for path in FOLDER.glob("*.yaml")}
SECRETS = (
    "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a",
    "app-QwErTyUiOpAsDfGhJkLzXcVb",
    "Pw7Kd9Qx2Lm5Vn8Rt3",
    *(line.split(": ")[1] for line in OTHERS["secrets.yaml"] if line),
)
# What is left of a secret that was cut in two is a secret still.
PARTS = [it[cut : cut + 12] for it in SECRETS for cut in range(0, len(it) - 11, 3)]
THREE = f"""\
# 机器人
defaults: {{max_workers: 4, conversation: {{group: shared}}}}
web: {{password: {SECRETS[2]}}}
bots:
  - name: hr
    dingtalk_app_client_id: dingabcdefgh
    dingtalk_app_client_secret: {SECRETS[0]}
    dify_app_type: chatbot
    dify_app_api_key: "{SECRETS[1]}"
    dify_inputs: {{who: "{{sender_name}}"}}
  - name: 信息技术
    dingtalk_app_client_id: dingqrstuvwx
    dingtalk_app_client_secret: !secret hr_secret
    dify_app_type: workflow
    dify_app_api_key: !env_var IT_KEY app-none
    allow: {{users: ["*"], groups: []}}
  - !include it.yaml
"""
FIFTY = "bots:\n" + "".join(
    f"""\
  - name: 部门{number}
    dingtalk_app_client_id: dingabcdefgh{number}
    dingtalk_app_client_secret: {SECRETS[0] if number % 2 else "!secret hr_secret"}
    dify_app_type: chatbot
    dify_app_api_key: "{SECRETS[1]}{number}"
    allow: {{users: ["*"], groups: []}}
"""
    for number in range(50)
)
PIECES = [
    *"：，、；。“”‘’（）【】｛｝［］＃！＊－—＝＆％＠｜＞＂＇？～　０ａＡ",
    *"\t\n\r\0 :#-'\"[]{}*&!|>\\%@`,?~=<$",
    "\u00a0", "\u200b", "\ufeff", "\u2028", "\x85", "\x0c", "\ufffd", "\ud7ff", "😀", "é",
    ": ", " #", "- ", "  ", "&a ", "*a", "!x ", "!secret ", "!include ", "！secret ", "---\n",
    "...\n", "<<: ", "<<<<<<< HEAD\n", "=======\n", "```\n", "%YAML 1.1\n", "yes", "null", "1e999",
    "2024-01-01", "0" * 5000, "${X}", "{{ x }}", "<your-key>", "bots:\n", "  - name: hr\n",
]  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "big5")
Edit = tuple[str, float, float, int, str]

_where = st.floats(0, 1)
edits = st.lists(
    st.tuples(
        st.sampled_from(("delete", "swap", "duplicate", "insert", "replace", "truncate", "lines")),
        _where,
        _where,
        st.integers(1, 30),
        st.sampled_from(PIECES),
    ),
    min_size=1,
    max_size=4,
)
encodings = st.sampled_from((*("utf-8",) * 8, *ENCODINGS, "cr", "crlf", "half"))


def damaged(text: str, edit: Edit) -> str:
    """``text`` after one accident."""
    kind, where, other, length, piece = edit
    at, to = int(where * len(text)), int(other * len(text))
    if kind == "delete":
        return text[:at] + text[at + length :]
    if kind == "swap":
        return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
    if kind == "duplicate":
        return text[:to] + text[at : at + 3 * length] + text[to:]
    if kind == "insert":
        return text[:at] + piece + text[at:]
    if kind == "replace":
        return text[:at] + piece + text[at + 1 :]
    if kind == "truncate":
        return text[: at + 1]
    lines = text.split("\n")
    one, two = int(where * (len(lines) - 1)), int(other * (len(lines) - 1))
    lines[one], lines[two] = lines[two], lines[one]
    return "\n".join(lines)


def encoded(text: str, encoding: str) -> bytes:
    """``text`` as some program saves it; ``half`` of it is in GBK, as after a bad paste."""
    if encoding in {"cr", "crlf"}:
        return text.replace("\n", "\r" if encoding == "cr" else "\r\n").encode()
    if encoding == "half":
        middle = len(text) // 2
        return text[:middle].encode() + text[middle:].encode("gb18030", "replace")
    return text.encode(encoding, "replace")


def judge(data: bytes, secrets: bytes | None = None) -> Loaded:
    """Load it: no exception, no place outside the file, no secret in anything that is shown.

    ``secrets`` stands in for secrets.yaml.
    """
    given = {FOLDER / "bots.yaml": data}
    if secrets is not None:
        given[FOLDER / "secrets.yaml"] = secrets
    loaded = _Load(FOLDER, [FOLDER / "bots.yaml"], {}, FOLDER, given).run()
    lines = {**OTHERS, **{path.name: decode(it)[0].split("\n") for path, it in given.items()}}
    assert len(loaded.problems) <= 20
    for problem in loaded.problems:
        assert problem.zh
        assert problem.en
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.caret <= len(problem.source_line)
        if problem.file in lines:  # any other is one that could not be found
            assert problem.line <= len(lines[problem.file])
            assert problem.column <= len(lines[problem.file][problem.line - 1]) + 1
    assert (loaded.config is None) == (loaded.verdict in {"rejected", "waiting"})
    if loaded.verdict in {"rejected", "partly"}:
        assert any(problem.severity == "error" for problem in loaded.problems)
    for shown in (to_text(loaded), to_json(loaded), repr(loaded.problems)):
        assert not any(part in shown for part in PARTS)
    return loaded
