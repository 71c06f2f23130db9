"""From the folder of dify-on-dingtalk to a bot that answers: migrate, check, run, as processes."""

import signal
from pathlib import Path

import pytest

from tests.e2e.rig import TEMPLATE, Rig, bot
from tests.e2e.test_check_command import dod

OFFICE = """\
bots:
  - name: 问答助手
    dingtalk_app_client_id: ding-helper
    dingtalk_app_client_secret: 'dingsecret-helper-0123456789'
    {more}dify_app_type: Chatbot
    dify_app_api_key: app-helper-key-0123456789   # 行政部
    handler: DifyAiCardBotHandler
"""
V0_1 = 'LOG_LEVEL=INFO\nDIFY_OPEN_API_URL="{url}"\nDIFY_CONVERSATION_REMAIN_TIME=15\n'


@pytest.mark.parametrize("fork", ["v0.1", "redis"])
def test_a_bot_of_the_original_answers_after_the_move(tmp_path: Path, fork: str) -> None:
    with Rig(tmp_path, [bot("helper")]) as rig:
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        old, new = tmp_path / "原来的", tmp_path / "new"
        old.mkdir()
        own = f"dingtalk_ai_card_template_id: {TEMPLATE}\n    " if fork == "redis" else ""
        (old / ".bots.yaml").write_bytes(OFFICE.format(more=own).replace("\n", "\r\n").encode())
        more = "REDIS_HOST=redis\nREDIS_PORT=6379\n" if own else ""
        more = more or f"DINGTALK_AI_CARD_TEMPLATE_ID='{TEMPLATE}'\n"
        (old / ".env").write_text(V0_1.format(url=rig.dify.url) + more, "utf-8")

        code, out, err = dod("migrate", str(old), str(new), folder=new)
        assert (code, err) == (0, "")
        assert "+    dingtalk_app_client_secret: !secret bot1_dingtalk_secret" in out.decode()
        assert b"0123456789" not in out
        code, out, err = dod("check", folder=new)
        assert (code, err) == (0, "")
        assert "没有问题" in out.decode()
        code, _, _ = dod("migrate", str(old), str(new), folder=new)
        assert code == 1, "never over an existing file"

        for path in rig.config.iterdir():
            if path.is_file():
                path.unlink()
        for name in ("bots.yaml", "secrets.yaml"):
            (new / name).rename(rig.config / name)
        rig._env = {"DIFY_OPEN_API_URL": ""}
        rig.start()
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "你好")
        card = rig.answer(chat)
        assert card.text == "You said: 你好. (turn 1)"
        assert card.template.id == TEMPLATE
        told = rig.dify.requests[-1].inputs
        assert (told.get("platform"), told.get("userName")) == (
            ("dingtalk", "小安") if own else (None, None)
        )
