"""Many texts in, few updates out."""

import asyncio
from collections.abc import Sequence

from dod.bridge.claim import Claim
from dod.bridge.pages import longest, pages
from dod.bridge.room import Room
from dod.bridge.typewriter import Typewriter
from dod.errors import ContentTooLong, DingTalkBusy, ScopeMissing, Throttled
from tests.fakes import FakeCard, FakeChannel, MemoryStore
from tests.plain import plain
from tests.scene import SPEC, message


class Desk:
    """A typewriter with fake cards."""

    def __init__(
        self,
        pace: str = "smooth",
        max_bytes: int = 9000,
        most_cards: int = 0,
        file: str = "",
        existing: int = 0,
    ) -> None:
        self.channel = FakeChannel()
        self.opened: list[int] = []
        self.known: list[str] = []  # the text that goes with each opening
        self.text = ""
        self.shown: list[str] = []
        self.ends: list[int] = []
        self.handed_over: list[str] = []
        self.file = file
        self.writer = Typewriter(
            self.card,
            pace,  # type: ignore[arg-type]
            source=lambda: self.text,
            existing=existing,
            on_opening=self.opening,
            on_shown=self.shown.append,
            retries=(0.001, 0.001),
            hand_over=self.hand_over,
            room=Room(max_bytes, most_cards),
        )

    def card(self, number: int) -> FakeCard:
        return self.channel.card(message(1), SPEC.card_style, number)

    async def opening(self, count: int, text: str, ends: Sequence[int]) -> None:
        self.opened.append(count)
        self.known.append(text)
        self.ends = [*ends]

    async def hand_over(self, text: str, start: int) -> str:
        self.handed_over.append(text[start:])
        return self.file

    def show(self, text: str) -> None:
        self.text = text
        self.writer.touch()

    async def until_shown(self, text: str) -> None:
        async with asyncio.timeout(5):
            while text not in self.shown:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


def test_one_update_is_in_flight_and_the_newest_text_wins() -> None:
    async def scenario() -> None:
        desk = Desk()
        gate = desk.card(0).gate = asyncio.Event()
        desk.writer.begin()
        for text in ("a", "ab", "abc"):
            desk.show(text)
            await asyncio.sleep(0.001)
        gate.set()
        await desk.until_shown("abc")
        assert desk.card(0).frames == [("open", ""), ("update", "abc")]
        assert await desk.writer.close("abcd", "g", failed=False) == "landed"
        assert desk.card(0).frames[-1] == ("finish", "abcd")

    asyncio.run(scenario())


def test_an_update_that_waits_for_its_turn_shows_the_newest_text() -> None:
    async def scenario() -> None:
        desk = Desk()
        queue = desk.card(0).queue = asyncio.Event()
        desk.writer.begin()
        desk.show("old")
        await asyncio.sleep(0.01)
        desk.show("new")
        queue.set()
        await desk.until_shown("new")
        assert [text for _, text in desk.card(0).frames] == ["", "new"]
        assert await desk.writer.close("new", "g", failed=False) == "landed"

    asyncio.run(scenario())


def test_the_last_frame_does_not_queue_behind_an_update() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.card(0).queue = asyncio.Event()  # never its turn
        desk.writer.begin()
        desk.show("old")
        await asyncio.sleep(0.01)
        assert await desk.writer.close("whole", "g", failed=False) == "landed"
        assert [text for _, text in desk.card(0).frames] == ["", "whole"]

    asyncio.run(scenario())


def test_the_last_frame_waits_for_the_update_on_the_wire() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.writer.begin()
        desk.show("first")
        await desk.until_shown("first")
        gate = desk.card(0).gate = asyncio.Event()
        desk.show("second")
        await asyncio.sleep(0.45)  # the smooth pace: the second update is on the wire now
        closing = asyncio.create_task(desk.writer.close("whole", "g", failed=False))
        await asyncio.sleep(0.01)
        assert not closing.done()
        gate.set()
        assert await closing == "landed"
        assert [text for _, text in desk.card(0).frames] == ["", "first", "second", "whole"]

    asyncio.run(scenario())


def test_a_pace_without_updates_still_lands_the_last_frame() -> None:
    async def scenario() -> None:
        desk = Desk("final")
        desk.writer.begin()
        desk.show("never shown")
        await asyncio.sleep(0.02)
        assert await desk.writer.close("whole", "g", failed=False) == "landed"
        assert desk.card(0).frames == [("open", ""), ("finish", "whole")]

    asyncio.run(scenario())


def test_a_notice_gives_way_to_text_and_costs_no_pace() -> None:
    async def scenario() -> None:
        desk = Desk("balanced")
        desk.writer.begin()
        desk.writer.notice("place 2")
        await desk.until_shown("place 2")
        desk.show("text")
        await desk.until_shown("text")
        desk.writer.notice("too late")
        assert await desk.writer.close("text", "g", failed=False) == "landed"
        assert [text for _, text in desk.card(0).frames] == ["", "place 2", "text", "text"]

    asyncio.run(scenario())


def test_an_update_that_comes_back_late_does_not_take_the_whole_text_back() -> None:
    async def scenario() -> None:
        claim = Claim("ding", message(1), MemoryStore())
        await claim.asked(cards=1)
        await claim.finishing("whole", "g", failed=False)
        claim.shown("wh")
        assert claim.text == "whole"

    asyncio.run(scenario())


def test_empty_texts_are_never_sent() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.writer.begin()
        desk.show("")
        desk.show("  \n")
        await asyncio.sleep(0.02)
        assert await desk.writer.close("x", "g", failed=False) == "landed"
        assert desk.card(0).frames == [("open", ""), ("finish", "x")]

    asyncio.run(scenario())


def test_throttled_updates_are_dropped_and_the_end_is_not() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.channel.faults.on("update", 0, Throttled())
        desk.channel.faults.on("finish", 1, Throttled())
        desk.channel.faults.on("finish", 2, DingTalkBusy())
        desk.writer.begin()
        desk.show("text")
        await asyncio.sleep(0.02)
        assert await desk.writer.close("whole", "g", failed=False) == "landed"
        assert desk.card(0).shown == "whole"

    asyncio.run(scenario())


def test_a_card_that_refuses_the_text_is_left_to_a_reply() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.channel.faults.on("update", 0, ContentTooLong())
        desk.channel.faults.on("finish", 0, ContentTooLong())
        desk.writer.begin()
        desk.show("text")
        assert await desk.writer.close("whole", "g", failed=False) == "open"

    asyncio.run(scenario())


def test_cards_are_recorded_before_they_are_made() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=100)
        desk.channel.faults.on("open", 2, DingTalkBusy())
        desk.writer.begin()
        text = "word " * 60
        assert await desk.writer.close(text, "g", failed=False) == "landed"
        assert desk.opened == [1, *range(2, len(pages(text, 100)) + 1)]

    asyncio.run(scenario())


def test_a_second_card_that_cannot_be_made_leaves_only_the_rest_to_a_reply() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=100)
        desk.channel.faults.on("open", 2, ScopeMissing())
        desk.writer.begin()
        text = "word " * 30
        assert await desk.writer.close(text, "g", failed=False) == "none"
        assert desk.card(0).ended
        assert desk.card(0).shown + desk.writer.rest(text) == text

    asyncio.run(scenario())


def test_the_text_is_asked_for_once_an_update_and_not_once_a_token() -> None:
    async def scenario() -> None:
        desk = Desk("balanced")
        asked = 0

        def source() -> str:
            nonlocal asked
            asked += 1
            return "text"

        desk.writer._source = source
        desk.writer.begin()
        for _ in range(500):
            desk.writer.touch()
            await asyncio.sleep(0)
        await desk.until_shown("text")
        assert asked < 20
        await desk.writer.close("text", "g", failed=False)

    asyncio.run(scenario())


def test_a_real_limit_that_is_lower_is_learned_and_nothing_is_lost() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=9000)
        desk.channel.takes = desk.card(0).takes = 2500  # bytes
        desk.writer.begin()
        text = "".join(f"第 {n} 段，写了一些话。\n\n" for n in range(300)) + "end"
        for end in range(100, len(text), 100):
            desk.show(text[:end])
            await asyncio.sleep(0.001)
        assert await desk.writer.close(text, "g", failed=False) == "landed"
        cards = [*desk.channel.cards.values()]
        assert plain([card.shown for card in cards], longest(2500)) == text
        assert all(len(shown.encode()) <= 2500 for card in cards for _, shown in card.frames)
        assert all(card.ended for card in cards)

    asyncio.run(scenario())


def test_a_limit_that_refuses_everything_is_left_to_a_reply() -> None:
    async def scenario() -> None:
        desk = Desk()
        desk.channel.faults.on("finish", 0, ContentTooLong())
        desk.writer.begin()
        text = "word " * 3000
        assert await desk.writer.close(text, "g", failed=False) == "open"
        assert desk.writer.rest(text) == text

    asyncio.run(scenario())


def test_the_rest_goes_as_a_file_after_so_many_cards() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=1000, most_cards=2, file="see the file")
        desk.writer.begin()
        text = "".join(f"Line {n}\n" for n in range(600))
        desk.show(text)
        assert await desk.writer.close(text, "g", failed=False) == "landed"
        first, second = (card.shown for card in desk.channel.cards.values())
        assert second.endswith("\n\nsee the file")
        shown = [first, second.removesuffix("\n\nsee the file")]
        assert plain(shown, longest(1000)) + desk.handed_over[0] == text
        assert all(len(each.encode()) <= 1000 for each in (first, second))

    asyncio.run(scenario())


def test_a_file_that_cannot_be_sent_leaves_the_rest_to_cards() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=1000, most_cards=2, file="")
        desk.writer.begin()
        text = "".join(f"Line {n}\n" for n in range(600))
        assert await desk.writer.close(text, "g", failed=False) == "landed"
        shown = [card.shown for card in desk.channel.cards.values()]
        assert len(shown) > 2
        assert plain(shown, longest(1000)) == text

    asyncio.run(scenario())


def test_a_crash_goes_on_where_the_cards_ended() -> None:
    async def scenario() -> None:
        text = "".join(f"Line {n}\n" for n in range(600))
        desk = Desk(max_bytes=1000)
        desk.writer.begin()
        desk.show(text[:2500])
        await desk.until_shown(text[:2500])
        desk.writer.abandon()
        after = Desk(max_bytes=1000)
        after.channel = desk.channel
        after.writer.resume(len(desk.ends), desk.ends)
        assert await after.writer.close(text, "g", failed=False) == "landed"
        shown = [card.shown for card in desk.channel.cards.values()]
        assert plain(shown, longest(1000)) == text

    asyncio.run(scenario())


def test_a_replaced_text_begins_on_the_card_under_way() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=1000)
        desk.writer.begin()
        text = "word " * 300
        desk.show(text)
        await desk.until_shown(text)
        desk.channel.faults.on("withdraw", 1, DingTalkBusy())
        desk.writer.replaced("(withdrawn)")
        desk.show("Another.")
        assert await desk.writer.close("Another.", "g", failed=False) == "landed"
        assert desk.card(1).shown == "Another."
        assert desk.card(0).withdrawn == "(withdrawn)"

    asyncio.run(scenario())


def test_an_update_that_would_change_nothing_is_not_sent() -> None:
    async def scenario() -> None:
        desk = Desk(max_bytes=1000, most_cards=1, file="see the file")
        desk.writer.begin()
        desk.show("word " * 300)
        await desk.until_shown("word " * 300)
        desk.show("word " * 400)
        await asyncio.sleep(0.45)
        await desk.writer.close("word " * 400, "g", failed=False)
        assert [kind for kind, _ in desk.card(0).frames] == ["open", "update", "finish"]

    asyncio.run(scenario())


def test_a_refused_creation_does_not_deny_a_card_of_an_earlier_process() -> None:
    """Killed while its person waited: the card is there, whatever is said to making it again."""

    async def scenario() -> None:
        for existing, ending in ((0, "none"), (1, "landed")):
            desk = Desk(existing=existing)
            desk.channel.faults.on("open", 1, ScopeMissing("no Card.Instance.Write"))
            desk.writer.begin()
            assert await desk.writer.close("text", "g", failed=False) == ending

    asyncio.run(scenario())


def test_what_is_kept_of_a_long_answer_is_cut_again_where_it_was_cut() -> None:
    """Found by the storm: parts joined lack the line ends that were trimmed between them."""

    async def scenario() -> None:
        desk = Desk(max_bytes=100)
        text = "\n\n".join(f"{number:02d} " + "word " * 8 for number in range(9))
        desk.writer.begin()
        await desk.writer.close(text, "g", failed=False)
        assert desk.known == ["", *[text] * (len(desk.known) - 1)]
        assert len(desk.known) > 2

    asyncio.run(scenario())
