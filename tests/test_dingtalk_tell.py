"""Messages that nobody asked for: to the admins, by the robot."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from dod import errors
from dod.sim.dingtalk.faults import Mishap, Switches
from tests.fakes import FakeChannel
from tests.test_dingtalk_channel import ID, Scene, scene

TEXT = "### bots.yaml 有错误\n\nline 7"


def everybody(it: Scene, count: int) -> list[str]:
    return [str(it.sim.person(f"管理员{n}", f"staff-{n}").staff_id) for n in range(count)]


def calls(it: Scene) -> int:
    return it.sim.calls[ID, "send_single"]


def test_an_admin_is_told_without_having_asked() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.tell(["staff-ann"], TEXT, corp_id="dingcorp1")
            (reply,) = it.sim.replies
            assert (reply.medium, reply.kind, reply.text) == ("robot", "sampleMarkdown", TEXT)
            assert reply.chat is it.single
            assert json.loads(reply.body["msgParam"])["title"] == "bots.yaml 有错误"
            assert it.spent == {"dingcorp1": 1}
            assert not it.pushed

    asyncio.run(act())


def test_without_a_known_organisation_it_is_counted_all_the_same() -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.tell(["staff-ann"], TEXT)
            assert it.spent == {"": 1}

    asyncio.run(act())


def test_twenty_people_a_call_and_nobody_twice() -> None:
    async def act() -> None:
        async with scene() as it:
            people = everybody(it, 41)
            await it.channel.tell([*people, "", *people], TEXT)
            assert len(it.sim.replies) == 41
            assert calls(it) == 3
            assert [len(reply.body["userIds"]) for reply in it.sim.replies[::20]] == [20, 20, 1]

    asyncio.run(act())


@pytest.mark.parametrize("people", [[], [""]])
def test_no_admins_no_call(people: Sequence[str]) -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.tell(people, TEXT)
            assert not it.spent
            assert not it.sim.replies

    asyncio.run(act())


def test_a_wrong_id_among_right_ones_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def act() -> None:
        async with scene() as it:
            await it.channel.tell(["staff-ann", "nobody"], TEXT)
            assert len(it.sim.replies) == 1

    asyncio.run(act())
    assert "unknown=1 throttled=0" in caplog.text
    assert "nobody" not in caplog.text


def test_nobody_reached_is_an_error() -> None:
    async def act() -> None:
        async with scene() as it:
            with pytest.raises(errors.Undeliverable):
                await it.channel.tell([f"nobody-{n}" for n in range(21)], TEXT)
            it.sim.faults.flow_controlled = True
            with pytest.raises(errors.Throttled):
                await it.channel.tell(["staff-ann", "nobody"], TEXT)
            assert not it.sim.replies

    asyncio.run(act())


@pytest.mark.parametrize("mishap", ["lost", "reset"])
def test_an_unknown_outcome_is_not_repeated(mishap: Mishap) -> None:
    async def act() -> None:
        async with scene() as it:
            it.sim.faults.next("send_single", mishap)
            with pytest.raises(errors.DingTalkBusy):
                await it.channel.tell(["staff-ann"], TEXT)
            assert len(it.sim.replies) == (1 if mishap == "lost" else 0)

    asyncio.run(act())


def test_what_is_too_long_costs_no_call() -> None:
    async def act() -> None:
        async with scene(switches=Switches()) as it:
            with pytest.raises(errors.ContentTooLong):
                await it.channel.tell(["staff-ann"], "好" * 5000)
            assert not it.spent

    asyncio.run(act())


def test_the_fake_records_and_fails_like_the_real_one() -> None:
    async def act() -> None:
        channel = FakeChannel()
        channel.faults.on("tell", 2, errors.Undeliverable("planned"))
        await channel.tell(["a", "b"], TEXT)
        with pytest.raises(errors.Undeliverable):
            await channel.tell(["a"], TEXT)
        assert channel.told == [(("a", "b"), TEXT)]

    asyncio.run(act())
