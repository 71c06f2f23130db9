"""Token, rate and refusals of the OpenAPI, against a DingTalk that keeps count."""

import asyncio
from dataclasses import replace

import pytest

from dod import errors
from dod.dingtalk.api import AccessToken, Api
from dod.dingtalk.bucket import Rank
from dod.dingtalk.times import Times
from dod.messages import Message
from dod.sim.dingtalk.faults import Refusal, Switches
from tests.test_dingtalk_channel import ID, OWN, QUICK, SECRET, Scene, scene

QPS = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"


async def message(it: Scene, text: str = "hi") -> Message:
    await it.connect()
    return await it.hear(text)


# -- token


def test_fifty_calls_at_once_fetch_one_token() -> None:
    async def act() -> None:
        async with scene() as it:
            asked = await message(it)
            cards = [it.channel.card(asked, OWN, n) for n in range(50)]
            await asyncio.gather(*(card.open() for card in cards))
            assert it.sim.calls[ID, "token"] == 1
            assert it.spent == {"dingcorp1": 50}

    asyncio.run(act())


def test_an_expired_token_is_renewed_and_the_call_repeated() -> None:
    async def act(status: int) -> None:
        async with scene(switches=Switches(token_status=status)) as it:
            card = it.channel.card(await message(it), OWN)
            await card.open()
            it.sim.expire_tokens(ID)
            await card.update(lambda: "one")
            it.sim.expire_tokens(ID)
            await card.finish("two", "guid")
            assert it.sim.cards[card.id].text == "two"
            assert it.sim.calls[ID, "token"] == 3
            assert it.spent == it.sim.gate.month_calls

    asyncio.run(act(400))
    asyncio.run(act(401))


def test_a_token_that_is_refused_twice_is_bad_credentials() -> None:
    async def act() -> None:
        async with scene() as it:
            card = it.channel.card(await message(it), OWN)
            it.sim.faults.next("create_and_deliver", Refusal(400, "InvalidAuthentication"), 2)
            with pytest.raises(errors.BadCredentials):
                await card.open()

    asyncio.run(act())


def test_a_wrong_secret_is_bad_credentials_for_every_call() -> None:
    async def act() -> None:
        async with scene() as it:
            asked = await message(it)
            it.sim.apps[ID].client_secret = "changed"
            with pytest.raises(errors.BadCredentials):
                await it.channel.card(asked, OWN).open()

    asyncio.run(act())


def test_a_token_runs_out_by_its_own_life_also_when_that_is_short() -> None:
    async def act() -> None:
        lives = iter([7200.0, 60.0, 0.0])
        fetched = 0

        async def fetch() -> tuple[str, float]:
            nonlocal fetched
            fetched += 1
            return f"token{fetched}", next(lives)

        token = AccessToken(fetch)
        assert [await token.get() for _ in range(3)] == ["token1"] * 3
        token.drop("another")
        assert await token.get() == "token1"
        token.drop("token1")
        assert [await token.get() for _ in range(3)] == ["token2"] * 3  # 60 s is no fetch per call
        token.drop("token2")
        assert await token.get() == "token3"
        with pytest.raises(StopIteration):
            next(lives)

    asyncio.run(act())


def test_who_waited_for_a_token_that_failed_gets_that_failure() -> None:
    async def act() -> None:
        fetched = 0

        async def fetch() -> tuple[str, float]:
            nonlocal fetched
            fetched += 1
            await asyncio.sleep(0.001)
            if fetched == 1:
                raise errors.DingTalkBusy("hang")
            return "token", 7200.0

        token = AccessToken(fetch)
        ends = await asyncio.gather(*(token.get() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(end, errors.DingTalkBusy) for end in ends)
        assert fetched == 1
        assert await token.get() == "token"

    asyncio.run(act())


# -- rate


def test_sixty_cards_at_once_are_refused_not_once() -> None:
    """The real window, in real time: 18 places here, 20 calls a second there. About 3.5 s."""

    async def act() -> None:
        real = Times()
        async with scene(qps=lambda: 18, sim_qps=20, times=real) as it:
            asked = await message(it)
            cards = [it.channel.card(asked, OWN, n) for n in range(60)]
            await asyncio.gather(*(card.open() for card in cards))
            assert len(it.sim.cards) == 60
            assert not it.sim.refused
            assert it.spent == {"dingcorp1": 60}

    asyncio.run(act())


def test_a_throttled_creation_and_ending_are_repeated_until_taken() -> None:
    async def act() -> None:
        async with scene() as it:
            card = it.channel.card(await message(it), OWN)
            it.sim.faults.next("create_and_deliver", Refusal(403, QPS), 3)
            await card.open()
            it.sim.faults.next("streaming", Refusal(429, "TooManyRequests"), 3)
            await card.finish("whole", "guid")
            assert it.sim.cards[card.id].state == "finished"
            assert it.spent == {"dingcorp1": 2}

    asyncio.run(act())


def test_a_throttled_update_is_dropped_and_says_so() -> None:
    async def act() -> None:
        async with scene() as it:
            card = it.channel.card(await message(it), OWN)
            await card.open()
            it.sim.faults.next("streaming", Refusal(403, QPS))
            with pytest.raises(errors.Throttled):
                await card.update(lambda: "lost", first=True)
            await card.update(lambda: "kept")
            assert it.sim.cards[card.id].text == "kept"
            assert it.spent == {"dingcorp1": 2}

    asyncio.run(act())


def test_patience_with_throttling_has_an_end() -> None:
    async def act(*, hurry: bool) -> None:
        async with scene(times=replace(QUICK, patience=0.03, pause=0.005)) as it:
            card = it.channel.card(await message(it), OWN)
            if hurry:
                it.channel.hurry()
            it.sim.faults.next("create_and_deliver", Refusal(403, QPS), 100)
            with pytest.raises(errors.Throttled):
                await card.open()
            assert 0 < it.sim.refused[ID, "create_and_deliver", QPS] < 100

    asyncio.run(act(hurry=False))
    asyncio.run(act(hurry=True))


def test_in_a_hurry_nobody_waits_for_a_place() -> None:
    async def act() -> None:
        slow = replace(QUICK, window=60.0, in_flight=60.0)
        async with scene(qps=lambda: 1, times=slow) as it:
            asked = await message(it)
            cards = [it.channel.card(asked, OWN, n) for n in range(5)]
            opening = [asyncio.create_task(card.open()) for card in cards]
            await it.until(lambda: it.sim.cards)
            it.channel.hurry()
            await asyncio.gather(*opening)
            await asyncio.gather(*(card.finish("bye", "guid") for card in cards))
            assert all(card.state == "finished" for card in it.sim.cards.values())

    asyncio.run(act())


def test_endings_overtake_updates_in_the_queue() -> None:
    async def act() -> None:
        slow = replace(QUICK, window=0.01, in_flight=0.01)
        async with scene(times=slow) as it:
            asked = await message(it)
            cards = [it.channel.card(asked, OWN, n) for n in range(4)]
            await asyncio.gather(*(card.open() for card in cards))
        async with scene(qps=lambda: 1, times=slow) as it:
            asked = await message(it)
            cards = [it.channel.card(asked, OWN, n) for n in range(4)]
            await asyncio.gather(*(card.open() for card in cards))
            order: list[str] = []
            it.sim.subscribe(
                lambda event: order.append(event.kind) if event.kind == "card" else None
            )
            await asyncio.gather(
                cards[0].update(lambda: "holds the place"),
                cards[1].update(lambda: "late"),
                cards[2].update(lambda: "first", first=True),
                cards[3].finish("end", "guid"),
            )
            written = {
                number: it.sim.cards[card.id].frames[-1].at for number, card in enumerate(cards)
            }
            assert sorted(written, key=lambda number: written[number]) == [0, 3, 2, 1]

    asyncio.run(act())


# -- refusals, end to end


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("scope", errors.ScopeMissing),
        ("quota", errors.QuotaExhausted),
        ("address", errors.AddressRefused),
        ("hang", errors.DingTalkBusy),
        ("html", errors.DingTalkBusy),
        ("busy", errors.DingTalkBusy),
        ("reset", errors.DingTalkBusy),
    ],
)
def test_a_call_fails_with_what_dingtalk_meant(
    fault: str, kind: type[errors.DingTalkError]
) -> None:
    async def act() -> None:
        async with scene(times=replace(QUICK, answer=0.05)) as it:
            card = it.channel.card(await message(it), OWN)
            match fault:
                case "scope":
                    it.sim.faults.missing_scopes.add("Card.Instance.Write")
                case "quota":
                    it.sim.faults.quota_used_up = True
                case "address":
                    it.sim.faults.address_refused = True
                case "hang" | "html" | "busy" | "reset":
                    it.sim.faults.next("create_and_deliver", fault, 2)
            with pytest.raises(errors.DingTalkError) as caught:
                await card.open()
            assert type(caught.value) is kind
            if isinstance(caught.value, errors.ScopeMissing):
                assert caught.value.scopes == ("Card.Instance.Write",)
            assert SECRET not in repr(caught.value)
            assert it.spent == it.sim.gate.month_calls

    asyncio.run(act())


def test_a_call_that_never_left_is_not_counted() -> None:
    async def act() -> None:
        async with scene() as it:
            asked = await message(it)
            await it.channel.card(asked, OWN).open()  # the token is there
            await it.channel.leave()
            await it.sim.close()
            with pytest.raises(errors.DingTalkBusy):
                await it.channel.card(asked, OWN, 1).open()
            assert it.spent == {"dingcorp1": 1}

    asyncio.run(act())


def test_a_call_that_is_cancelled_under_way_is_counted_and_frees_its_place() -> None:
    async def act() -> None:
        async with scene(qps=lambda: 1, times=replace(QUICK, window=0.01)) as it:
            asked = await message(it)
            it.sim.faults.next("create_and_deliver", "hang")
            opening = asyncio.create_task(it.channel.card(asked, OWN).open())
            await it.until(lambda: it.sim.gate.month_calls["dingcorp1"])
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            await it.channel.card(asked, OWN, 1).open()
            assert it.spent == {"dingcorp1": 2}

    asyncio.run(act())


def test_half_a_surrogate_pair_does_not_cost_the_answer() -> None:
    async def act() -> None:
        async with scene() as it:
            card = it.channel.card(await message(it), OWN)
            await card.open()
            await card.finish("good \ud83d end", "guid")
            assert it.sim.cards[card.id].text == "good ? end"

    asyncio.run(act())


def test_each_api_has_a_rate_of_its_own() -> None:
    async def act() -> None:
        async with scene() as it:
            api = Api(
                client_id=ID,
                client_secret=SECRET,
                openapi=it.sim.url + "/",
                qps=lambda: 1,
                spend=lambda _: None,
                times=replace(QUICK, window=60.0, in_flight=60.0),
            )
            body = {"outTrackId": "none"}
            try:
                for path in ("/v1.0/card/streaming", "/v1.0/card/instances"):
                    with pytest.raises(errors.DingTalkError):
                        await asyncio.wait_for(
                            api.call("PUT", path, body, rank=Rank.UPDATE, corp_id="c"), 2
                        )
            finally:
                await api.aclose()

    asyncio.run(act())
