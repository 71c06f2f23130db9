"""``dod doctor`` as a process, beside a dod that runs and goes on running."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.rig import ROOT, Rig, bot


def command(rig: Rig, *words: str) -> "subprocess.Popen[str]":
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    return subprocess.Popen(
        [sys.executable, "-m", "dod", "doctor", *words],
        cwd=ROOT,
        env={
            **kept,
            "DOD_CONFIG_DIR": str(rig.config),
            "DOD_DATA_DIR": str(rig.folder / "data"),
            "DOD_WEB_LISTEN": f"127.0.0.1:{rig.web_port}",
            "DINGTALK_OPENAPI_ENDPOINT": rig.dingtalk.url,
            "DIFY_OPEN_API_URL": rig.dify.url,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_beside_a_running_dod_it_finds_all_well_and_disturbs_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        person = rig.person()
        chat = rig.single(person)
        rig.say(chat, person, "你好")
        rig.answer(chat)
        doctor = command(rig)
        out, err = doctor.communicate(timeout=60)
        assert (doctor.returncode, err) == (0, ""), out
        assert "已连接钉钉，运行正常；启动以来回答了 1 次" in out
        assert "没有发现问题；用了 3 次钉钉 API 调用" in out
        assert "dingsecret" not in out
        # The bot has its one connection, hears every message, and people see answers alone.
        assert rig.opened() == {"ding-it": 1}
        rig.say(chat, person, "还在吗")
        rig.answer(chat, 2)
        assert len(rig.cards(chat)) == 2
        assert rig.replies(chat) == []
        # Its own card is in no chat.
        assert [card.chat for card in rig.dingtalk.cards.values()].count(None) == 1


def test_a_wrong_secret_and_a_wrong_name_end_as_they_should(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dingtalk.apps["ding-it"].client_secret = "another"
        doctor = command(rig, "it", "--format", "json")
        out, err = doctor.communicate(timeout=60)
        assert (doctor.returncode, err) == (1, "")
        failed = [
            finding["check"]
            for section in json.loads(out)["sections"]
            for finding in section["findings"]
            if finding["outcome"] == "failed"
        ]
        assert failed == ["credentials"]
        doctor = command(rig, "ti")
        out, err = doctor.communicate(timeout=60)
        assert (doctor.returncode, out) == (64, "")
        assert "没有叫 ti 的机器人" in err


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        asked = rig.dingtalk.calls["ding-it", "token"]
        rig.dingtalk.faults.latency["token"] = 60.0
        arrived: list[object] = []
        rig.dingtalk.subscribe(
            lambda event: (
                arrived.append(event)
                if event.kind == "arrival" and event.subject[1] == "token"
                else None
            )
        )
        doctor = command(rig)
        rig.until(lambda: arrived, "the doctor waits for a token")
        doctor.send_signal(signal.SIGINT)
        out, err = doctor.communicate(timeout=20)
        assert (doctor.returncode, err) == (130, "")
        assert "本机 this host" in out
        assert "机器人 bot it" not in out
        assert rig.dingtalk.calls["ding-it", "token"] == asked
