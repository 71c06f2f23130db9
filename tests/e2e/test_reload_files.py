"""How it is saved, and what becomes of it: styles of saving, verdicts, removals, who is told.

Every style of every editor is a case of tests/test_watch.py; here are those that differ for people.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dod.sim.dify.scripts import Answer
from dod.sim.dingtalk.world import SimChat, SimPerson
from tests.e2e.rig import NO_INOTIFY, TEMPLATE, Rig, bot

OTHER_TEMPLATE = "other-template.schema"
# Seconds, of dod's own: what stands still so long is a save, and so long an absence is one.
SETTLE, CONFIRM = 0.6, 3.0
FIVE = ("b1", "b2", "b3", "b4", "b5")


def block(*bots: dict[str, object]) -> str:
    """``bots.yaml`` as a person writes it: many of its prefixes are valid files."""
    lines = ["bots:"]
    for entry in bots:
        for number, (key, value) in enumerate(entry.items()):
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"{'    ' if number else '  - '}{key}: {text}")
    return "\n".join(lines) + "\n"


class Desk:
    """One bot, asked after every save by which Dify app and on which card it answers."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.ann: SimPerson = rig.person()
        self.chat: SimChat = rig.single(self.ann)
        self._asked = 0
        # DingTalk sees the connection before the status page tells of the bot's first generation.
        rig.until(lambda: rig.of("it").get("generation"), "the bot serves")

    def ask(self) -> tuple[str, str]:
        """The Dify key and the template that one more question is answered with."""
        self.say()
        return self.answered()

    def say(self) -> None:
        self._asked += 1
        self.rig.say(self.chat, self.ann, f"number {self._asked}")

    def answered(self) -> tuple[str, str]:
        card = self.rig.answer(self.chat, self._asked)
        assert f"number {self._asked}" in card.text
        return self.rig.dify.requests[-1].key, card.template.id

    def saves(self, style: str, act: Callable[[], object]) -> None:
        """Do ``act``; the bot must take exactly one new spec.

        A busy machine may stop us between two steps of ``act`` for so long that dod is right to
        take what it finds; what it has in the end is asked all the same.
        """
        before = self.rig.of("it")["generation"]
        began = time.monotonic()
        act()
        at_once = time.monotonic() - began < SETTLE
        self.rig.until(lambda: self.rig.of("it")["generation"] > before, style)
        if at_once:
            assert self.rig.of("it")["generation"] == before + 1, style
            return
        # Whatever is still to come has come when nothing has for so long.
        loads, since = self.rig.status()["config"]["loads"], time.monotonic()

        def at_rest() -> bool:
            nonlocal loads, since
            if (now := self.rig.status()["config"]["loads"]) != loads:
                loads, since = now, time.monotonic()
            return time.monotonic() - since > CONFIRM

        self.rig.until(at_rest, f"{style}: at rest")


def keep_times(path: Path, text: str) -> None:
    """Same size, same mtime, same inode: as a sync tool or FAT leaves it."""
    about = path.stat()
    assert len(text.encode()) == about.st_size
    with path.open("r+", encoding="utf-8") as stream:
        stream.write(text)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def put_in_place(path: Path, text: str) -> None:
    """Write beside it, then rename over it."""
    draft = path.with_name(f".{path.name}.swp")
    draft.write_text(text, "utf-8")
    draft.replace(path)


def slowly(path: Path, text: str) -> None:
    """Truncate, then write in four goes."""
    with path.open("w", encoding="utf-8") as stream:
        for start in range(0, len(text), len(text) // 3):
            stream.write(text[start : start + len(text) // 3])
            stream.flush()


def test_however_it_is_saved_the_bot_changes_once(tmp_path: Path) -> None:
    entry = bot("it")
    del entry["dingtalk_ai_card_template_id"]
    env = {"DINGTALK_AI_CARD_TEMPLATE_ID": ""}
    with Rig(tmp_path, [entry, bot("hr")], env=env) as rig:
        keys = [f"app-it-{word}-0123456789" for word in ("aaa", "bbb", "ccc", "ddd", "eee", "fff")]
        for key in keys:
            rig.dify.add_app(key, "chat")
        rig.dingtalk.add_template(OTHER_TEMPLATE)
        desk = Desk(rig)
        file, secrets, include = rig.file, rig.config / "secrets.yaml", rig.config / "it.yaml"

        def with_key(key: str) -> str:
            return block({**entry, "dify_app_api_key": key}, bot("hr"))

        desk.saves("rename", lambda: put_in_place(file, with_key(keys[0])))
        assert desk.ask()[0] == keys[0]
        desk.saves("truncate, then write", lambda: slowly(file, with_key(keys[1])))
        assert desk.ask()[0] == keys[1]
        desk.saves("same size and mtime", lambda: keep_times(file, with_key(keys[2])))
        assert desk.ask()[0] == keys[2]

        def new_then_delete_old() -> None:
            beside = file.with_name("bots.yaml.new")
            beside.write_text(with_key(keys[0]), "utf-8")
            file.unlink()
            beside.rename(file)

        desk.saves("new, delete old", new_then_delete_old)
        assert desk.ask()[0] == keys[0]

        def two_saves() -> None:
            file.write_text(with_key(keys[1]), "utf-8")
            file.write_text(with_key(keys[2]), "utf-8")

        desk.saves("two saves at once", two_saves)
        assert desk.ask()[0] == keys[2]

        secrets.write_text(f"it_dify: {keys[3]}\n", "utf-8")
        desk.saves("a tag", lambda: file.write_text(with_key("!secret it_dify"), "utf-8"))
        assert desk.ask()[0] == keys[3]
        desk.saves("secrets.yaml alone", lambda: secrets.write_text(f"it_dify: {keys[4]}\n"))
        assert desk.ask()[0] == keys[4]

        dotenv = f"DINGTALK_AI_CARD_TEMPLATE_ID={TEMPLATE}\n"
        desk.saves(".env alone", lambda: (rig.config / ".env").write_text(dotenv))
        assert desk.ask() == (keys[4], TEMPLATE)

        include.write_text(json.dumps({**entry, "dify_app_api_key": keys[5]}), "utf-8")
        whole = "bots:\n  - !include it.yaml\n" + block(bot("hr")).removeprefix("bots:\n")
        desk.saves("an include", lambda: file.write_text(whole, "utf-8"))
        assert desk.ask() == (keys[5], TEMPLATE)
        text = json.dumps(
            {**entry, "dify_app_api_key": keys[0], "dingtalk_ai_card_template_id": OTHER_TEMPLATE}
        )
        desk.saves("the included file alone", lambda: put_in_place(include, text))
        assert desk.ask() == (keys[0], OTHER_TEMPLATE)

        # It vanishes for two seconds, as over SMB: first with the same content, then with another.
        generation, loads = rig.of("it")["generation"], rig.status()["config"]["loads"]
        in_time = True
        for content in (whole, with_key(keys[1])):
            gone = time.monotonic()
            file.unlink()
            desk.say()  # the answer is waited for when the file is back: that may take a while
            rig.stays(lambda: rig.of("it")["generation"] == generation, "it runs", 2)
            put_in_place(file, content)
            in_time = in_time and time.monotonic() - gone < CONFIRM
            assert desk.answered() == (keys[0], OTHER_TEMPLATE)
            if content is whole and in_time:
                rig.stays(lambda: rig.status()["config"]["loads"] == loads, "no news", 1.5)
        rig.until(lambda: rig.of("it")["generation"] > generation, "the other content")
        assert desk.ask() == (keys[1], TEMPLATE)
        if in_time:
            assert rig.status()["config"]["loads"] == loads + 1
        assert rig.generations() == {"it": generation + 1, "hr": 1}
        assert rig.opened() == {"ding-it": 1, "ding-hr": 1}


def inotify_can_be_withheld() -> bool:
    try:
        done = subprocess.run([*NO_INOTIFY, "true"], capture_output=True, timeout=10, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def test_without_inotify_the_poll_sees_it_and_a_hup_hurries_it(tmp_path: Path) -> None:
    if not inotify_can_be_withheld():
        pytest.skip("no namespaces for this user")
    entry = bot("it")
    with Rig(tmp_path, [entry], launcher=NO_INOTIFY, env={"DOD_POLL_SECONDS": "0.3"}) as rig:
        assert "No inotify" in rig.printed()
        rig.save({**entry, "max_workers": 5})
        rig.until(lambda: rig.of("it")["generation"] == 2, "the poll sees it")
        assert "seen by=poll" in rig.printed()
        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        rig._env["DOD_POLL_SECONDS"] = "600"
        rig.start()
        rig.until(lambda: rig.of("it")["generation"] == 1, "it has begun")
        rig.save({**entry, "max_workers": 6})
        rig.stays(lambda: rig.of("it")["generation"] == 1, "nobody looks", 1.5)
        rig.kill(signal.SIGHUP)
        rig.until(lambda: rig.of("it")["generation"] == 2, "HUP: look now")
        assert rig.opened() == {"ding-it": 2}


def test_four_of_five_apply_and_the_fifth_keeps_its_old_version(tmp_path: Path) -> None:
    """Also after a restart; and then a file that does not parse changes nothing, also after one."""
    bots = [bot(name) for name in FIVE]
    opened = {f"ding-{name}": 1 for name in FIVE}
    with Rig(tmp_path, bots) as rig:
        ann = rig.person()
        for name in FIVE:
            rig.dify.add_app(f"app-{name}-new-0123456789", "chat")

        def keys() -> list[str]:
            """By which Dify app each bot answers."""
            found = []
            for name in FIVE:
                chat = rig.single(ann, name)
                number = len(rig.cards(chat)) + 1
                rig.say(chat, ann, "hello", bot=name)
                assert "hello" in rig.answer(chat, number).text
                found.append(rig.dify.requests[-1].key.split("-")[2])
            return found

        assert keys() == ["key"] * 5
        for entry in bots:
            entry["dify_app_api_key"] = f"app-{entry['name']}-new-0123456789"
        bots[2]["dify_app_type"] = "chatbto"
        rig.save()
        told = rig.loads(2)
        assert told["verdict"] == "partly"
        assert [(one["bot"], one["severity"]) for one in told["problems"]] == [("b3", "error")]
        rig.until(lambda: list(rig.generations().values()) == [2, 2, 1, 2, 2], "four took it")
        assert rig.of("b3")["verdict"] == "running_old"
        assert rig.reloads()[-1].endswith("b1=live b2=live b4=live b5=live b3=keeps_old")
        rig.until(lambda: "runs with its OLD configuration" in rig.notice(), "the file says so")
        assert "b3" in rig.notice()
        assert keys() == ["new", "new", "key", "new", "new"]
        assert rig.opened() == opened

        restart(rig)
        assert keys() == ["new", "new", "key", "new", "new"]
        assert rig.of("b3")["verdict"] == "running_old"
        assert rig.status()["config"]["verdict"] == "partly"

        before = (rig.generations(), rig.opened())
        rig.file.write_text("bots:\n  - name: 'b1\n    dify: {", "utf-8")
        assert rig.loads(2)["verdict"] == "rejected"
        assert (rig.generations(), rig.opened()) == before
        assert keys() == ["new", "new", "key", "new", "new"]
        assert rig.reloads()[-1] == "reload config=rejected file=bots.yaml bots=-"

        restart(rig)
        assert rig.status()["config"]["verdict"] == "rejected"
        assert keys() == ["new", "new", "key", "new", "new"]
        assert rig.get("/readyz") == 200

        rig.kill(signal.SIGTERM)
        assert rig.wait_for_exit() == 0
        started = rig.printed().count(" started\n")
        rig._env["DOD_ON_BAD_CONFIG"] = "exit"
        rig.start(wait=False)
        assert rig.wait_for_exit() == 78
        assert rig.printed().count(" started\n") == started, "not for a moment either"
        assert "bots.yaml" in rig.notice()

        bots[2]["dify_app_type"] = "chatbot"
        rig.save()
        rig.start()
        assert keys() == ["new"] * 5
        assert rig.status()["config"]["verdict"] == "accepted"


def restart(rig: Rig) -> None:
    rig.kill(signal.SIGTERM)
    assert rig.wait_for_exit() == 0
    rig.start()


def test_no_half_written_file_stops_a_bot(tmp_path: Path) -> None:
    """Every prefix of a valid file, one after the other; five of them stand still for a while."""
    bots = [bot(name) for name in FIVE]
    for entry in bots:
        del entry["handler"], entry["dingtalk_ai_card_template_id"]
    with Rig(tmp_path, bots) as rig:
        whole = block(*bots)
        rig.file.write_text(whole, "utf-8")
        data = whole.encode()
        until_b2 = data.index(b"  - name: b2")
        rest = [data.index(b"  - name: b5"), len(data) - 8, until_b2 + 20, until_b2 - 9]
        for length in range(len(data)):
            rig.file.write_bytes(data[:length])
            if length in rest:
                rig.stays(lambda: len(rig.status()["bots"]) == 5, "all five run", 1.0)
            else:
                time.sleep(0.013)
        rig.file.write_bytes(data)
        loads = rig.status()["config"]["loads"]
        rig.until(lambda: rig.status()["config"]["verdict"] == "accepted", "the whole file")
        rig.until(
            lambda: {one["verdict"] for one in rig.status()["bots"]} == {"running"}, "all as before"
        )
        print(f"\n{len(data)} prefixes, {loads} loads")
        assert rig.opened() == {f"ding-{name}": 1 for name in FIVE}
        assert not [line for line in rig.reloads() if "gone" in line or "disabled" in line]
        assert rig.printed().count(" started\n") == 5
        for told in rig.status()["bots"]:
            assert (told["state"], told["connections"]) == ("connected", 1)


def test_added_removed_renamed_disabled_enabled(tmp_path: Path) -> None:
    bots = [bot("b1"), bot("b2"), bot("b3")]
    with Rig(tmp_path, bots) as rig:
        ann = rig.person()
        chat = rig.single(ann, "b2")
        rig.say(chat, ann, "one", bot="b2")
        assert rig.answer(chat).text.endswith("(turn 1)")

        added = bot("b4")
        rig.add_apps(added)
        rig.save(*bots, added)
        rig.until(lambda: rig.of("b4").get("state") == "connected", "added")

        rig.save(bot("b1"), {**bot("b2"), "name": "财务"}, bot("b3"), added)
        rig.until(lambda: rig.of("财务"), "renamed")
        rig.until(lambda: rig.of("财务")["generation"] == 2, "and taken")
        rig.say(chat, ann, "two", bot="b2")
        assert rig.answer(chat, 2).text.endswith("(turn 2)"), "it remembers"
        assert rig.opened() == {f"ding-b{number}": 1 for number in range(1, 5)}

        renamed = {**bot("b2"), "name": "财务"}
        rig.save(bot("b1"), renamed, {**bot("b3"), "enabled": False}, added)
        rig.until(lambda: rig.of("b3")["verdict"] == "disabled", "disabled")
        rig.until(lambda: rig.dingtalk.live_connections("ding-b3") == 0, "it has left")
        rig.until(lambda: "disabled (enabled: false)" in rig.notice(), "the file says so")
        rig.save(bot("b1"), renamed, bot("b3"), added)
        rig.until(lambda: rig.dingtalk.live_connections("ding-b3") == 1, "enabled again")

        # A long answer of the one that goes: it is finished, and then it is gone.
        rig.dify.app("app-b4-key-0123456789").answer = _long
        last = rig.single(ann, "b4")
        rig.say(last, ann, "bye", bot="b4")
        rig.until(lambda: rig.cards(last) and rig.cards(last)[0].text, "it types")
        rig.save(bot("b1"), renamed, bot("b3"))
        rig.until(lambda: rig.dingtalk.live_connections("ding-b4") == 0, "removed")
        assert rig.answer(last).text == ("word " * 120).rstrip()
        rig.until(lambda: not rig.of("b4"), "gone from the status")
        lines = rig.reloads()
        assert "b4=held" in lines[-2]
        assert "b4=gone" in lines[-1]
        assert not list((tmp_path / "data" / "last-good").glob("*b4*"))
        rig.until(lambda: rig.of("b3")["state"] == "connected", "b3 says so, too")
        assert rig.opened() == {"ding-b1": 1, "ding-b2": 1, "ding-b3": 2, "ding-b4": 1}
        assert rig.generations() == {"b1": 1, "财务": 2, "b3": 1}

        rig.save()  # b2 has its name back
        rig.until(lambda: rig.of("b2"), "renamed back")
        rig.write({"bots": []})
        rig.until(lambda: not rig.status()["bots"], "an empty list is a valid one", 30)
        assert rig.get("/readyz") == 200


def _long(*_: object) -> Answer:
    return Answer("word " * 120, interval=0.04)


def test_who_is_told_what(tmp_path: Path) -> None:
    """One line in the log, ``bots.status.txt``, and a message to the admins once per change."""
    bots = [bot("it"), bot("hr")]
    with Rig(tmp_path, bots, top={"admins": ["boss", "deputy"]}) as rig:
        boss, deputy, ann = (rig.person(who, who) for who in ("boss", "deputy", "ann"))
        chats = [rig.dingtalk.single("ding-it", person) for person in (boss, deputy)]

        def told(number: int) -> str:
            """What each of the admins has got; exactly so many messages."""
            rig.until(lambda: len(rig.dingtalk.replies) >= 2 * number, f"message {number}")
            got = [rig.replies(chat) for chat in chats]
            assert [len(each) for each in got] == [number, number]
            assert got[0][-1].medium == "robot"
            assert got[0][-1].text == got[1][-1].text
            return got[0][-1].text

        rig.until(lambda: "connected to DingTalk" in rig.notice(), "the file says it, too")
        raw = (rig.config / "bots.status.txt").read_bytes()
        assert raw.startswith(b"\xef\xbb\xbf")
        assert raw.count(b"\n") == raw.count(b"\r\n")
        assert "All of bots.yaml is applied." in rig.notice()

        text = rig.file.read_text("utf-8")
        rig.file.write_text(text.replace('"chatbot"', '"chatbto"', 1), "utf-8")
        problems = rig.loads(2)["problems"]
        assert [(one["bot"], one["fix"]) for one in problems] == [("it", "dify_app_type: chatbot")]
        said = told(1)
        assert f"bots.yaml:{problems[0]['line']}:{problems[0]['column']}" in said
        assert problems[0]["message"]["zh"] in said
        assert "Not applied: it" in said
        rig.until(lambda: "Only a part of bots.yaml" in rig.notice(), "the file, too")
        assert "- it: connected to DingTalk; runs with its OLD configuration" in rig.notice()
        assert "see problem 1" in rig.notice()
        assert "- hr: connected to DingTalk\n" in rig.notice()
        assert rig.reloads()[1:] == [
            "reload config=partly file=bots.yaml hr=untouched it=keeps_old"
        ]

        # The same mistake once more, below a comment: no news for the admins.
        rig.file.write_text("# a comment\n" + rig.file.read_text("utf-8"), "utf-8")
        rig.loads(3)
        assert len(rig.reloads()) == 3

        rig.file.write_text("bots: [", "utf-8")
        assert rig.loads(4)["verdict"] == "rejected"
        assert "is not applied; the last good configuration stays" in told(2)
        rig.until(lambda: "the last good version stays" in rig.notice(), "the file, too")
        assert rig.reloads()[3:] == ["reload config=rejected file=bots.yaml bots=-"]

        rig.save()
        assert rig.loads(5)["problems"] == []
        assert "is fine again" in told(3)
        rig.until(lambda: "All of bots.yaml is applied." in rig.notice(), "the file, too")

        # A good save is nothing to write home about.
        rig.save({**bots[0], "max_workers": 7}, bots[1])
        rig.loads(6)
        assert rig.reloads()[5:] == ["reload config=accepted file=bots.yaml it=live hr=untouched"]

        # Where nothing changes nothing is written, whatever else goes on.
        rig.until(lambda: rig.of("it")["generation"] == 2, "taken")
        rig.until(lambda: rig.notice().count("connected to DingTalk") == 2, "settled")
        path = rig.config / "bots.status.txt"
        before = (path.stat().st_mtime_ns, path.stat().st_ino)
        chat = rig.single(ann)
        for number in range(1, 4):
            rig.file.touch()
            rig.say(chat, ann, "hello")
            rig.answer(chat, number)
            rig.stays(lambda: (path.stat().st_mtime_ns, path.stat().st_ino) == before, "as is", 0.8)
        assert len(rig.reloads()) == 6
        told(3)
        assert rig.opened() == {"ding-it": 1, "ding-hr": 1}
