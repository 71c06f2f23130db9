"""Counts what must be 0, from what the simulators saw. Knows nothing of dod but its sentences
and that a card's id is made of client id, msgId and number (design: so that it can be repeated).
"""

import hashlib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from dod.sim.dify.run import Asked
from dod.sim.dingtalk.world import SimCard, SimMessage, SimReply
from dod.texts import SENTENCES
from tests.storm.answers import TOKEN, squeezed, token_of, whole
from tests.storm.cast import Cast
from tests.storm.records import Records

CARDS_MOST = 5  # of one answer
ENDED = {"finished", "failed"}
# What must be 0, in the order of the table.
FAULTS = (
    "lost",
    "doubled",
    "asked twice",
    "wrong conversation",
    "out of order",
    "cut without saying so",
    "not Dify's text",
    "cards spinning",
    "conversation forgotten by dod",
    "deaf bots",
    "secrets in any output",
)


def _pattern(text: str) -> str:
    return re.sub(r"\\\{\w+\\\}", ".{1,60}?", re.escape(squeezed(text)))


def _sentences() -> re.Pattern[str]:
    before = {"cut_off", "failed"}
    said = [text for key, both in SENTENCES.items() if key not in before for text in both]
    heads = [text.replace("{reason}", "") for key in sorted(before) for text in SENTENCES[key]]
    said.sort(key=len, reverse=True)
    head = "|".join(_pattern(text) for text in heads)
    return re.compile(f"(?:(?:{head})?(?:{'|'.join(map(_pattern, said))}))+")


SENTENCE = _sentences()
_PASSING = re.compile(
    "|".join(_pattern(text) for key in ("waiting", "dify_retrying") for text in SENTENCES[key])
)
_UNSURE = {squeezed(text) for text in SENTENCES["unconfirmed"]}
_BELOW = {squeezed(text) for text in SENTENCES["answered_below"]}


@dataclass
class Verdict:
    """``counts``: by word of FAULTS; ``cases``: what happened, one line each; ``facts``: beside."""

    counts: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    cases: list[str] = field(default_factory=list)

    def against(self, what: str, case: str) -> None:
        self.counts[what] += 1
        self.cases.append(f"{what}: {case}")

    @property
    def clean(self) -> bool:
        return not self.counts.total()


@dataclass
class _Shown:
    """All that was shown of one message's answer."""

    cards: list[SimCard] = field(default_factory=list)
    replies: list[SimReply] = field(default_factory=list)

    def texts(self) -> list[str]:
        """What stands there in the end, in order, without what only points on."""
        there = [card for card in self.cards if card.chat is not None and not card.vanished_at]
        texts = [squeezed(card.text) for card in there if card.state in ENDED]
        texts += [squeezed(_unaddressed(reply)) for reply in self.replies]
        return [text for text in texts if text not in _BELOW and not _PASSING.fullmatch(text)]


class Judge:
    """``verdict()`` may be asked for at any time; it counts what is there."""

    def __init__(self, cast: Cast, records: Records, requests: list[Asked]) -> None:
        self._cast = cast
        self._records = records
        self._requests = requests

    # -- while the quiet phase waits

    def open_cards(self) -> list[SimCard]:
        return [
            card
            for card in list(self._records.cards.values())
            if card.chat is not None and not card.vanished_at and card.state not in ENDED
        ]

    def unanswered(self) -> list[SimMessage]:
        """Acknowledged, and nothing stands there yet."""
        shown = self._shown(Verdict())
        return [
            message
            for message in list(self._records.messages)
            if message.acks and not shown[message.id].texts() and not _seen(shown[message.id])
        ]

    # -- the verdict

    def verdict(self) -> Verdict:
        verdict = Verdict()
        shown = self._shown(verdict)
        asked: dict[str, list[Asked]] = defaultdict(list)
        for request in list(self._requests):
            if request.query:
                asked[token_of(request.query)].append(request)
        for message in self._records.messages:
            self._judge(message, shown[message.id], asked[token_of(message.text)], verdict)
        for card in self.open_cards():
            verdict.against("cards spinning", f"{card.id} {card.state} {_of(card.msg)}")
        self._order(asked, verdict)
        self._conversations(verdict)
        return verdict

    def _shown(self, verdict: Verdict) -> dict[str, _Shown]:
        """By message id. What belongs to no message, or stands elsewhere, is counted at once."""
        owners = {
            _card_id(message, number): message
            for message in list(self._records.messages)
            for number in range(CARDS_MOST)
        }
        shown: dict[str, _Shown] = defaultdict(_Shown)
        for card in list(self._records.cards.values()):
            message = owners.get(card.id)
            if message is None or (card.chat is not None and card.chat is not message.chat):
                verdict.against("wrong conversation", f"card {card.id} of {_of(message)}")
                continue
            shown[message.id].cards.append(card)
            _frames(card, message, verdict)
        by_token = {token_of(message.text): message for message in list(self._records.messages)}
        for reply in list(self._records.replies):
            message = _answered(reply, by_token, shown)
            if message is None or reply.chat is not message.chat:
                verdict.against("wrong conversation", f"reply of {_of(message)}")
                continue
            if set(TOKEN.findall(reply.text)) - {token_of(message.text)}:
                verdict.against("wrong conversation", f"reply of {_of(message)}: foreign text")
            shown[message.id].replies.append(reply)
        for one in shown.values():
            one.cards.sort(key=lambda card: card.created_at)
        return shown

    def _judge(
        self, message: SimMessage, shown: _Shown, asked: list[Asked], verdict: Verdict
    ) -> None:
        facts, texts = verdict.facts, shown.texts()
        facts["said"] += 1
        begun = [one for one in asked if one.tokens or one.outcome in {"complete", "stopped"}]
        if len(begun) > 1:
            verdict.against("asked twice", f"{_of(message)} {len(begun)} times")
        if not texts:
            self._nothing(message, shown, verdict)
            return
        token = token_of(message.text)
        answer, at, said = whole(token), 0, 0
        unsure = any(text in _UNSURE for text in texts)
        for text in texts:
            if text in _UNSURE:  # said again and again until DingTalk confirms it
                said = max(said, 1)
                continue
            start = at if at and text[:11] == answer[at : at + 11] else 0
            if unsure and not start:  # what is missing may be in front of this
                start = max(0, answer.find(text[:11]))
            length = _common(text, answer[start:])
            if length and start < at:
                verdict.against("doubled", f"{_of(message)} shows its text twice")
            at = max(at, start + length)
            rest = text[length:]
            said = 1 if unsure else said + bool(rest)
            if rest and not SENTENCE.fullmatch(rest):
                verdict.against("not Dify's text", f"{_of(message)} …{rest[:80]}")
        if said > 1:
            verdict.against("doubled", f"{_of(message)} ends {said} times: {texts}"[:400])
        complete = any(one.outcome in {"complete", "hung up"} for one in begun)
        if not said and (at < len(answer) or not complete):
            verdict.against("cut without saying so", f"{_of(message)} {at} of {len(answer)}")
        facts["answered whole" if not said else "ended with a sentence"] += 1
        facts["not acknowledged, answered all the same"] += not message.acks

    def _nothing(self, message: SimMessage, shown: _Shown, verdict: Verdict) -> None:
        if not message.pushes:
            verdict.facts["never pushed: no connection"] += 1
        elif not message.acks:
            verdict.facts["pushed, never acknowledged"] += 1
        elif any(card.state in ENDED and card.vanished_at for card in shown.cards):
            verdict.facts["answered on a card that vanished later"] += 1
        else:
            broken = f", its webhook: {message.spoilt}" if message.spoilt else ""
            verdict.against("lost", f"{_of(message)} cards={len(shown.cards)}{broken}")

    def _order(self, asked: dict[str, list[Asked]], verdict: Verdict) -> None:
        """Acknowledged before the other was pushed, in one conversation, and asked after it."""
        lanes: dict[tuple[str, str, str], list[SimMessage]] = defaultdict(list)
        for message in self._records.messages:
            if message.pushes and asked[token_of(message.text)]:
                lanes[self._lane(message)].append(message)
        for lane in lanes.values():
            for first, second in itertools.pairwise(lane):
                definite = first.acks and first.acks[0].at < second.pushes[0].at
                late = _first(asked, first) > _first(asked, second)
                if definite and late:
                    verdict.against("out of order", f"{_of(first)} after {_of(second)}")

    def _lane(self, message: SimMessage) -> tuple[str, str, str]:
        person = message.person.staff_id or message.person.sender_id
        bot = self._cast.bot_of(message.app.client_id)
        if bot.shared and message.chat.kind == "group":
            person = "*"
        return message.app.client_id, message.chat.id, person

    def _conversations(self, verdict: Verdict) -> None:
        """Whose memory each question was asked in, and whether it was the one known before."""
        by_token = {token_of(message.text): message for message in self._records.messages}
        owner: dict[str, tuple[str, str, str]] = {}
        known: dict[tuple[str, str, str], tuple[str, set[str]]] = {}
        for request in list(self._requests):
            message = by_token.get(token_of(request.query))
            if message is None:
                continue
            lane = self._lane(message)
            user = message.chat.id if lane[2] == "*" else lane[2]
            if request.user != user:
                verdict.against("wrong conversation", f"{_of(message)} asked as another user")
            if not request.answered_in or request.status != 200:
                continue
            if owner.setdefault(request.answered_in, lane) != lane:
                verdict.against("wrong conversation", f"{_of(message)} in another's memory")
            key, memory = known.get(lane, ("", set()))
            if key != request.key:
                memory = set()
            if (
                memory
                and request.conversation_id not in memory
                and not memory & self._records.forgotten
            ):
                verdict.against("conversation forgotten by dod", _of(message))
            if request.outcome == "complete":
                memory = {request.answered_in}
            elif memory:
                memory = memory | {request.answered_in}
            known[lane] = request.key, memory


def _answered(
    reply: SimReply, by_token: dict[str, SimMessage], shown: dict[str, "_Shown"]
) -> SimMessage | None:
    """What a reply answers: its webhook says it; of the robot's messages only their text can."""
    if reply.medium == "webhook":
        return reply.msg
    if found := TOKEN.search(reply.text):
        return by_token.get(found.group())
    for message in by_token.values():
        here = message.chat is reply.chat and message.app is reply.app
        if here and message.spoilt and not shown[message.id].texts():
            return message
    return reply.msg


def _unaddressed(reply: SimReply) -> str:
    """Its text without the mention of the asker that a reply in a group may end with."""
    staff_id = reply.msg.person.staff_id if reply.msg else ""
    return reply.text.removesuffix(f"\n\n@{staff_id}") if staff_id else reply.text


def _card_id(message: SimMessage, number: int) -> str:
    parts = (message.app.client_id, message.id, str(number))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _frames(card: SimCard, message: SimMessage, verdict: Verdict) -> None:
    """Every text that ever stood on the card is its own message's, and Dify's or a sentence."""
    token = token_of(message.text)
    answer = whole(token)
    for frame in card.frames:
        text = squeezed(frame.text)
        if set(TOKEN.findall(frame.text)) - {token}:
            verdict.against("wrong conversation", f"card of {_of(message)}: foreign text")
            return
        if text in answer or SENTENCE.fullmatch(text):
            continue
        start = max(0, answer.find(text[:12]))
        if not SENTENCE.fullmatch(text[_common(text, answer[start:]) :]):
            verdict.against("not Dify's text", f"card of {_of(message)}: …{text[-80:]}")
            return


def _common(one: str, other: str) -> int:
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return at
    return min(len(one), len(other))


def _seen(shown: _Shown) -> bool:
    return any(card.state in ENDED and card.vanished_at for card in shown.cards)


def _first(asked: dict[str, list[Asked]], message: SimMessage) -> float:
    return min(one.at for one in asked[token_of(message.text)])


def _of(message: SimMessage | None) -> str:
    if message is None:
        return "nobody's message"
    return f"{token_of(message.text)} to {message.app.client_id} in a {message.chat.kind} chat"


def listed(cases: Iterable[str], most: int = 40) -> str:
    cases = list(cases)
    more = [f"… and {len(cases) - most} more"] if len(cases) > most else []
    return "\n".join([*cases[:most], *more])
