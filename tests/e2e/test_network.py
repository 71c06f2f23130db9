"""``dod run`` in an office's network, on a host whose clock is wrong, and over changes of app."""

import signal
import sys
import time
from pathlib import Path

import pytest

from dod.messages import digest
from dod.sim.background import Background
from dod.sim.dify.scripts import Answer, echo
from dod.sim.dingtalk.faults import Switches
from dod.texts import say
from tests.e2e.rig import Rig, bot
from tests.network import Authority, ConnectProxy
from tests.require import require

KEY = "app-it-key-0123456789"
YEAR = 365 * 86400
DOOMED = (sys.executable, "tests/e2e/doomed.py")


def test_an_offices_proxy_and_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Background() as network:
        proxy = network.run(ConnectProxy().start())
        env = {"SSL_CERT_FILE": str(authority.file), "HTTPS_PROXY": proxy.url}
        try:
            with Rig(tmp_path, [bot("it")], env=env, tls=authority.serving()) as rig:
                ann = rig.person()
                chat = rig.single(ann)
                rig.say(chat, ann, "through the proxy")
                assert "through the proxy" in rig.answer(chat).text
                assert len(proxy.targets) >= 2
                told = rig.until(lambda: rig.of("it")["connection"], "its age")
                assert told["age_seconds"] >= 0
                rig.until(
                    lambda: rig.of("it")["connection"]["message_seconds_ago"] is not None,
                    "the age of the last message",
                )
                network.run(proxy.close())
                rig.until(lambda: "HTTPS_PROXY" in str(rig.of("it")["last_error"]), "it says why")
                rig.until(lambda: rig.of("it")["connection"] is None, "none is there")
                proxy = network.run(ConnectProxy().start(proxy.port))
                rig.until(rig.connected, "connected again", 60)
                rig.say(chat, ann, "again")
                assert "again" in rig.answer(chat, 2).text
        finally:
            network.run(proxy.close())


def wrong_clock(how: str) -> tuple[str, ...]:
    """What to run dod under, so that its clock is wrong by a year."""
    if how != "faketime":
        return ("env", f"DOD_TEST_CLOCK={YEAR if how == 'ahead' else -YEAR}", *DOOMED)
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        require("faketime", "the whole process under a wrong clock (Debian: libfaketime)")
    preload = f"LD_PRELOAD={libraries[0]}"
    return ("env", preload, "FAKETIME=-365d", "FAKETIME_DONT_FAKE_MONOTONIC=1")


@pytest.mark.parametrize("how", ["behind", "ahead", "faketime"])
def test_a_clock_wrong_by_a_year_changes_nothing(tmp_path: Path, how: str) -> None:
    """Answers, ages, webhooks and leftovers go by DingTalk's clock; then the local one is set."""
    with Rig(tmp_path, [bot("it")], launcher=wrong_clock(how)) as rig:
        rig.dify.app(KEY).answer = lambda query, turn, *_: Answer(
            f"{query} {turn} " + "word " * 40, interval=0.04
        )
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "as usual")
        assert rig.answer(chat).text.startswith("as usual 1 word")
        rig.say(chat, ann, "old question here", created_ago=900)
        assert "15 minutes late" in rig.reply(chat, 1).text
        message = rig.say(chat, ann, "cut off here")
        rig.until(lambda: rig.cards(chat)[-1].text.startswith("cut off here 2 word"), "it types")
        time.sleep(0.05)  # the store thread writes what was shown
        rig.say(chat, ann, "and this one waits")
        rig.until(lambda: len(rig.cards(chat)) == 3, "it waits")
        rig.kill(signal.SIGKILL)
        rig.wait_for_exit()
        rig._launcher = ()  # the clock is right from here on
        rig.start()
        card = rig.answer(chat, 2)
        assert card.text.startswith("cut off here 2 word")
        assert say("restarted", "en") in card.text
        assert rig.answer(chat, 3).text.startswith("and this one waits")
        rig.run(rig.dingtalk.push_again(message))
        rig.until(lambda: len(message.acks) == 2, "acknowledged again")
        rig.say(chat, ann, "the conversation goes on")
        assert " word" in rig.answer(chat, 4).text
        assert len(rig.dify.requests) == 4
        conversations = {asked.answered_in for asked in rig.dify.requests}
        assert len(conversations) == 1


def test_term_while_no_name_server_answers(tmp_path: Path) -> None:
    """A look-up that hangs is not waited for: Docker would kill dod for it."""
    env = {
        "DOD_TEST_DNS": "120",
        "DINGTALK_OPENAPI_ENDPOINT": "http://dingtalk.test",
        "DOD_DRAIN_SECONDS": "30",
    }
    began = time.monotonic()
    with Rig(tmp_path, [], env=env, launcher=("env", *DOOMED)) as rig:
        rig.until(lambda: rig.get("/healthz") == 200, "it runs")
        rig.save(bot("it"), bot("hr"))
        rig.until(lambda: rig.of("hr").get("state") == "connecting", "it looks the name up")
        rig.until(lambda: rig.of("it").get("state") == "connecting", "it looks the name up")
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit(25) == 0
        assert "not ended in time" not in rig.printed()
        assert time.monotonic() - began < 60, "no look-up was waited for"


def test_redeliveries_after_4_16_and_60_seconds_over_a_restart(tmp_path: Path) -> None:
    """At twenty times the pace: while it is answered, just after, and by the next process."""
    with Rig(tmp_path, [bot("it")], switches=Switches(push_on_connect=True)) as rig:
        faults = rig.dingtalk.apps["ding-it"].faults
        faults.redeliver_after, faults.haste = (4.0, 16.0, 60.0), 20.0
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 12, interval=0.05)
        ann = rig.person()
        chat = rig.single(ann)
        message = rig.say(chat, ann, "only once, please")
        rig.until(lambda: len(message.acks) == 2, "redelivered under way")
        rig.until(lambda: len(message.acks) == 3, "redelivered just after")
        rig.answer(chat)
        assert message.pushes[1].at < rig.dify.requests[0].finished
        rig.until(lambda: "turn=answered" in rig.printed(), "done")
        rig.kill(signal.SIGKILL)
        rig.wait_for_exit()
        rig.start()
        rig.until(lambda: len(message.acks) == 4, "redelivered to the next process")
        rig.say(chat, ann, "something new")
        rig.answer(chat, 2)
        assert len(rig.cards(chat)) == 2
        assert rig.replies(chat) == []
        assert len(rig.dify.requests) == 2


def test_a_change_of_channel_in_the_middle_of_a_queue_keeps_the_order(tmp_path: Path) -> None:
    """Ten questions of one person, a new secret after the fifth: one by one, each once."""
    entry = bot("it", max_workers=1)
    with Rig(tmp_path, [entry]) as rig:
        rig.dify.app(KEY).answer = echo(tokens=6, interval=0.05)
        ann, bob = rig.person(), rig.person("b", "staff-b")
        chat, other = rig.single(ann), rig.single(bob)
        said = [rig.say(chat, ann, f"question {number}") for number in range(5)]
        rig.until(lambda: rig.dify.running, "the first is answered")
        rig.dingtalk.apps["ding-it"].client_secret = "dingsecret-it-next-0123456789"
        entry["dingtalk_app_client_secret"] = "dingsecret-it-next-0123456789"
        rig.save()
        rig.until(lambda: rig.opened() == {"ding-it": 2}, "the second channel")
        for number in range(5, 10):
            said.append(rig.say(chat, ann, f"question {number}"))
            # Of two connections any may be taken: who is heard before the next speaks keeps order.
            rig.until(lambda: said[-1].acks, "heard")
            rig.say(other, bob, f"other {number}")
        rig.answer(chat, 10)
        rig.answer(other, 5)
        asked = [one.query for one in rig.dify.requests if one.query.startswith("question")]
        assert asked == [f"question {number}" for number in range(10)]
        ends = [one.finished for one in rig.dify.requests if one.query.startswith("question")]
        begins = [one.at for one in rig.dify.requests if one.query.startswith("question")]
        assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))
        for number, message in enumerate(said):
            card = rig.dingtalk.cards[digest("ding-it", message.id, "0")]
            assert card.text.startswith(f"You said: question {number}. (turn {number + 1})")
        assert rig.dingtalk.complaints == []


def other_app(rig: Rig) -> None:
    """Give the bot another client id, and wait until it serves by that."""
    entry = rig.bots[0]
    rig.dingtalk.add_app("ding-new", "dingsecret-new-0123456789")
    entry["dingtalk_app_client_id"] = "ding-new"
    entry["dingtalk_app_client_secret"] = "dingsecret-new-0123456789"
    rig.save()
    rig.until(lambda: rig.dingtalk.live_connections("ding-it") == 0, "the old app is left")


def test_term_after_a_change_of_app_ends_the_old_apps_cards(tmp_path: Path) -> None:
    with Rig(tmp_path, [bot("it")], env={"DOD_DRAIN_SECONDS": "3"}) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 2000, interval=0.05)
        ann = rig.person()
        old = rig.single(ann)
        rig.say(old, ann, "question, please")
        rig.until(lambda: rig.cards(old) and rig.cards(old)[0].text, "it types")
        other_app(rig)
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        card = rig.cards(old)[0]
        assert card.state == "failed"
        assert card.text.startswith("word")
        assert say("shutting_down", "en") in card.text


@pytest.mark.parametrize("pages", [0, 2], ids=["at once", "behind a proxy's page"])
def test_kill_after_a_change_of_app_is_told_by_the_webhook(tmp_path: Path, pages: int) -> None:
    """The old secret is gone with the file: the card spins, but nobody is left without a word.

    ``pages`` of a proxy come first. The new app's robot would speak in another chat.
    """
    with Rig(tmp_path, [bot("it")]) as rig:
        rig.dify.app(KEY).answer = lambda *_: Answer("word " * 2000, interval=0.05)
        ann = rig.person()
        old = rig.single(ann)
        rig.say(old, ann, "question, please")
        rig.until(lambda: rig.cards(old) and rig.cards(old)[0].text, "it types")
        time.sleep(0.05)  # the store thread writes what was shown
        entry = dict(rig.bots[0])
        other_app(rig)
        rig.kill(signal.SIGKILL)
        rig.wait_for_exit()
        rig.dingtalk.apps["ding-it"].faults.next("webhook", "html", pages)
        rig.start()
        reply = rig.reply(old)
        assert rig.dingtalk.shown(rig.dingtalk.single("ding-new", ann)) == []
        assert reply.text.startswith("word")
        assert say("restarted", "en") in reply.text
        assert "client id ding-it, which no bot has any more" in rig.printed()
        assert rig.cards(old)[0].state == "typing"
        rig.save(entry)  # the old app comes back with the next start
        rig.kill(signal.SIGTERM)
        rig.wait_for_exit()
        rig.start(wait=False)
        card = rig.answer(old)
        assert card.text == say("answered_below", "en")
        assert len(rig.replies(old)) == 1
