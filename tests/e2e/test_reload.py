"""The file is saved while people talk: exactly the bot that changed changes, and nobody notices."""

import signal
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.world import SimCard, SimChat
from dod.texts import say
from tests.e2e.rig import Rig, bot
from tests.e2e.talk import Talk, at_length

# Spending is not what is tested here, and hundreds of people spend a month's quota in a minute.
UNLIMITED: dict[str, object] = {
    "dingtalk_monthly_calls": 0,
    "dingtalk_monthly_pushes": 0,
    "dingtalk_qps": 0,
}
SAVES = 100


def change(entry: dict[str, object], number: int) -> None:
    """Another ``live`` key each time, and always another value than it had."""
    name = entry["name"]
    kinds: list[dict[str, object]] = [
        {"max_workers": 3 + number},
        {"card_updates": "smooth" if number % 2 else "economical"},
        {"dify_timeout_seconds": 100 + number},
        {"dify_app_api_key": f"app-{name}-{'one' if number % 2 else 'two'}-0123456789"},
        {"conversation": {"group": "per_user", "expire_minutes": 1000 + number}},
        {"dify_inputs": {"office": f"floor {number}"}},
        {"allow": {"users": ["*", f"staff-{number}"]}},
    ]
    before = dict(entry)
    entry.update(kinds[number % len(kinds)])
    if entry == before:
        entry["max_workers"] = 3 + number


@pytest.mark.timeout(300)
def test_100_saves_while_everybody_talks(tmp_path: Path) -> None:
    """Nothing lost, nothing doubled, no connection opened; redelivery is off."""
    names = [f"b{number:02}" for number in range(20)]
    bots = [bot(name) for name in names]
    with Rig(tmp_path, bots, top=UNLIMITED) as rig:
        for entry in bots:
            for word in ("key", "one", "two"):
                key = f"app-{entry['name']}-{word}-0123456789"
                rig.dify.add_app(key, "chat", script=at_length)
        rig.until(lambda: set(rig.generations().values()) == {1}, "all have begun")
        began = time.monotonic()
        with Talk(rig, names, per_second=16) as talk:
            for number in range(SAVES):
                entry = bots[number * 7 % len(bots)]
                change(entry, number)
                rig.save()
                took = 2 + number // len(bots)
                name = str(entry["name"])
                rig.until(
                    lambda name=name, took=took: rig.of(name)["generation"] == took,  # type: ignore[misc]
                    f"{name} took save {number}",
                )
        print(f"\n{SAVES} saves and {talk.count} messages in {time.monotonic() - began:.0f} s")
        talk.check()
        assert rig.opened() == {f"ding-{name}": 1 for name in names}
        for told in rig.status()["bots"]:
            assert (told["connections"], told["generation"]) == (1, 1 + SAVES // len(bots))
            assert told["turns"]["failed"] == 0
        lines = rig.reloads()
        assert len(lines) == 1 + SAVES
        for line in lines[1:]:
            assert (line.count("=live"), line.count("=untouched")) == (1, 19)
        assert rig.dingtalk.complaints == []
        assert not rig.dingtalk.refused


def cards_of(chat: SimChat) -> list[SimCard]:
    return [one for one in chat.shown if isinstance(one, SimCard)]


@pytest.mark.timeout(240)
def test_20_changes_of_credentials_in_mid_answer(tmp_path: Path) -> None:
    """Ann has two questions under way around each save; others talk to all three bots."""
    names = ["it", "hr", "ops"]
    bots = [bot(name) for name in names]
    with Rig(tmp_path, bots, top=UNLIMITED) as rig:
        for entry in bots[1:]:
            rig.dify.app(str(entry["dify_app_api_key"])).answer = at_length

        def script(query: str, turn: int, user: str, inputs: Mapping[str, Any]) -> Answer:
            if query.startswith("question"):
                return at_length(query, turn, user, inputs)
            pieces = (f"You said: {query}. (turn {turn})", *(f" w{n}" for n in range(15)))
            return Answer("".join(pieces), interval=0.08, tokens=pieces)

        rig.dify.app("app-it-key-0123456789").answer = script
        ann = rig.person()
        chat = rig.single(ann)
        in_mid_answer = 0
        with Talk(rig, names, per_second=6, people=4) as talk:
            for number in range(20):
                rig.say(chat, ann, f"first {number}")
                rig.until(lambda: (cards := cards_of(chat)) and "first" in cards[-1].text, "typing")
                secret = f"dingsecret-it-{'other' if number % 2 == 0 else 'again'}-0123456789"
                rig.dingtalk.apps["ding-it"].client_secret = secret
                bots[0]["dingtalk_app_client_secret"] = secret
                rig.save()
                rig.say(chat, ann, f"second {number}")
                took = number + 2
                rig.until(
                    lambda took=took: rig.of("it")["generation"] == took,  # type: ignore[misc]
                    f"save {number} taken",
                )
                in_mid_answer += cards_of(chat)[2 * number].state == "typing"
                rig.until(lambda: rig.dingtalk.live_connections("ding-it") == 1, "the old one left")
                rig.answer(chat, 2 * number + 1)
        print(f"\n{in_mid_answer} of 20 in mid-answer, {talk.count} other messages")
        assert in_mid_answer
        talk.check()
        rig.answer(chat, 40)
        said = [f"{word} {number}" for number in range(20) for word in ("first", "second")]
        tail = "".join(f" w{n}" for n in range(15))
        assert [card.text for card in cards_of(chat)] == [
            f"You said: {text}. (turn {turn}){tail}" for turn, text in enumerate(said, 1)
        ]
        asked = [one for one in rig.dify.requests if one.user == "staff-1"]
        assert [one.query for one in asked] == said
        assert all(one.finished <= two.at for one, two in pairwise(asked))
        assert rig.opened() == {"ding-it": 21, "ding-hr": 1, "ding-ops": 1}
        rig.until(lambda: rig.of("it")["connections"] == 21, "dod counts the same")
        assert rig.dingtalk.complaints == []
        lines = rig.reloads()
        assert len(lines) == 21
        assert all("it=credentials hr=untouched ops=untouched" in line for line in lines[1:])


@pytest.mark.timeout(120)
def test_a_wrong_new_secret_leaves_the_old_channel_serving_and_says_so(tmp_path: Path) -> None:
    bots = [bot("it"), bot("hr")]
    with Rig(tmp_path, bots) as rig:
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "one")
        assert rig.answer(chat).text == "You said: one. (turn 1)"
        right = str(bots[0]["dingtalk_app_client_secret"])

        bots[0]["dingtalk_app_client_secret"] = "dingsecret-it-mistyped-0123456789"
        rig.save()
        rig.until(lambda: rig.of("it")["verdict"] == "running_old", "the status says so")
        told = rig.of("it")
        assert told["state"] == "connected"
        assert "the old ones go on" in told["last_error"]
        assert "mistyped" not in str(rig.status())
        rig.say(chat, ann, "two")
        assert rig.answer(chat, 2).text == "You said: two. (turn 2)"
        rig.until(lambda: "its new credentials do not connect" in rig.notice(), "so does the file")
        assert "新凭证连不上钉钉" in rig.notice()
        assert rig.get("/readyz") == 200

        bots[0]["dingtalk_app_client_secret"] = right  # as it was
        rig.save()
        rig.until(lambda: rig.of("it")["verdict"] == "running", "mended")
        assert rig.of("it")["last_error"] is None
        assert rig.opened() == {"ding-it": 1, "ding-hr": 1}
        rig.until(lambda: "OLD" not in rig.notice(), "and the file says so")

        bots[0]["dingtalk_app_client_secret"] = "dingsecret-it-mistyped-0123456789"
        rig.save()
        rig.until(lambda: rig.of("it")["verdict"] == "running_old", "wrong again")
        new = "dingsecret-it-new-0123456789"
        rig.dingtalk.apps["ding-it"].client_secret = new
        bots[0]["dingtalk_app_client_secret"] = new
        rig.save()
        rig.until(lambda: rig.of("it")["verdict"] == "running", "mended by another")
        rig.until(lambda: rig.opened()["ding-it"] == 2, "with a connection of its own")
        rig.until(lambda: rig.dingtalk.live_connections("ding-it") == 1, "the old one left")
        rig.say(chat, ann, "three")
        assert rig.answer(chat, 3).text == "You said: three. (turn 3)"
        assert rig.opened() == {"ding-it": 2, "ding-hr": 1}
        assert "mistyped" not in rig.printed()


def test_what_a_crash_left_is_ended_when_the_mended_secret_connects(tmp_path: Path) -> None:
    """Killed in mid-answer, started with a secret that is no longer right, then mended."""
    bots = [bot("it")]
    with Rig(tmp_path, bots) as rig:
        rig.dify.app("app-it-key-0123456789").answer = lambda *_: Answer("word " * 90, interval=0.1)
        ann = rig.person()
        chat = rig.single(ann)
        rig.say(chat, ann, "question, please")
        rig.until(lambda: rig.cards(chat) and rig.cards(chat)[0].text, "it types")
        first = len(rig.cards(chat)[0].text)
        # What is on a card is written down a moment later.
        rig.until(lambda: len(rig.cards(chat)[0].text) > first, "and types on")
        rig.kill(signal.SIGKILL)
        rig.wait_for_exit()
        rig.dingtalk.apps["ding-it"].client_secret = "dingsecret-it-new-0123456789"
        rig.start(wait=False)
        rig.until(lambda: rig.get("/healthz") == 200, "it is up")
        rig.until(lambda: rig.of("it").get("state") == "bad_credentials", "the secret is wrong")
        bots[0]["dingtalk_app_client_secret"] = "dingsecret-it-new-0123456789"
        rig.save()
        rig.until(lambda: rig.of("it")["state"] == "connected", "mended")
        card = rig.answer(chat)
        assert card.text.startswith("word")
        assert say("restarted", "en") in card.text


@pytest.mark.timeout(120)
def test_another_app_of_dingtalk_takes_over_in_mid_answer(tmp_path: Path) -> None:
    """A new client id: the answer ends in the chat with the old app, the next is in the new."""
    bots = [bot("it"), bot("hr")]
    with Rig(tmp_path, bots) as rig:
        rig.dify.app("app-it-key-0123456789").answer = lambda query, *_: Answer(
            f"You said: {query}. " + "word " * 40, interval=0.04
        )
        ann = rig.person()
        old = rig.single(ann)
        rig.say(old, ann, "one")
        rig.until(lambda: rig.cards(old) and rig.cards(old)[0].text, "it types")
        rig.say(old, ann, "two")
        rig.until(lambda: len(rig.cards(old)) == 2, "the second waits")
        rig.dingtalk.add_app("ding-new", "dingsecret-new-0123456789")
        bots[0]["dingtalk_app_client_id"] = "ding-new"
        bots[0]["dingtalk_app_client_secret"] = "dingsecret-new-0123456789"
        rig.save()
        rig.until(lambda: rig.dingtalk.live_connections("ding-new") == 1, "the new app connects")
        rig.until(lambda: rig.dingtalk.live_connections("ding-it") == 0, "the old one left")
        new = rig.single(ann, "new")
        rig.say(new, ann, "three", bot="new")
        for chat, number, text in ((old, 1, "one"), (old, 2, "two"), (new, 1, "three")):
            whole = f"You said: {text}. " + "word " * 40
            assert rig.answer(chat, number).text == whole.rstrip()
        assert rig.opened() == {"ding-it": 1, "ding-new": 1, "ding-hr": 1}
