"""Who may ask, and how often. Refused people are told, but not at every message."""

import logging
import time
from collections import deque
from collections.abc import Callable

from dod.bridge.patience import Patience
from dod.config.spec import Allow, BotSpec, Config, Limits
from dod.messages import Message
from dod.ports import Store
from dod.texts import Tongue, kind_of, say

log = logging.getLogger(__name__)

TELL_AGAIN = 3600.0  # seconds
STALE = 600.0  # seconds by DingTalk's clock; then a message is not answered out of the blue
KEPT = 500  # people, of each bot
DAY_KEPT = 2 * 86_400.0  # seconds: a day's count outlives its day in every time zone


def may_ask(allow: Allow, admins: tuple[str, ...], message: Message) -> bool:
    """``users`` holds staff ids, ``groups`` chat ids; ``*`` is everybody. Admins always may."""
    if is_admin(admins, message):
        return True
    if not _listed(allow.users, message.sender.staff_id or message.sender.sender_id):
        return False
    return message.chat.kind == "single" or _listed(allow.groups, message.chat.id)


def is_admin(admins: tuple[str, ...], message: Message) -> bool:
    return bool(message.sender.staff_id) and message.sender.staff_id in admins


def _listed(allowed: tuple[str, ...], name: str) -> bool:
    return "*" in allowed or name in allowed


class Admission:
    """What keeps a message from Dify, as a sentence. Thread: the bot's loop."""

    def __init__(self, store: Store, config: Callable[[], Config], patience: Patience) -> None:
        self._config = config
        self._strangers = Refusals()
        self._counts = Counts(store, patience)

    async def refusal(
        self, message: Message, spec: BotSpec, now: float, tongue: Tongue, *, counts: bool
    ) -> str | None:
        """Why ``message`` is not for the app: a sentence, "" for silence, None if it is.

        ``now``: epoch seconds by DingTalk's clock. Only what is admitted and ``counts`` (it is
        no command, and no crash has counted it before) goes against the person's limits.
        """
        admins = self._config().admins
        if not may_ask(spec.allow, admins, message):
            told = self._strangers.tell(message, TELL_AGAIN)
            return say("not_allowed", tongue) if told else ""
        if message.error_code:
            log.error("bot=%s no text came: code=%s", spec.name, message.error_code)
            return say("over_quota", tongue)
        if not message.text.strip() and not message.attachments:
            if message.kind == "text":
                return say("nothing_asked", tongue)
            return say("only_text", tongue, kind=kind_of(message.kind, tongue))
        if message.age > STALE:
            return say("too_old", tongue, minutes=round(message.age / 60))
        if not counts or is_admin(admins, message):
            return None
        person = f"{spec.dingtalk_app_client_id}/{message.sender.key}"
        return await self._counts.over(person, spec.limits, now, tongue)


class Refusals:
    """Remembers who was told lately. Thread: the bot's loop."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}  # until when it need not be said again

    def tell(self, message: Message, again: float) -> bool:
        """True if this person has not been told in this chat within ``again`` seconds."""
        now = time.monotonic()
        self._told = {who: until for who, until in self._told.items() if now < until}
        who = (message.chat.id, message.sender.key)
        if who in self._told:
            return False
        self._told[who] = now + again
        return True


class Counts:
    """How often each person has asked. A day's count survives a restart, a minute's does not.

    In memory are those of the last minute, and the day's counts of the last ``KEPT`` people.
    """

    def __init__(
        self, store: Store, patience: Patience, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._patience = patience
        self._clock = clock
        # Both: who was here last is last.
        self._minute: dict[str, deque[float]] = {}  # monotonic seconds of the last questions
        self._day: dict[str, tuple[str, int]] = {}  # the day, and how many in it

    async def over(self, person: str, limits: Limits, now: float, tongue: Tongue) -> str | None:
        """Count one question, unless a limit forbids it: then the sentence that says so."""
        if limits.per_day:
            await self._asked_today(person, now)  # from here on nothing waits before it counts
        clock = self._clock()
        asked = self._lately(person, clock) if limits.per_minute else deque[float]()
        if limits.per_minute and len(asked) >= limits.per_minute:
            wait = max(1, round(60 - (clock - asked[-limits.per_minute])))
            return say("per_minute", tongue, most=limits.per_minute, seconds=wait)
        if limits.per_day and await self._asked_today(person, now) >= limits.per_day:
            return say("per_day", tongue, most=limits.per_day)
        if limits.per_minute:
            asked.append(clock)
            self._minute[person] = asked
        if limits.per_day:
            await self._count_day(person, now)
        return None

    def _lately(self, person: str, clock: float) -> deque[float]:
        """When this person has asked within a minute. Forgets everybody who has not."""
        while self._minute and clock - next(iter(self._minute.values()))[-1] >= 60:
            del self._minute[next(iter(self._minute))]
        asked = self._minute.pop(person, None) or deque()
        while asked and clock - asked[0] >= 60:
            asked.popleft()
        if asked:
            self._minute[person] = asked
        return asked

    async def _asked_today(self, person: str, now: float) -> int:
        today = _day(now)
        if person not in self._day:
            known = await self._patience.soon(self._store.get(_key(person)), "counted") or {}
            # Another message may have been counted meanwhile.
            self._day.setdefault(person, (str(known.get("day", "")), int(known.get("asked", 0))))
        day, count = self._day[person] = self._day.pop(person)
        if len(self._day) > KEPT:
            del self._day[next(iter(self._day))]  # read again when needed
        return count if day == today else 0

    async def _count_day(self, person: str, now: float) -> None:
        count = await self._asked_today(person, now) + 1
        self._day[person] = (_day(now), count)
        value = {"day": _day(now), "asked": count}
        await self._patience.soon(self._store.put(_key(person), value, expire=DAY_KEPT), "counted")


def _key(person: str) -> str:
    return f"asked/{person}"


def _day(now: float) -> str:
    """The day as the office's wall clock has it (TZ)."""
    return time.strftime("%Y-%m-%d", time.localtime(now))
