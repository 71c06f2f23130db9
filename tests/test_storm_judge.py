"""The storm's judge convicts: each wrong that it counts, made by hand on a world of its own."""

import hashlib
import random
import time
from collections.abc import Callable

import pytest

from dod.sim.dify.run import Asked, Outcome
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.world import Ack, Push, SimCard, SimChat, SimEvent, SimMessage, SimReply
from dod.texts import Tongue, say
from tests.storm import plan, report
from tests.storm.answers import pieces, question, token_of
from tests.storm.cast import assemble
from tests.storm.journal import Journal
from tests.storm.judge import FAULTS, Judge, Verdict
from tests.storm.leaks import Ears
from tests.storm.records import Records
from tests.storm.storm import Outcome as StormOutcome
from tests.storm.storm import Weather


class World:
    """One bot, one person, and whatever a test lets be seen."""

    def __init__(self) -> None:
        self.dingtalk, self.dify = SimDingTalk(), SimDify()
        self.cast = assemble(random.Random(1), self.dingtalk, self.dify, people=12)
        self.records = Records(self.dingtalk)
        self.requests: list[Asked] = []
        self.bot = self.cast.bots[0]
        self.app = self.dingtalk.apps[self.bot.client_id]
        self.person = self.cast.spots[0].person
        self.chat = self.dingtalk.single(self.bot.client_id, self.person)

    def verdict(self) -> Verdict:
        return Judge(self.cast, self.records, self.requests).verdict()

    def message(self, number: int = 1, *, acked: bool = True) -> SimMessage:
        now = time.monotonic()
        message = SimMessage(
            *(f"msg{number}", self.app, self.chat, self.person, question(number), "text", {}),
            frame_id=f"frame{number}",
            said_at=now,
        )
        message.pushes.append(Push("link", now))
        if acked:
            message.acks.append(Ack("link", now + 0.001, 200))
        self.dingtalk.world.tell(SimEvent("message", message))
        return message

    def card(
        self, message: SimMessage, text: str, *, ended: bool = True, chat: SimChat | None = None
    ) -> SimCard:
        name = f"{self.app.client_id}\0{message.id}\0" + "0"
        card_id = hashlib.sha256(name.encode()).hexdigest()[:32]
        template = self.dingtalk.world.templates["8aebdfb9-28f4-4a98-98f5-396c3dde41a0.schema"]
        card = SimCard(card_id, self.app, template, {}, frozenset(), chat=chat or self.chat)
        card.stream("content", text, full=True)
        if ended:
            card.end(failed=False, switches=self.dingtalk.switches)
        card.record("finalize")
        self.dingtalk.world.tell(SimEvent("card", card))
        return card

    def reply(self, message: SimMessage, text: str, chat: SimChat | None = None) -> None:
        reply = SimReply(self.app, chat or self.chat, "webhook", "markdown", text, {}, msg=message)
        self.dingtalk.world.tell(SimEvent("reply", reply))

    def asked(
        self, message: SimMessage, *, user: str = "", before: str = "", now: str = "c1",
        outcome: Outcome = "complete",
    ) -> Asked:  # fmt: skip
        person = self.person.staff_id or self.person.sender_id
        asked = Asked(self.bot.dify_key, "/chat-messages", user or person, message.text)
        asked.conversation_id, asked.answered_in, asked.tokens = before, now, 9
        asked.end(outcome)
        self.requests.append(asked)
        return asked


def whole(message: SimMessage) -> str:
    return "".join(pieces(token_of(message.text)))


def right(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.card(message, whole(message))


def lost(world: World) -> None:
    world.message()


def doubled(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.card(message, whole(message))
    world.reply(message, whole(message))


def ends_twice(world: World) -> None:
    message = world.message()
    world.card(message, say("failed", "zh", reason=say("dify_cut", "zh")))
    world.reply(message, say("failed", "zh", reason=say("restarted", "zh")))


def asked_twice(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.asked(message, before="c1")
    world.card(message, whole(message))


def elsewhere(world: World) -> None:
    message = world.message()
    world.asked(message)
    other = world.dingtalk.single(world.bot.client_id, world.cast.spots[2].person)
    world.reply(message, whole(message))
    world.card(message, say("failed", "zh", reason="x"), chat=other)


def foreign(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.card(message, whole(message) + " Q999999:0001")


def as_another(world: World) -> None:
    message = world.message()
    world.asked(message, user="somebody-else")
    world.card(message, whole(message))


def overtaken(world: World) -> None:
    first, second = world.message(1), world.message(2)
    second.pushes[0] = Push("link", first.acks[0].at + 1)
    second.acks[0] = Ack("link", first.acks[0].at + 2, 200)
    world.asked(second)
    world.asked(first, before="c1").at += 1
    for message in (first, second):
        world.card(message, whole(message))


def cut(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.card(message, "".join(pieces(token_of(message.text))[:2]))


def cut_at_the_end(world: World) -> None:
    message = world.message()
    world.asked(message, outcome="broken")
    world.card(message, whole(message))


def invented(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.card(message, whole(message) + "and so on")


def spinning(world: World) -> None:
    message = world.message()
    world.asked(message)
    world.reply(message, whole(message))
    world.card(message, whole(message)[:30], ended=False)


def forgotten(world: World) -> None:
    for number, conversation in ((1, "c1"), (2, "c2")):
        message = world.message(number)
        world.asked(message, now=conversation)
        world.card(message, whole(message))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lost, "lost"),
        (doubled, "doubled"),
        (ends_twice, "doubled"),
        (asked_twice, "asked twice"),
        (elsewhere, "wrong conversation"),
        (foreign, "wrong conversation"),
        (as_another, "wrong conversation"),
        (overtaken, "out of order"),
        (cut, "cut without saying so"),
        (cut_at_the_end, "cut without saying so"),
        (invented, "not Dify's text"),
        (spinning, "cards spinning"),
        (forgotten, "conversation forgotten by dod"),
    ],
)
def test_each_wrong_is_counted(wrong: Callable[[World], None], word: str) -> None:
    world = World()
    wrong(world)
    verdict = world.verdict()
    assert verdict.counts[word] >= 1, verdict.cases
    assert word in FAULTS
    assert not verdict.clean


def test_what_is_right_is_not_counted() -> None:
    world = World()
    right(world)
    unheard = world.message(7, acked=False)
    cut_off = world.message(8)
    world.asked(cut_off, before="c1", outcome="broken")
    reason = say("dify_cut", "en")
    text = whole(cut_off)[:40] + "\n\n" + say("cut_off", "en", reason=reason)
    world.card(cut_off, text)
    verdict = world.verdict()
    assert verdict.clean, verdict.cases
    assert verdict.facts["answered whole"] == 1
    assert verdict.facts["ended with a sentence"] == 1
    assert verdict.facts["pushed, never acknowledged"] == 1
    assert not unheard.acks


@pytest.mark.parametrize("key", ["waiting", "dify_retrying"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_passing_notice_is_no_end(key: str, lang: Tongue) -> None:
    world = World()
    message = world.message()
    world.asked(message)
    world.reply(message, say(key, lang))
    world.reply(message, whole(message))
    verdict = world.verdict()
    assert verdict.clean, verdict.cases
    assert verdict.facts["answered whole"] == 1


def test_a_notice_alone_is_no_answer() -> None:
    world = World()
    world.reply(world.message(), say("dify_retrying", "zh"))
    assert world.verdict().counts["lost"] == 1


def test_the_mention_of_the_asker_belongs_to_no_text() -> None:
    world = World()
    message = world.message()
    world.asked(message)
    world.reply(message, f"{whole(message)}\n\n@{world.person.staff_id}")
    assert world.person.staff_id
    assert world.verdict().clean, world.verdict().cases
    other = world.message(2)
    world.asked(other, before="c1")
    world.reply(other, f"{whole(other)}\n\n@somebody-else")
    assert world.verdict().counts["not Dify's text"] == 1


def test_a_secret_is_heard_wherever_it_stands() -> None:
    ears = Ears()
    ears.hear("log", b"connecting with dingsecret-ding-00-a-000-0123456789 now")
    ears.hear("page /", b'{"ticket": "0f0e0d0c-0000-4000-8000-000000000001"}')
    known = {"dingsecret-ding-00-a-000-0123456789", "0f0e0d0c-0000-4000-8000-000000000001"}
    told = list(ears.told(known | {"app-00xxxxxxxxxxxx"}))
    assert len(told) == 2
    assert not any(secret in line for secret in known for line in told)


def test_a_storm_can_be_had_again() -> None:
    once, again = (plan.faults(5, 60, every=0.5, bots=20) for _ in range(2))
    assert once == again != plan.faults(6, 60, every=0.5, bots=20)
    assert plan.talk(5, 60, rate=3, spots=400) == plan.talk(5, 60, rate=3, spots=400)
    assert not any(event.fault in plan.RESTARTS for event in plan.faults(
        5, 600, every=0.5, bots=20, without=plan.RESTARTS
    ))  # fmt: skip


def test_tables_go_between_their_markers() -> None:
    verdict = Verdict()
    verdict.against("lost", "one")
    outcome = StormOutcome(verdict, {"dod: kill -9": 2}, 3.0, 0, 60.0)
    runs = [(Weather(4, 60), outcome)]
    assert "| **lost** | 1 |" in report.counted(runs)
    assert "| dod: kill -9 | 2 |" in report.injected(runs)
    page = "a\n<!-- storm: begin -->\nold\n<!-- storm: end -->\nb"
    written = report.between(page, "storm", "new")
    assert written == "a\n<!-- storm: begin -->\nnew\n<!-- storm: end -->\nb"
    with pytest.raises(ValueError, match="no markers"):
        report.between(page, "soak", "new")


def test_the_journal_counts_what_was_made(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(file)
    journal.made("dod: kill -9", detail="1")
    journal.close()
    assert journal.done["dod: kill -9"] == 1
    assert '"fault": "dod: kill -9"' in file.read_text("utf-8")
