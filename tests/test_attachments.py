"""What people send beside text, by the rules alone: fakes at the ports."""

import asyncio
from dataclasses import replace

import pytest

from dod.bridge.claim import Claim
from dod.bridge.claims import Claims
from dod.bridge.pairing import Pairing
from dod.config.spec import Limits
from dod.errors import DifyError, DingTalkBusy, FileNotTaken
from dod.messages import (
    Abilities,
    Attachment,
    ConversationKey,
    FileField,
    FileRule,
    Message,
    UploadedFile,
)
from dod.texts import say
from tests.fakes import MemoryStore
from tests.scene import ANN, BOB, GROUP, HELLO, NOW, SINGLE, SPEC, Scene, message, play

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 10
PDF = b"%PDF-1.7\n" + b"paper" * 10
PICTURE = Attachment("picture", "code-png")
OTHER = Attachment("picture", "code-other")
PAPER = Attachment("file", "code-pdf", "报告.pdf")
VOICE = Attachment("audio", "code-amr")
SEES = Abilities(files=FileRule(frozenset({"image"}), most=3), sizes={"image": 1000})
READS = Abilities(files=FileRule(frozenset({"image", "document"}), most=3))
AT_ONCE = replace(SPEC, image_wait_seconds=0)


def sent(number: int, *attachments: Attachment, text: str = "", **more: object) -> Message:
    kind = "text" if text else attachments[0].kind
    return message(number, text, kind=kind, attachments=attachments, **more)


def scene(can: Abilities = SEES, *, wait: int = 0, count: int = 1) -> Scene:
    made = Scene(*[HELLO] * count, spec=replace(SPEC, image_wait_seconds=wait))
    made.channel.brought = {
        "code-png": PNG,
        "code-other": PNG,
        "code-pdf": PDF,
        "code-amr": b"#!AMR\nvoice",
        "code-empty": b"",
        "code-odd": b"<html>not a picture</html>",
    }
    made.app.can = can
    return made


def card_text(it: Scene, number: int) -> str:
    return it.card(number).shown


# -- taken


def test_a_picture_with_its_question_reaches_the_app() -> None:
    it = play(scene(), sent(1, PICTURE, text="What is this?"))
    (question,) = it.app.questions
    assert question.text == "What is this?"
    assert question.files == (UploadedFile("image", "upload-1"),)
    assert it.app.uploads == [("picture.png", "image/png", PNG, "staff-ann")]
    assert card_text(it, 1) == "Hello"


def test_text_alone_asks_the_app_for_nothing_more() -> None:
    it = scene()
    it.app.faults.on("abilities", 0, DifyError("not to be asked"))
    assert card_text(play(it, message(1)), 1) == "Hello"


def test_a_picture_without_a_question_is_asked_with_a_sentence() -> None:
    it = play(scene(), sent(1, PICTURE))
    assert it.app.questions[0].text == say("look_at_this", "zh")
    assert it.app.questions[0].files == (UploadedFile("image", "upload-1"),)


def test_a_file_keeps_its_name_and_gets_its_kind() -> None:
    it = play(scene(READS), sent(1, PAPER, text="Sum it up"))
    assert it.app.questions[0].files == (UploadedFile("document", "upload-1"),)
    assert it.app.uploads[0][:2] == ("报告.pdf", "application/pdf")


@pytest.mark.parametrize(
    ("name", "kept"),
    [("../../etc/passwd.txt", "passwd.txt"), ("a\\b:c?.pdf", "b_c_.pdf"), ("...", "file.pdf")],
)
def test_a_name_with_tricks_becomes_a_plain_one(name: str, kept: str) -> None:
    can = Abilities(files=FileRule(frozenset({"document", "custom"})))
    it = play(scene(can), sent(1, replace(PAPER, name=name), text="Sum it up"))
    if name == "...":  # no extension: no kind that Dify knows
        assert "⚠️" in card_text(it, 1)
    else:
        assert it.app.uploads[0][0] == kept


def test_a_form_gets_its_files_as_variables() -> None:
    images, both = (
        FileRule(frozenset({"image"})),
        FileRule(frozenset({"image", "document"}), most=2),
    )
    fields = (FileField("picture", images), FileField("papers", both, many=True))
    it = scene(Abilities(fields=fields))
    play(it, sent(1, PAPER, PICTURE, replace(PICTURE), text="Compare"))
    question = it.app.questions[0]
    assert question.files == ()
    assert set(question.fields) == {"picture", "papers"}
    assert isinstance(question.fields["picture"], UploadedFile)
    assert question.fields["papers"] == (
        UploadedFile("document", "upload-1"),
        UploadedFile("image", "upload-3"),
    )


def test_a_voice_in_words_is_text_and_no_file() -> None:
    it = play(scene(READS), sent(1, VOICE, text="what DingTalk heard"))
    assert it.app.questions[0].text == "what DingTalk heard"
    assert it.channel.downloads == []


def test_a_voice_without_words_is_heard_by_the_app() -> None:
    it = play(scene(Abilities(hears=True)), sent(1, VOICE))
    assert it.app.questions[0].text == "what was said"
    assert it.app.uploads[0][:2] == ("audio.amr", "audio/amr")


def test_a_voice_in_which_nobody_speaks_is_said() -> None:
    it = scene(Abilities(hears=True))
    it.app.heard = ""
    play(it, sent(1, VOICE))
    assert it.app.questions == []
    assert say("file_not_heard", "zh") in card_text(it, 1)


def test_what_is_quoted_is_context() -> None:
    quoted = replace(PICTURE, quoted=True)
    asked = sent(1, quoted, text="And now?", quote="the old text\nin two lines")
    it = play(scene(), asked)
    assert it.app.questions[0].text == "> the old text\n> in two lines\n\nAnd now?"
    assert it.app.questions[0].files == (UploadedFile("image", "upload-1"),)


# -- not taken: said before asking, and never instead of an answer to the text


@pytest.mark.parametrize(
    ("attachment", "words"),
    [(PICTURE, "图片"), (PAPER, ".pdf"), (VOICE, "语音"), (Attachment("video", "v"), "视频")],
    ids=["picture", "file", "voice", "video"],
)
def test_what_an_app_cannot_read_is_said_without_asking_it(
    attachment: Attachment, words: str
) -> None:
    it = play(scene(Abilities()), sent(1, attachment))
    assert it.app.questions == []
    assert it.channel.downloads == []
    ((_, said),) = it.channel.replies
    assert words in said
    assert not it.card(1).frames, "no card is opened for a refusal"


def test_the_text_is_answered_all_the_same() -> None:
    it = play(scene(Abilities()), sent(1, PICTURE, text="What is two and two?"))
    assert it.app.questions[0].files == ()
    assert card_text(it, 1) == f"⚠️ {say('kind_not_taken', 'en', kind='pictures')}\n\nHello"


@pytest.mark.parametrize(
    ("code", "key"),
    [("code-empty", "file_empty"), ("code-odd", "file_no_picture"), ("code-lost", "file_gone")],
)
def test_each_trouble_with_a_file_has_its_sentence(code: str, key: str) -> None:
    it = play(scene(), sent(1, Attachment("picture", code), text="What is this?"))
    assert say(key, "en", what="pictures") in card_text(it, 1)
    assert card_text(it, 1).endswith("Hello")
    assert len(it.app.questions) == 1


@pytest.mark.parametrize("tells", [True, False], ids=["told", "untold"])
def test_too_large_is_said_with_the_limit(*, tells: bool) -> None:
    it = scene(replace(SEES, sizes={"image": 2 << 20}))
    it.channel.brought["code-big"] = PNG + b"\0" * (2 << 20)
    it.channel.tells_sizes = tells
    play(it, sent(1, Attachment("picture", "code-big"), text="What is this?"))
    assert say("file_too_large", "en", what="pictures", limit=2) in card_text(it, 1)
    assert it.app.uploads == []


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (FileNotTaken("413", key="file_too_large_for_dify"), "file_too_large_for_dify"),
        (FileNotTaken("400"), "file_refused"),
    ],
)
def test_what_dify_refuses_is_said(error: Exception, key: str) -> None:
    it = scene()
    it.app.faults.on("upload", 1, error)
    play(it, sent(1, PICTURE, text="What is this?"))
    assert card_text(it, 1) == f"⚠️ {say(key, 'en', what='pictures')}\n\nHello"


def test_a_dingtalk_that_is_busy_costs_the_file_not_the_answer() -> None:
    it = scene()
    it.channel.faults.on("download", 1, DingTalkBusy("down"))
    play(it, sent(1, PICTURE, text="What is this?"))
    assert say("file_lost", "en", what="pictures") in card_text(it, 1)


def test_a_dify_that_is_down_fails_the_answer_with_its_sentence() -> None:
    it = scene()
    it.app.faults.on("abilities", 0, DifyError("down", key="dify_unreachable"))
    play(it, sent(1, PICTURE))
    assert it.card(1).frames[-1][0] == "fail"
    assert say("dify_unreachable", "zh") in card_text(it, 1)


def test_more_than_an_app_takes_at_a_time_is_said() -> None:
    it = play(scene(), sent(1, *[PICTURE] * 5, text="What are these?"))
    assert len(it.app.questions[0].files) == 3
    assert say("too_many_files", "en", most=3) in card_text(it, 1)


def test_half_an_emoji_in_a_name_costs_nothing() -> None:
    odd = Attachment("file", "code-empty", "a\ud800b.pdf")
    it = play(scene(READS), sent(1, odd, text="Sum it up"))
    assert it.card(1).ended
    assert card_text(it, 1).encode()


def test_a_mistake_of_ours_while_a_picture_waits_is_said() -> None:
    it = scene(wait=600)
    it.app.faults.on("abilities", 1, RuntimeError("a bug"))
    play(it, sent(1, PICTURE))
    assert it.channel.replies == [("msg-1", say("internal", "zh"))]
    assert asyncio.run(it.state(1)) == "done"


# -- a picture waits for its question


def test_a_question_takes_along_the_picture_that_came_before() -> None:
    it = play(scene(wait=600), sent(1, PICTURE), message(2, "What is this?"))
    (question,) = it.app.questions
    assert question.text == "What is this?"
    assert question.files == (UploadedFile("image", "upload-1"),)
    assert asyncio.run(it.state(1)) == asyncio.run(it.state(2)) == "done"


def test_several_pictures_wait_together() -> None:
    it = play(scene(wait=600), sent(1, PICTURE), sent(2, PICTURE), message(3, "Compare"))
    (question,) = it.app.questions
    assert len(question.files) == 2


def test_what_is_refused_meanwhile_does_not_strand_what_waits() -> None:
    it = play(scene(wait=600), sent(1, PICTURE), sent(2, PAPER), message(3, "What is this?"))
    assert [len(question.files) for question in it.app.questions] == [1]
    assert [asyncio.run(it.state(n)) for n in (1, 2, 3)] == ["done"] * 3
    assert [who for who, _ in it.channel.replies] in ([], ["msg-2"])


def limited(wait: int) -> Scene:
    it = scene(wait=wait)
    spec = replace(it.bot.spec, limits=Limits(per_minute=1))
    made = Scene(HELLO, HELLO, spec=spec)
    made.channel.brought, made.app.can = it.channel.brought, it.app.can
    return made


def test_a_question_refused_by_a_limit_and_its_picture_get_one_sentence() -> None:
    it = play(limited(1), message(1), sent(2, PICTURE), message(3, "What is this?"))
    assert len(it.app.questions) == 1
    assert [who for who, _ in it.channel.replies] == ["msg-3"]
    assert [asyncio.run(it.state(n)) for n in (2, 3)] == ["done"] * 2


def test_the_question_asked_again_takes_the_picture_along() -> None:
    async def act() -> Scene:
        it = limited(600)
        async with it.running():
            await it.say(message(1), sent(2, PICTURE), message(3, "What is this?"))
            await it.until(lambda: bool(it.channel.replies))
            it.bot.take(replace(it.bot.spec, limits=Limits()))
            await it.say(message(4, "What is this?"))
        return it

    it = asyncio.run(act())
    assert [len(question.files) for question in it.app.questions] == [0, 1]


def test_a_picture_sent_after_the_refused_question_gets_its_own_sentence() -> None:
    it = limited(1)
    play(it, message(1), sent(2, PICTURE), message(3, "What is this?"), sent(4, OTHER))
    assert [who for who, _ in it.channel.replies] == ["msg-3", "msg-4"]


def test_the_wait_begins_anew_when_the_question_is_refused() -> None:
    """Who is to ask again in so many seconds finds the picture still there."""

    async def act() -> None:
        pairing = Pairing()
        claim = Claim("ding-it", sent(1, PICTURE), MemoryStore())
        owner = (ConversationKey("ding-it", SINGLE.id, ANN.key), ANN.key)
        waiting = pairing.enter(owner, claim)
        wait = asyncio.create_task(pairing.wait(waiting, 0.05))
        await asyncio.sleep(0)
        pairing.refused(owner, 600)
        for _ in range(3):
            await asyncio.sleep(0.02)
        assert not wait.done()
        pairing.close()
        assert await wait is False

    asyncio.run(act())


def test_nobody_elses_question_takes_it() -> None:
    async def act() -> Scene:
        it = scene(wait=600, count=2)
        async with it.running():
            await it.say(sent(1, PICTURE, chat=GROUP))
            await it.say(message(2, "mine", chat=GROUP, sender=BOB))
            await it.until(lambda: it.card(2).ended)
            await it.say(message(3, "and this?", chat=GROUP, sender=ANN))
        return it

    it = asyncio.run(act())
    assert [len(question.files) for question in it.app.questions] == [0, 1]


def test_without_a_question_it_is_asked_alone() -> None:
    it = scene(wait=1)
    play(it, sent(1, PICTURE))
    assert it.app.questions[0].text == say("look_at_this", "zh")


@pytest.mark.parametrize("word", ["/new", "/stop"])
def test_a_command_lets_the_picture_go(word: str) -> None:
    it = play(scene(wait=600), sent(1, PICTURE), message(2, word))
    assert it.app.questions == []
    assert asyncio.run(it.state(1)) == "done"


def test_a_picture_still_waiting_at_the_end_is_left_for_the_next_start() -> None:
    async def act() -> Scene:
        it = scene(wait=600)
        async with it.running():
            await it.say(sent(1, PICTURE))
            await it.until(lambda: bool(it.bot._reception._pairing._waiting))
            it.bot._reception.give_up_waiting()
        return it

    it = asyncio.run(act())
    assert asyncio.run(it.state(1)) == "taken"
    again = scene()
    again.store = it.store
    later = Scene(HELLO, spec=AT_ONCE, store=it.store)
    later.channel.brought, later.app.can = again.channel.brought, SEES
    assert play(later).app.questions[0].files == (UploadedFile("image", "upload-1"),)


async def left(*messages: Message) -> MemoryStore:
    """A store after a crash right after ``messages`` were received."""
    store = MemoryStore()
    claims = Claims("ding-it", store)
    for each in messages:
        assert await claims.take(each) is not None
    return store


def after_crash(*messages: Message, wait: int = 600) -> Scene:
    it = scene(wait=wait)
    it.store = asyncio.run(left(*messages))
    made = Scene(HELLO, HELLO, spec=it.bot.spec, store=it.store)
    made.channel.brought, made.app.can = it.channel.brought, it.app.can
    return made


def test_pictures_that_waited_at_a_crash_go_along_with_the_question_that_follows() -> None:
    async def act() -> Scene:
        it = after
        async with it.running():
            await it.until(lambda: bool(it.bot._reception._pairing._waiting))
            await it.say(sent(3, OTHER), message(4, "Compare"))
        return it

    after = after_crash(sent(1, PICTURE), sent(2, PICTURE))
    it = asyncio.run(act())
    (question,) = it.app.questions
    assert question.text == "Compare"
    assert len(question.files) == 3
    assert [asyncio.run(it.state(n)) for n in (1, 2, 3, 4)] == ["done"] * 4


def test_the_question_left_by_the_same_crash_takes_only_what_came_before_it() -> None:
    it = after_crash(sent(1, PICTURE), message(2, "What is this?"), sent(3, OTHER), wait=1)
    play(it)
    assert [question.text for question in it.app.questions] == [
        "What is this?",
        say("look_at_this", "zh"),
    ]
    assert [len(question.files) for question in it.app.questions] == [1, 1]


def test_pictures_that_waited_at_a_crash_are_asked_together_without_a_question() -> None:
    it = play(after_crash(sent(1, PICTURE), sent(2, OTHER), wait=1))
    (question,) = it.app.questions
    assert len(question.files) == 2


def test_a_picture_that_the_question_has_taken_along_before_the_crash_is_taken_once() -> None:
    """The crash came after the question was rewritten and before the picture was done."""
    it = play(after_crash(sent(1, PICTURE), sent(2, PICTURE, text="What is this?")))
    (question,) = it.app.questions
    assert len(question.files) == 1
    assert asyncio.run(it.state(1)) == "done"


def test_a_picture_that_waited_too_long_ago_is_said_to_be_lost() -> None:
    it = play(after_crash(sent(1, PICTURE, created_at=NOW - 400)))
    assert it.app.questions == []
    assert [who for who, _ in it.channel.replies] == ["msg-1"]
    assert asyncio.run(it.state(1)) == "done"


def test_a_message_with_attachments_survives_the_disk() -> None:
    told = sent(1, PICTURE, PAPER, quote="q", quoted_card=("c",))
    claim = Claim.from_json("id", Claim("id", told, scene().store).to_json(), scene().store)
    assert claim.message == told
