"""Pictures and files in an answer, by the rules alone: fakes at the ports."""

import asyncio
import re

import pytest

from dod.bridge import links, pictures
from dod.errors import DingTalkBusy, FileNotTaken
from dod.messages import AnswerFile, Finished, Started, TextDelta, TextReplaced
from dod.texts import say
from tests.fakes import Step
from tests.scene import SPEC, Scene, message, play
from tests.test_bot import MARKDOWN

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 10
FILES = {
    "/files/tools/a.png?sign=1": PNG,
    "http://10.0.0.9/b.jpg": b"\xff\xd8\xffjpeg",
    "/files/tools/report.pdf?sign=2": b"%PDF-1.7",
    "/files/tools/list.csv?sign=3": b"a,b",
    "/files/tools/empty.png?sign=4": b"",
    "/files/tools/draw.svg?sign=5": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


def scene(*steps: Step, markdown: bool = False) -> Scene:
    script = (Started("t", "c"), *steps, Finished())
    made = Scene(script, spec=MARKDOWN if markdown else SPEC)
    made.app.files = dict(FILES)
    return made


def final(it: Scene) -> str:
    return it.card(1).shown


def test_a_picture_in_the_text_is_shown_by_its_media_id() -> None:
    text = "Look:\n\n![a chart](/files/tools/a.png?sign=1)\n\nand so on"
    it = play(scene(TextDelta(text)), message(1))
    assert final(it) == "Look:\n\n![a chart](@0)\n\nand so on"
    assert it.channel.uploads == [("a.png", PNG)]
    assert "sign=" not in str(it.card(1).frames), "no link of Dify's is ever shown"


def test_the_markdown_handler_shows_it_too() -> None:
    it = play(scene(TextDelta("![x](/files/tools/a.png?sign=1)"), markdown=True), message(1))
    assert it.channel.replies == [("msg-1", "![x](@0)")]


def test_a_file_beside_the_text_stands_below_it_once() -> None:
    address = "/files/tools/a.png?sign=1"
    again = AnswerFile("/files/tools/a.png?sign=other", "image", "a.png")
    it = play(scene(TextDelta("Here."), AnswerFile(address, "image"), again), message(1))
    assert final(it) == "Here.\n\n![a.png](@0)"
    linked = play(scene(TextDelta(f"![x]({address})"), AnswerFile(address, "image")), message(1))
    assert final(linked) == "![x](@0)"
    assert len(linked.channel.uploads) == 1


def test_a_picture_alone_is_an_answer() -> None:
    it = play(scene(AnswerFile("/files/tools/a.png?sign=1", "image")), message(1))
    assert final(it) == "![a.png](@0)"


@pytest.mark.parametrize(("ext", "name"), [("png", "picture.png"), ("pdf", "file.pdf")])
def test_an_id_is_no_name_for_a_person(ext: str, name: str) -> None:
    address = f"/files/tools/0b44295b-a4dd-42a9-bb72-76a3f7f77c27.{ext}?sign=1"
    it = scene(AnswerFile(address, "image"))
    it.app.files[address] = PNG if ext == "png" else b"%PDF-1.7"
    assert name in final(play(it, message(1)))
    assert "0b44295b" not in final(it)


def test_the_bytes_decide_what_a_file_is() -> None:
    it = scene(AnswerFile("/files/tools/x?sign=9", "image", "chart.webp"))
    it.app.files["/files/tools/x?sign=9"] = PNG
    assert final(play(it, message(1))) == "![chart.png](@0)"


def test_what_is_no_picture_comes_as_a_message_of_its_own() -> None:
    it = play(scene(TextDelta("Done."), AnswerFile("/files/tools/report.pdf?sign=2")), message(1))
    assert final(it) == f"Done.\n\n（{say('file_below', 'en', name='report.pdf')}）"
    assert it.channel.files == [("msg-1", "report.pdf", b"%PDF-1.7")]
    link = "[the report](/files/tools/report.pdf?sign=2)"
    linked = play(scene(TextDelta(link)), message(1))
    assert "sign=" not in final(linked)
    assert len(linked.channel.files) == 1


@pytest.mark.parametrize(
    ("address", "key", "name"),
    [
        ("/files/tools/gone.png?sign=0", "picture_gone", "gone.png"),
        ("/files/tools/empty.png?sign=4", "picture_empty", "empty.png"),
        ("/files/tools/draw.svg?sign=5", "picture_type", "draw.svg"),
        ("/files/tools/list.csv?sign=3", "picture_type", "list.csv"),
    ],
)
def test_what_cannot_be_had_leaves_a_line_with_its_name(address: str, key: str, name: str) -> None:
    it = play(scene(TextDelta("Text. "), AnswerFile(address, "image")), message(1))
    assert final(it) == f"Text. \n\n（{say(key, 'en', name=name)}）"
    assert it.card(1).frames[-1][0] == "finish"


def test_a_forbidden_address_is_not_asked_and_not_shown() -> None:
    it = scene(TextDelta("![router](http://192.168.1.1/cgi)"))
    it.app.faults.on("fetch", 1, FileNotTaken("inside", key="picture_address"))
    assert final(play(it, message(1))) == f"（{say('picture_address', 'en', name='router')}）"


def test_more_bytes_than_dingtalk_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 20)
    it = play(scene(AnswerFile("/files/tools/a.png?sign=1")), message(1))
    assert say("picture_too_large", "en", name="a.png") in final(it)
    assert it.channel.uploads == []


def test_a_dingtalk_that_is_busy_costs_the_picture_not_the_text() -> None:
    it = scene(TextDelta("Text. ![x](/files/tools/a.png?sign=1)"))
    it.channel.faults.on("upload", 0, DingTalkBusy("down"))
    assert final(play(it, message(1))).startswith("Text. （")


def test_five_hundred_pictures_cost_twenty_calls() -> None:
    it = scene(TextDelta("".join(f"![n{n}](/files/tools/{n}.png?s=1)\n" for n in range(500))))
    it.app.files = {f"/files/tools/{n}.png?s=1": PNG for n in range(500)}
    play(it, message(1))
    assert len(it.channel.uploads) == pictures.MOST
    whole = "".join(card.shown for card in it.channel.cards.values())
    assert say("picture_too_many", "en", name="n499") in whole


def test_public_pictures_and_code_stay_as_they_are() -> None:
    text = (
        "![p](https://public.example/x.png) `![c](/files/a.png)`\n\n"
        "```md\n![d](/files/tools/a.png?sign=1)\n```\n\n[wiki](http://wiki.office/page) ![m](@it)"
    )
    it = play(scene(TextDelta(text)), message(1))
    assert final(it) == text
    assert it.app.fetched == []


def test_nothing_half_written_is_ever_shown() -> None:
    text = "Look ![a chart](/files/tools/a.png?sign=1) and [a link](https://x.example/y) end"
    it = scene(*(TextDelta(char) for char in text), 0.05)
    play(it, message(1))
    for _, shown in it.card(1).frames:
        assert "/files" not in shown
        assert not re.search(r"!\[[^\]]*\]?\(?[^)]*\Z", shown)
    assert final(it) == "Look ![a chart](@0) and [a link](https://x.example/y) end"


def test_stop_does_not_wait_for_a_picture() -> None:
    async def act() -> Scene:
        it = scene(TextDelta("Text ![x](/files/tools/slow.png?sign=1)"))
        gate = asyncio.Event()
        it.app.fetch_gate = gate
        async with it.running():
            await it.say(message(1))
            await it.until(lambda: it.app.waiting_fetches > 0)
            await it.say(message(2, "/stop"))
        return it

    it = asyncio.run(act())
    assert say("stopped", "en") in final(it)
    assert say("picture_gone", "en", name="x") in final(it)


def test_moderation_withdraws_pictures_with_the_text() -> None:
    steps = (TextDelta("![x](/files/tools/a.png?sign=1)"), TextReplaced("Withdrawn."))
    assert final(play(scene(*steps), message(1))) == "Withdrawn."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![报告[1].png](/files/tools/a.png?sign=1)", "![报告[1].png](@0)"),
        ("![a](</files/tools/a.png?sign=1>)", "![a](@0)"),
        ('![a](/files/tools/a.png?sign=1 "a (title)")', "![a](@0)"),
        ("[![a](/files/tools/a.png?sign=1)](https://x.example)", "[![a](@0)](https://x.example)"),
        ("![a](/files/x_(1).png?sign=1) end", "![a](@0) end"),
        ("see /files/tools/a.png?sign=1 there", f"see （{say('address_hidden', 'en')}） there"),
    ],
)
def test_addresses_in_odd_forms(text: str, shown: str) -> None:
    it = scene(TextDelta(text))
    it.app.files["/files/x_(1).png?sign=1"] = PNG
    assert final(play(it, message(1))) == shown


def test_pictures_that_differ_by_their_query_are_two() -> None:
    it = scene(TextDelta("![a](http://10.0.0.5/p?id=1&sign=S) ![b](http://10.0.0.5/p?id=2&sign=S)"))
    it.app.files = {f"http://10.0.0.5/p?id={n}&sign=S": PNG for n in (1, 2)}
    play(it, message(1))
    assert sorted(it.app.fetched) == sorted(it.app.files)
    assert "(@0)" in final(it)
    assert "(@1)" in final(it)


@pytest.mark.timeout(30)  # what grows with the square of the length takes minutes
@pytest.mark.parametrize(
    "evil",
    [
        *("`" * 20_000, "![" * 20_000, "![](" * 20_000, "](" * 20_000, "```\n" * 9_999),
        *("[" * 40_000, "`" * 250_000 + "[a](b)", "~" * 250_000 + "[a](b)"),
    ],
)
def test_no_text_is_slow(evil: str) -> None:
    for found in links.links(evil):
        assert found
    assert links.unfinished(evil) <= len(evil)


def test_a_full_card_waits_for_its_pictures() -> None:
    """What comes into a text after its card has ended shifts what stands on the next one."""
    words = "\n\n".join(f"P{n}: " + " ".join(f"w{n}.{k}" for k in range(20)) for n in range(20))
    gate = asyncio.Event()

    async def act() -> Scene:
        it = scene(TextDelta(f"![x](/files/tools/a.png?sign=1)\n\n{words}"), gate)
        it.bot._servings.newest.room.max_bytes = 1500
        it.app.fetch_gate = asyncio.Event()
        async with it.running():
            await it.say(message(1))
            await it.until(lambda: "w9.19" in it.card(1).shown)
            it.app.fetch_gate.set()
            await it.until(lambda: "w15.1" in it.card(1, 1).shown)
            gate.set()
        return it

    it = asyncio.run(act())
    first, second = it.card(1).shown, it.card(1, 1).shown
    assert first.startswith("![x](@0)\n\nP0:")
    assert (first + second).split() == f"![x](@0) {words}".split()
