"""300 saves that do not parse, under a dod that answers all the time: none stops a bot."""

import random
import sys
import time
from pathlib import Path

from dod.config.load import load_text
from tests.damage import PIECES, Edit, damaged, encoded
from tests.e2e.rig import Rig, bot
from tests.e2e.test_reload_files import block

SAVES, SEED = 300, 20260101
HASTY = (sys.executable, str(Path(__file__).with_name("hasty.py")))
KINDS = ("delete", "swap", "duplicate", "insert", "replace", "truncate", "lines")


def accident(chance: random.Random) -> Edit:
    return (
        chance.choice(KINDS),
        chance.random(),
        chance.random(),
        chance.randint(1, 30),
        chance.choice(PIECES),
    )


def wrecks(whole: str, folder: Path) -> list[bytes]:
    """Damaged files of which nothing can be used, each different; always the same ones."""
    chance = random.Random(SEED)
    found: dict[bytes, None] = {}
    while len(found) < SAVES:
        text = whole
        for _ in range(chance.randint(1, 3)):
            text = damaged(text, accident(chance))
        data = encoded(text, chance.choice(("utf-8", "utf-8", "gb18030", "utf-16", "half")))
        if load_text(data, {}, folder=folder).verdict == "rejected":
            found.setdefault(data)
    return list(found)


class Log:
    """How often the file was loaded, by the log's canonical lines; reads only what is new."""

    def __init__(self, rig: Rig) -> None:
        self._stream = rig.log.open("r", encoding="utf-8")
        self.rejected = self.other = 0

    def read(self) -> int:
        for line in self._stream.read().splitlines():
            if "dod.reloader: reload " in line:
                self.rejected += "config=rejected" in line
                self.other += "config=rejected" not in line
        return self.rejected

    def close(self) -> None:
        self._stream.close()


def test_no_save_that_does_not_parse_stops_a_bot(tmp_path: Path) -> None:
    bots = [bot(name) for name in ("it", "hr", "fin")]
    whole = block(*bots)
    with Rig(tmp_path, bots, launcher=HASTY, env={"DOD_POLL_SECONDS": "0.2"}) as rig:
        rig.file.write_text(whole, "utf-8")
        assert rig.loads(2)["verdict"] == "accepted"  # the file as people write it
        ann = rig.person()
        chats = {str(entry["name"]): rig.single(ann, str(entry["name"])) for entry in bots}
        log = Log(rig)
        log.read()
        opened, asked, loads = rig.opened(), 0, log.other
        began = time.monotonic()
        for number, data in enumerate(wrecks(whole, rig.config)):
            if number % 20 == 0:  # it is asked before the save, and answers across it
                name = list(chats)[asked % 3]
                asked += 1
                rig.say(chats[name], ann, f"question {number}", bot=name)
            rig.file.write_bytes(data)
            rig.until(lambda: log.read() > number, f"save {number} is judged")  # noqa: B023 now
        print(f"\n{SAVES} saves in {time.monotonic() - began:.0f} s")
        assert (log.rejected, log.other) == (SAVES, loads)
        for number, (name, chat) in enumerate(chats.items()):
            turns = len(range(number, asked, 3))
            assert rig.answer(chat, turns).text.endswith(f"(turn {turns})"), name
        assert rig.status()["config"]["verdict"] == "rejected"
        assert rig.generations() == dict.fromkeys(chats, 1)
        assert rig.opened() == opened == {rig.client_id(name): 1 for name in chats}
        assert {one["state"] for one in rig.status()["bots"]} == {"connected"}
        assert rig.printed().count(" started\n") == 3
        log.close()
        rig.file.write_text(whole, "utf-8")
        rig.until(lambda: rig.status()["config"]["verdict"] == "accepted", "mended")
        assert rig.generations() == dict.fromkeys(chats, 1)
