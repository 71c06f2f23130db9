"""``dod run`` when a neighbour fails, and when the process ends."""

import shutil
import signal
import time
from pathlib import Path

import pytest

from dod.sim.dify.scripts import Answer, Fault
from dod.sim.dingtalk.world import SimReply
from dod.texts import say
from tests.e2e.rig import Rig, bot

KEY = "app-it-key-0123456789"


@pytest.mark.parametrize(
    ("fault", "key", "kept"),
    [
        (Fault("error", after=3), "dify_model_failed", True),
        (Fault("end", after=3), "dify_cut", True),
        (Fault("reset", after=3), "dify_cut", True),
        (Fault("error"), "dify_model_failed", False),
    ],
)
def test_a_broken_answer_is_never_shown_as_complete(
    tmp_path: Path, fault: Fault, key: str, kept: bool
) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("one two three four five", fail=fault)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        card = rig.answer(chat)
        assert card.state == "failed"
        assert say(key, "en") in card.text
        assert card.text.startswith("one") == kept


def test_an_empty_answer_says_so(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("")
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        assert rig.answer(chat).text == say("empty_answer", "en")


def test_hanging_for_two_does_not_delay_others(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it", dify_timeout_seconds=30)]) as rig:
        app = rig.dify.app(KEY)
        app.answer = lambda query, *_: Answer(
            f"You said: {query}", fail=Fault("hang") if "hang" in query else None
        )
        people = [rig.person(f"p{n}", f"staff-{n}") for n in range(6)]
        for person in people[:2]:
            rig.say(rig.single(person), person, "hang here")
        rig.until(lambda: rig.dify.running == 2, "two hang")
        for person in people[2:]:
            rig.say(rig.single(person), person, "hello")
        for person in people[2:]:
            assert rig.answer(rig.single(person)).text == "You said: hello"
        assert rig.dify.running == 2


def test_a_forgotten_conversation_begins_anew(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        rig.answer(chat, 1)
        rig.dify.forget()
        rig.say(chat, ann, "two")
        assert rig.answer(chat, 2).text == "You said: two. (turn 1)"


def test_a_link_cut_in_mid_answer_does_not_hurt_the_answer(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 40, interval=0.05)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        rig.until(lambda: rig.cards(chat) and rig.cards(chat)[0].text, "it types")
        rig.run(rig.dingtalk.cut("ding-it"))
        assert rig.answer(chat).text == ("word " * 40).rstrip()
        rig.until(rig.connected, "connected again")


def test_disconnect_leaves_no_gap(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.run(rig.dingtalk.disconnect("ding-it"))
        rig.until(lambda: rig.dingtalk.connections_opened["ding-it"] == 2, "second connection")
        rig.say(chat, ann, "still there?")
        assert "still there?" in rig.answer(chat).text


def test_an_expired_token_is_renewed_between_two_updates(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it", card_updates="smooth")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 60, interval=0.03)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        rig.until(lambda: rig.cards(chat) and rig.cards(chat)[0].text, "it types")

        async def expire() -> None:
            rig.dingtalk.expire_tokens("ding-it")

        rig.run(expire())
        assert rig.answer(chat).text == ("word " * 60).rstrip()


def test_wrong_secret_is_a_state_and_does_not_stop_others(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it"), bot("hr")]) as rig:
        rig.kill(signal.SIGTERM)
        rig.wait_for_exit()
        wrong = {**rig.bots[1], "dingtalk_app_client_secret": "not-the-secret-at-all"}
        rig.write({"bots": [rig.bots[0], wrong]})
        rig.start(wait=False)

        def states() -> dict[str, str]:
            if not rig.get("/healthz"):
                return {}
            return {told["name"]: told["state"] for told in rig.status()["bots"]}

        rig.until(lambda: states() == {"it": "connected", "hr": "bad_credentials"}, "both states")
        assert rig.get("/readyz") == 200
        ann = rig.person()
        rig.say(rig.single(ann), ann, "hello")
        assert "hello" in rig.answer(rig.single(ann)).text


def test_strange_frames_and_messages_are_survived(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        ann = rig.person()
        chat, group = rig.single(ann), rig.group(ann)
        for text in ("no json", "[]", "{}", '{"type":"CALLBACK"}', '{"headers":null,"data":7}'):
            rig.run(rig.dingtalk.send_raw("ding-it", text))
        rig.run(rig.dingtalk.system("ding-it", "WHATEVER"))
        rig.run(rig.dingtalk.system("ding-it", "KEEPALIVE"))
        rig.say(chat, ann, "", over_quota=True)
        assert rig.reply(chat, 1).text == say("over_quota", "zh")
        rig.say(group, ann, "")
        assert rig.reply(group, 1).text == say("nothing_asked", "zh")
        rig.say(chat, ann, "old question here", created_ago=900)
        assert "15 minutes late" in rig.reply(chat, 2).text
        long = "很长的问题" * 7000
        rig.say(chat, ann, long)
        rig.answer(chat, 1)
        rig.until(lambda: rig.dify.requests[-1].query == long, "100 kB arrive whole")
        assert rig.dingtalk.connections_opened["ding-it"] == 1


def test_kill_in_mid_answer_closes_the_card_at_the_next_start(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 100, interval=0.05)
        ann = rig.person()
        chat = rig.single(ann)
        message = rig.say(chat, ann, "question, please")
        rig.until(lambda: rig.cards(chat) and len(rig.cards(chat)[0].text) > 20, "it types")
        time.sleep(0.05)  # the store thread writes what was shown
        rig.kill(signal.SIGKILL)
        rig.wait_for_exit()
        had = rig.cards(chat)[0].text
        rig.dify.app(KEY).answer = lambda query, turn, *_: Answer(f"{query} (turn {turn})")
        rig.start()
        card = rig.answer(chat)
        assert card.state == "failed"
        assert card.text.startswith(had.rstrip())
        assert say("restarted", "en") in card.text
        rig.run(rig.dingtalk.push_again(message))
        rig.say(chat, ann, "again")
        assert rig.answer(chat, 2).text == "again (turn 2)", "the mapping is kept"
        assert len(rig.dify.requests) == 2, "nothing was asked twice"
        assert len(rig.cards(chat)) == 2
        assert not [shown for shown in rig.dingtalk.shown(chat) if isinstance(shown, SimReply)]


def test_term_lets_answers_finish_and_exits_with_0(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 30, interval=0.05)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        rig.until(lambda: rig.cards(chat), "a card")
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        assert rig.cards(chat)[0].state == "finished"
        assert rig.cards(chat)[0].text == ("word " * 30).rstrip()


def test_term_closes_what_cannot_finish(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")], env={"DOD_DRAIN_SECONDS": "3"}) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 2000, interval=0.05)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        rig.until(lambda: rig.cards(chat) and rig.cards(chat)[0].text, "it types")
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        card = rig.cards(chat)[0]
        assert card.state == "failed"
        assert card.text.startswith("word")
        assert say("shutting_down", "en") in card.text
        assert rig.dify.running == 0


def test_a_second_signal_is_at_once(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")], env={"DOD_DRAIN_SECONDS": "60"}) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("x", fail=Fault("hang"))
        ann = rig.person()
        rig.say(rig.single(ann), ann, "question")
        rig.until(lambda: rig.dify.running == 1, "it hangs")
        rig.kill(signal.SIGTERM)
        rig.until(lambda: rig.get("/readyz") == 503, "draining")
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit(10) == 0


@pytest.mark.parametrize("content", [None, "", "bots: []\n", "bots: [\n"])
def test_waiting_for_a_file_says_where_to_put_what(tmp_path: Path, content: str | None) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.kill(signal.SIGTERM)
        rig.wait_for_exit()
        file = tmp_path / "config" / "bots.yaml"
        good = file.read_text("utf-8")
        if content is None:
            file.unlink()
            shutil.rmtree(file.parent)
        else:
            file.write_text(content, "utf-8")
        rig.start(wait=False)
        rig.until(lambda: rig.get("/healthz") == 200, "it is healthy")
        rig.until(lambda: rig.status()["config"]["problems"], "it says why")
        problem = rig.status()["config"]["problems"][0]
        assert problem["message"]["zh"]
        assert problem["message"]["en"]
        assert problem["line"] >= 1
        if content == "bots: []\n":
            assert rig.get("/readyz") == 200
            return
        assert rig.get("/readyz") == 503
        file.parent.mkdir(exist_ok=True)
        file.write_text(good, "utf-8")
        rig.until(rig.connected, "it takes the file when it comes")


def test_a_second_process_on_one_folder_waits_and_takes_over(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        first, first_port = rig._process, rig.web_port
        rig.web_port = first_port + 1
        rig.start(wait=False)
        rig.until(lambda: rig.get("/healthz") == 200, "the second is up")
        rig.until(lambda: "pid" in str(rig.status()["store"]), "it names the holder")
        assert rig.dingtalk.connections_opened["ding-it"] == 1
        assert first is not None
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
        rig.until(lambda: rig.dingtalk.connections_opened["ding-it"] == 2, "it takes over")


def test_bytes_from_dify_may_be_split_anywhere(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")]) as rig:
        app = rig.dify.app(KEY)
        app.split = 1
        app.answer = lambda *_: Answer("你好，世界 🌏 " * 5)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        assert rig.answer(chat).text == ("你好，世界 🌏 " * 5).rstrip()
