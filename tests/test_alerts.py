"""When the admins hear of a load in DingTalk, and what."""

from pathlib import Path

import pytest

from dod.alerts import Alerts
from dod.config.load import Loaded, load_text


def bot(name: str, more: str = "") -> str:
    return (
        f"- name: {name}\n  dingtalk_app_client_id: ding{name}\n"
        f"  dingtalk_app_client_secret: planted-s3cret-{name}\n  dify_app_type: chatbot\n"
        f"  dify_app_api_key: app-planted0123456789{name}\n{more}"
    )


GOOD = "bots:\n" + bot("it") + bot("hr")
PARTLY = "bots:\n" + bot("it", "  max_worker: 3\n") + bot("hr")
BROKEN = "bots:\n" + bot("it") + "  oops\n" + bot("hr")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alerts = Alerts()
        self.loads = 0

    def load(self, text: str) -> Loaded:
        return load_text(text, {}, folder=self.folder, name="bots.yaml")

    def save(self, text: str) -> str | None:
        self.loads += 1
        return self.alerts.after(self.load(text), first=self.loads == 1)


@pytest.fixture
def it(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_nothing_is_said_while_all_is_well(it: Scene) -> None:
    assert it.save(GOOD) is None
    assert it.save("# comment\n" + GOOD) is None
    assert it.save("bots: []\n") is None  # a warning is no news


def test_a_partly_applied_save_names_bot_place_reason_and_fix(it: Scene) -> None:
    it.save(GOOD)
    text = it.save(PARTLY)
    assert text is not None
    (problem,) = it.load(PARTLY).problems
    for part in ("it", "bots.yaml:7:3", problem.zh, problem.en, problem.fix, "其余已生效"):
        assert part in text
    assert "hr" not in text
    assert "planted" not in text


def test_a_rejected_save_says_that_the_old_one_stays(it: Scene) -> None:
    it.save(GOOD)
    text = it.save(BROKEN)
    assert text is not None
    assert "继续用上一份好的配置" in text
    assert "the last good configuration stays" in text
    assert "planted" not in text


def test_the_same_fault_is_told_once_wherever_it_moves(it: Scene) -> None:
    it.save(GOOD)
    assert it.save(PARTLY)
    assert it.save(PARTLY) is None
    assert it.save("# a comment above\n" + PARTLY) is None


def test_another_fault_is_news_and_so_is_the_end(it: Scene) -> None:
    it.save(GOOD)
    assert it.save(PARTLY)
    assert it.save(PARTLY.replace("max_worker:", "max_wrkers:"))
    assert it.save(BROKEN)
    mended = it.save(GOOD)
    assert mended is not None
    assert "已改好" in mended
    assert "(2 bots)" in mended
    assert it.save(GOOD) is None


def test_the_same_fault_at_another_bot_is_news(it: Scene) -> None:
    it.save(PARTLY)
    assert it.save("bots:\n" + bot("it") + bot("hr", "  max_worker: 3\n"))


def test_a_start_with_a_wrong_file_is_told(it: Scene) -> None:
    assert it.save(PARTLY)
    assert it.save(PARTLY) is None


def test_a_file_being_saved_is_no_news_but_one_missing_at_start_is(folder: Path) -> None:
    it = Scene(folder)
    assert it.save(GOOD) is None
    assert it.save("") is None
    assert it.save(PARTLY)
    assert it.save("") is None
    assert it.save(PARTLY) is None
    it = Scene(folder)
    text = it.save("")
    assert text is not None
    assert "还没有可用的 bots.yaml" in text
    assert it.save(GOOD) is None


def test_three_problems_are_told_and_the_rest_is_counted(it: Scene) -> None:
    names = [f"b{number}" for number in range(12)]
    text = it.save("bots:\n" + "".join(bot(name, "  oops: 1\n") for name in names) + "- word\n")
    assert text is not None
    assert text.count("**bots.yaml:") == 3
    assert "还有 10 处" in text
    assert "10 more" in text
    assert "b9" in text
    assert "b11" not in text
    assert len(text.encode()) < 5000


def test_a_bot_without_a_name_is_named_by_its_place(it: Scene) -> None:
    text = it.save("bots:\n" + bot("it") + "- word\n")
    assert text is not None
    assert "第 2 个" in text
    assert "no. 2" in text


def test_a_fault_outside_the_bots_is_told_as_such(it: Scene) -> None:
    text = it.save("dingtalk_qps: fast\n" + GOOD)
    assert text is not None
    assert "已采用，但有错误" in text


def test_a_very_long_sentence_is_cut(it: Scene) -> None:
    text = it.save("bots:\n" + bot("it", f"  {'k' * 3000}: 1\n  dify_app_typ: {'v' * 3000}\n"))
    assert text is not None
    assert len(text) < 3000
