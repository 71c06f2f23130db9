"""What SQLite leaves of a message in the file when its row holds it no more. Real files."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from dod.bridge.claim import Claim
from dod.messages import Chat, Message, Person
from dod.store import records
from dod.store.records import Records
from dod.store.rows import SHORT, Entry, apart, row_of
from tests.fakes import MemoryStore

SAID = b"session="
DONE = row_of({"state": "done"}, None)


@pytest.fixture(params=["wal", "delete"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Records]:
    monkeypatch.setattr(records, "journal", lambda _kind: request.param)
    opened = Records.open(tmp_path / "store", 5.0)
    yield opened
    opened.close()


def claim(number: int, *, shown: int = 0) -> Entry:
    secret = f"{SAID.decode()}{number:032x}"
    message = {"id": f"msg{number}", "text": f"{'?' * 270} {secret}", "webhook": secret}
    return row_of({"state": "asked", "message": message, "text": "a" * shown}, None)


def live(store: Records, messages: int, dice: random.Random) -> None:
    """Many messages at once: their rows grow, and shrink when they are done."""
    open_: list[int] = []
    with store.transaction():
        for number in range(messages):
            store.add(f"claim/ding/{number}", claim(number))
            open_.append(number)
            while len(open_) > dice.choice((0 if number == messages - 1 else 5, 20, 40)):
                one = dice.choice(open_)
                if dice.random() < 0.6:
                    store.put(f"claim/ding/{one}", claim(one, shown=dice.randrange(3000)))
                else:
                    store.put(f"claim/ding/{one}", DONE)
                    open_.remove(one)
        for one in open_:
            store.put(f"claim/ding/{one}", DONE)


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_said_stays_in_the_file_when_all_is_done(
    store: Records, tmp_path: Path, seed: int
) -> None:
    """SQLite moves rows from page to page, and its secure_delete leaves copies in the gaps."""
    live(store, 2000, random.Random(seed))
    assert len(list(store.scan("claim/"))) == 2000
    store.close()  # empties the log
    assert SAID not in (tmp_path / "store" / "cache.db").read_bytes()


def test_what_is_laid_apart_is_read_as_it_was(store: Records) -> None:
    entry = claim(1, shown=5000)
    store.put("a", entry)
    store.put("b", claim(2))
    store.put("c", DONE)
    found = dict(store.scan(""))
    assert store.get("c") == DONE.text
    for key, entry in found.items():
        store.put(key, entry)  # written back: it grows no further
    assert dict(store.scan("")) == found


@pytest.mark.parametrize("page", [512, 4096, 65536])
def test_a_long_row_begins_with_a_page_of_blanks(page: int) -> None:
    text = apart("x" * (SHORT + 1), page)
    assert text.startswith(" " * page)
    assert text.strip() == "x" * (SHORT + 1)
    assert len(text) % page == 0
    assert apart(text, page) == text
    assert apart("x" * SHORT, page) == "x" * SHORT


def test_no_open_claim_is_short() -> None:
    """The least that a claim holds while it holds what somebody said."""
    message = Message("", Chat("", "single", ""), Person("", "", ""), "?")
    entry = row_of(Claim("", message, MemoryStore()).to_json(), None)
    assert len(entry.text or "") > SHORT
