"""What is short of an organisation's month is told where people look, not in the log alone."""

import asyncio
import json
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from dod.budget import Ledger
from dod.meter import Meter
from dod.notice import render
from dod.pace import month
from dod.quota import Level, Shortage, shortages
from dod.status import Status
from dod.store.disk import DiskStore
from tests.fakes import MemoryStore
from tests.test_appliance import running

BOTS = """\
dingtalk_monthly_calls: 10
bots:
- name: it
  dingtalk_app_client_id: dingit
  dingtalk_app_client_secret: a-secret
  dify_app_type: chatbot
  dify_app_api_key: app-0123456789
"""
ENDPOINTS = ("DINGTALK_OPENAPI_ENDPOINT", "DINGTALK_OAPI_ENDPOINT")
NOW = 1_795_000_000.0


def ledger(calls: int = 0, pushes: int = 0, corps: tuple[str, ...] = ("corp",)) -> Ledger:
    book = Ledger(MemoryStore(), now=lambda: NOW)

    async def act() -> None:
        meter = Meter(book, "bot-1", lambda: 0)
        for corp in corps:
            meter.spend(corp, calls)
            for _ in range(pushes):
                meter.push(corp)
        await meter.flush()

    asyncio.run(act())
    return book


@pytest.mark.parametrize(
    ("calls", "levels"),
    [(0, []), (79, []), (80, ["nearly"]), (97, ["nearly"]), (98, ["used_up"]), (130, ["used_up"])],
)
def test_calls_are_short_from_four_fifths_on(calls: int, levels: list[Level]) -> None:
    found = shortages(ledger(calls), 100, 10)
    assert [(it.what, it.level) for it in found] == [("calls", level) for level in levels]


@pytest.mark.parametrize(
    ("pushes", "levels"), [(7, []), (8, ["nearly"]), (9, ["nearly"]), (10, ["used_up"])]
)
def test_messages_are_short_from_four_fifths_on(pushes: int, levels: list[Level]) -> None:
    found = shortages(ledger(pushes=pushes), 100, 10)
    assert [(it.what, it.level) for it in found] == [("pushes", level) for level in levels]


def test_without_a_limit_nothing_is_short() -> None:
    assert shortages(ledger(10**6, 20), 0, 0) == ()


def test_dingtalk_knows_better_than_our_own_count() -> None:
    book = ledger(1)
    book.exhausted("corp")
    for limit in (100, 0):
        (found,) = shortages(book, limit, 0)
        assert (found.what, found.level) == ("calls", "refused")
    book = Ledger(MemoryStore(), now=lambda: NOW)
    book.exhausted("corp")
    assert [it.level for it in shortages(book, 0, 0)] == ["refused"], "and before any count"


def test_the_month_is_that_of_dingtalks_clock() -> None:
    """A NAS whose clock is a year behind warns all the same."""

    async def act() -> Ledger:
        book = Ledger(MemoryStore(), now=lambda: NOW - 366 * 86400)
        meter = Meter(book, "bot-1", lambda: 100)
        meter.pace("corp", NOW)
        meter.spend("corp", 90)
        await meter.flush()
        return book

    assert [it.level for it in shortages(asyncio.run(act()), 100, 0)] == ["nearly"]


def test_one_organisation_is_not_named_several_are() -> None:
    (alone,) = shortages(ledger(90), 100, 0)
    assert "corp" not in " ".join(alone.sentences)
    both = shortages(ledger(90, corps=("corp-a", "corp-b")), 100, 0)
    for one, name in zip(both, ("corp-a", "corp-b"), strict=True):
        assert all(name in sentence for sentence in one.sentences)


def test_the_file_and_the_api_say_it_in_both_languages() -> None:
    (short,) = shortages(ledger(90), 100, 0)
    status = Status(started_at=1.0, quota=(short,))
    text = render(status)
    for sentence in short.sentences:
        assert sentence in text
    (told,) = json.loads(json.dumps(status.to_json()))["quota"]
    assert told == {
        "what": "calls",
        "level": "nearly",
        "message": {"zh": short.sentences[0], "en": short.sentences[1]},
    }
    assert Status(started_at=1.0).to_json()["quota"] == []


def test_the_file_is_not_written_anew_at_every_call() -> None:
    """Each new text wakes a sleeping disk."""
    texts = {
        render(Status(started_at=1.0, quota=shortages(ledger(n), 100, 0))) for n in range(80, 98)
    }
    assert len(texts) == 1


def test_a_running_dod_tells_of_what_it_had_counted_before(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "bots.yaml").write_text(BOTS)
    count = {"month": month(time.time()), "corp_id": "corp", "bot": "dingit"}
    store = DiskStore.open(tmp_path / "data" / "store")
    key = "budget/{month}/{corp_id}/{bot}".format(**count)
    asyncio.run(store.put(key, {**count, "calls": 9, "pushes": 0}))
    store.close(5)

    def told() -> object:
        with urllib.request.urlopen(f"http://{listen}/api/status", timeout=10) as answer:
            return json.load(answer)["quota"]

    nowhere = dict.fromkeys(ENDPOINTS, "http://127.0.0.1:9")
    with running(tmp_path, "run", DOD_WEB_LISTEN=listen, **nowhere) as run:
        run.until("status page on")
        deadline = time.monotonic() + 30
        while not (found := told()):
            assert time.monotonic() < deadline, run.log
            time.sleep(0.02)
    assert found == [Shortage("calls", "nearly", 10).to_json()]
