"""A valid file, damaged at random: never an exception, a place outside the file, or a secret."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dod.config.check import to_json, to_text
from dod.config.decoding import decode
from dod.config.load import Loaded, load_text

FOLDER = Path(__file__).parent / "configs" / "beside"
SECRETS = ("Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a", "app-QwErTyUiOpAsDfGhJkLzXcVb", "Pw7Kd9Qx2Lm5Vn8Rt3")
PARTS = [it[cut : cut + 12] for it in SECRETS for cut in range(0, len(it) - 11, 3)]
VALID = f"""\
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
    dingtalk_app_client_secret: !secret it_secret
    dify_app_type: workflow
    dify_app_api_key: !env_var IT_KEY app-none
    allow: {{users: ["*"], groups: []}}
  - !include it.yaml
""".encode()
PIECES = [
    b"\t", b"\n", b"\r", b"\0", b":", b": ", b"\xef\xbc\x9a", b"#", b" #", b"- ", b"  ", b"'",
    b'"', b"[", b"]", b"{", b"}", b"*", b"&a ", b"*a", b"!x ", b"!secret ", b"!include ",
    b"---\n", b"<<: ", b"|", b">", b"\\", b"%", b"@", b"\xff", b"\xc8\xcb", b"\xe3\x80\x80",
    b"\xef\xbb\xbf", b"? ", b",", b"\xe2\x80\x9c", b"\xe2\x80\xa8", b"\xc2\x85", b"yes", b"1e999",
    b"2024-01-01", b"0" * 5000, b"~",
]  # fmt: skip
piece = st.sampled_from([b"", *PIECES]) | st.binary(max_size=4)
edit = st.tuples(st.integers(0, len(VALID)), st.integers(0, 30), piece)


def damaged(edits: list[tuple[int, int, bytes]]) -> bytes:
    data = VALID
    for start, length, piece in edits:
        data = data[:start] + piece + data[start + length :]
    return data


def judge(data: bytes) -> Loaded:
    loaded = load_text(data, {}, folder=FOLDER, name="bots.yaml", run_secrets=FOLDER)
    text, _, _ = decode(data)
    lines = text.split("\n")
    for problem in loaded.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        if problem.file == "bots.yaml":
            assert problem.line <= len(lines)
            assert problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.caret <= len(problem.source_line)
        assert problem.zh
        assert problem.en
    assert (loaded.config is None) == (loaded.verdict in {"rejected", "waiting"})
    for shown in (to_text(loaded), to_json(loaded), repr(loaded.problems)):
        assert not any(secret in shown for secret in SECRETS)
        # What is left of a secret that was cut in two is a secret still.
        assert not any(part in shown for part in PARTS)
    return loaded


def test_the_undamaged_file_is_fine() -> None:
    assert judge(VALID).verdict == "accepted"


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.lists(edit, min_size=1, max_size=3))
def test_damage_is_survived(edits: list[tuple[int, int, bytes]]) -> None:
    judge(damaged(edits))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_any_bytes_are_survived(data: bytes) -> None:
    judge(data)


@pytest.mark.parametrize("cut", range(0, len(VALID), 37))
def test_a_file_cut_short_is_survived(cut: int) -> None:
    judge(VALID[:cut])
