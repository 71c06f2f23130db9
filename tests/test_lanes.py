"""Places: order per conversation, parallel across them, capacity, numbers."""

import asyncio

from dod.bridge.lanes import Lanes
from dod.messages import ConversationKey

ANN = ConversationKey("bot", "chat", "ann")
BOB = ConversationKey("bot", "chat", "bob")
CYD = ConversationKey("bot", "chat", "cyd")


def test_one_conversation_is_answered_in_order() -> None:
    lanes = Lanes(lambda: 8)
    first, second, third = lanes.enter(ANN), lanes.enter(ANN), lanes.enter(ANN)
    assert (first.free, second.free, third.free) == (True, False, False)
    first.leave()
    assert (second.free, third.free) == (True, False)
    second.leave()
    assert third.free


def test_conversations_do_not_wait_for_each_other() -> None:
    lanes = Lanes(lambda: 8)
    assert lanes.enter(ANN).free
    assert lanes.enter(BOB).free


def test_beyond_capacity_people_wait_in_order_of_receipt() -> None:
    lanes = Lanes(lambda: 1)
    ann, bob, cyd = lanes.enter(ANN), lanes.enter(BOB), lanes.enter(CYD)
    assert (ann.number, bob.number, cyd.number) == (0, 1, 2)
    ann.leave()
    assert bob.free
    assert cyd.number == 1


def test_a_later_message_does_not_overtake_an_earlier_one_of_its_conversation() -> None:
    room = 1
    lanes = Lanes(lambda: room)
    running = lanes.enter(ANN)
    early, late = lanes.enter(BOB), lanes.enter(BOB)
    room = 2
    running.leave()
    assert early.free
    assert not late.free


def test_capacity_is_live() -> None:
    room = 1
    lanes = Lanes(lambda: room)
    lanes.enter(ANN)
    bob, cyd = lanes.enter(BOB), lanes.enter(CYD)
    room = 3
    lanes.admit()
    assert bob.free
    assert cyd.free


def test_someone_who_leaves_the_queue_makes_room() -> None:
    lanes = Lanes(lambda: 1)
    lanes.enter(ANN)
    bob, cyd = lanes.enter(BOB), lanes.enter(CYD)
    bob.leave()
    bob.leave()
    assert cyd.number == 1


def test_a_draining_bot_admits_nobody() -> None:
    lanes = Lanes(lambda: 1)
    ann, bob = lanes.enter(ANN), lanes.enter(BOB)
    lanes.close()
    ann.leave()
    assert not bob.free


def test_wait_returns_when_free() -> None:
    async def scenario() -> None:
        lanes = Lanes(lambda: 1)
        ann, bob = lanes.enter(ANN), lanes.enter(BOB)
        waiting = asyncio.create_task(bob.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        ann.leave()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(scenario())
