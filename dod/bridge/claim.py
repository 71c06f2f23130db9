"""What has been promised about each message, on disk before it is done.

A claim passes ``taken`` → ``asked`` → ``finishing`` (on a card) or ``replying`` → ``done``; each
state is written *before* its act, so that after a crash the next start knows what may have happened
(design §5.2). Kept 24 h; where the local clock is behind DingTalk's, so many hours by each of them:
set right, it must not forget what has just been answered.
A message's text and webhook are kept only until its answer has arrived. What is not done never
expires by the local clock, which a NAS may set right by a year, or by half a century if it has no
battery, between a crash and the next start; but for what apps left that no bot has any more: nobody
may ever start again who would drop it.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Literal

from dod.bridge.patience import STORE_WAIT, Patience
from dod.messages import CardStyle, Message
from dod.ports import Json, Store

log = logging.getLogger(__name__)

ClaimState = Literal["taken", "asked", "finishing", "replying", "done"]
KEEP = 24 * 3600.0  # seconds; DingTalk's latest redelivery seen is about a minute
# Seconds, a century: what is not done is dropped by its age on DingTalk's clock.
OPEN = 36_500 * KEEP
CLAIM_WAIT = 0.8  # seconds; the ack is due after one


class Claim:
    """One message's record. Thread: the bot's loop."""

    def __init__(
        self,
        client_id: str,
        message: Message,
        store: Store,
        *,
        owner: str = "",
        bot: str = "",
        patience: Patience | None = None,
    ) -> None:
        self.client_id = client_id
        self.bot = bot  # its name when the message was taken
        self.owner = owner
        self.message = message
        self.state: ClaimState = "taken"
        self.cards = 0  # how many may exist
        self.style: CardStyle | None = None  # what they were made from
        self.text = ""
        self.ends: list[int] = []  # where in it each full card ends
        self.filed = 0  # from where on it went as a file; 0: nothing did
        self.guid = ""
        self.failed = False
        self.replied = False  # a reply was about to be sent, with the answer or about it
        self.told = False  # and it arrived
        self.refused = False  # the card did not take its last frame
        self.interrupted = False  # a crash: nobody knows whether the last frame arrived
        self.foreign = False  # of an app that no bot has: should it come back, its bot goes first
        self.left = False  # by a crash: a card's creation may have been on its way
        self.taken_at = time.time()
        self._keep = OPEN
        self._store = store
        self._patience = patience or Patience()
        self._adding: asyncio.Task[bool] | None = None
        self._fresh: bool | None = None  # not known yet
        self._saving: asyncio.Task[None] | None = None

    @property
    def key(self) -> str:
        return f"claim/{self.client_id}/{self.message.id}"

    @property
    def settled(self) -> bool:
        """What the person is left with is known: nothing can be stopped any more."""
        return self.state in {"finishing", "done"}

    def to_json(self) -> Json:
        if self.state == "done":
            return {"state": "done"}
        return {
            "state": self.state,
            "message": (_emptied(self.message) if self.told else self.message).to_json(),
            "cards": self.cards,
            "style": asdict(self.style) if self.style else None,
            "text": self.text,
            "ends": self.ends,
            "filed": self.filed,
            "guid": self.guid,
            "failed": self.failed,
            "replied": self.replied,
            "told": self.told,
            "refused": self.refused,
            "taken_at": self.taken_at,
            "owner": self.owner,
            "bot": self.bot,
        }

    @classmethod
    def from_json(
        cls, client_id: str, value: Json, store: Store, patience: Patience | None = None
    ) -> "Claim":
        message = Message.from_json(value["message"])
        claim = cls(client_id, message, store, patience=patience)
        claim.state = value["state"]
        claim.cards = value["cards"]
        claim.style = CardStyle(**value["style"]) if value.get("style") else None
        claim.text = value["text"]
        claim.ends = value.get("ends", [])
        claim.filed = value.get("filed", 0)
        claim.guid = value["guid"]
        claim.owner = value.get("owner", "")
        claim.bot = value.get("bot", "")
        claim.failed = value["failed"]
        claim.replied = value.get("replied", False)
        claim.told = value.get("told", False)
        claim.refused = value.get("refused", False)
        sending = claim.state == "finishing" and claim.cards > 0
        claim.interrupted = sending and not claim.replied and not claim.refused
        claim.left = claim.cards > 0 and not claim.replied
        claim.taken_at = value["taken_at"]
        return claim

    async def add(self) -> bool:
        """Write ``taken`` if nobody has; False if another delivery was first.

        Waits at most CLAIM_WAIT: a slow disk must not delay the ack. ``fresh`` tells later.
        """
        adding = self._store.add(self.key, self.to_json(), expire=OPEN)
        self._adding = asyncio.create_task(adding, name=f"claim {self.message.id}")
        if not await self._patience.wait(self._adding, CLAIM_WAIT):
            log.info("msg=%s acknowledged before its claim", self.message.id)
            return True
        return self._adding.result()

    async def fresh(self) -> bool:
        """The outcome of a slow ``add``; True if the store does not say within STORE_WAIT.

        Whoever asks again is told the same.
        """
        if self._fresh is None and self._adding is not None:
            done = await self._patience.wait(self._adding, STORE_WAIT)
            if self._fresh is None:
                self._fresh = self._adding.result() if done else True
        return self._fresh is not False

    async def rewritten(self, message: Message) -> None:
        """The question has taken along what was sent before it."""
        self.message = message
        await self._write(self.state)

    async def asked(self, *, cards: int) -> None:
        """Dify is about to be asked: from here the question is never asked again.

        ``cards``: how many may exist from here on; the first is created at the same moment.
        """
        self.cards = max(self.cards, cards)
        await self._write("asked")

    async def opening(self, cards: int, text: str, ends: Sequence[int] = ()) -> None:
        """The ``cards``-th card is about to be created; ``text`` is what will have been shown.

        ``ends``: where in the text each of the cards before ends.
        """
        self.ends = list(ends)
        if cards > self.cards:
            self.cards = cards
            if self.state != "finishing":  # then the whole text is already there
                self.text = text
            await self._write(self.state)

    async def filing(self, start: int) -> None:
        """What comes behind ``start`` is about to be sent as a file; 0: it was not."""
        self.filed = start
        await self._write(self.state)

    async def finishing(
        self,
        text: str,
        guid: str,
        *,
        failed: bool,
        replied: bool = False,
        ends: Sequence[int] | None = None,
    ) -> None:
        """The last frame is about to be sent; a crash repeats it with the same guid.

        ``replied``: a reply with the answer, or about it, is about to be sent, and is not to be
        sent again.
        ``ends``: where in ``text`` the cards before end, if that is not known already; ``()`` for a
        sentence, which the last card is to show as a whole.
        """
        self.text, self.guid, self.failed, self.replied = text, guid, failed, replied
        if ends is not None:
            self.ends = list(ends)
        await self._write("finishing")

    async def moved(
        self,
        text: str,
        guid: str,
        *,
        failed: bool = False,
        ends: Sequence[int] | None = None,
    ) -> None:
        """The reply with the answer arrived: only the card is left, to end with ``text``."""
        self.told = True
        await self.finishing(text, guid, failed=failed, replied=True, ends=ends)

    async def replying(self) -> None:
        """A reply is about to be sent; after a crash it is not sent again, but that is said."""
        await self._write("replying")

    async def keep_for(self, seconds: float) -> None:
        """Whatever is not done is kept no longer than that from here on."""
        self._keep = seconds
        await self._write(self.state)

    async def done(self) -> None:
        """Nothing is left to do, or what is left must not be repeated."""
        await self._write("done")

    def shown(self, text: str) -> None:
        """Keep what the card shows, for the sentence after a crash. In the background."""
        if self.state != "asked":  # a last update that came back late: the whole text is there
            return
        self.text = text
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save(), name=f"shown {self.message.id}")

    def withdrawn(self) -> None:
        """The answer is another one from here on: nothing of the former is said after a crash."""
        self.ends = [0] * len(self.ends)
        self.text = ""

    async def _save(self) -> None:
        if self.foreign and await self._over():
            return
        keep = self._keep
        if self.state == "done":  # the store counts by the local clock, which may yet be set right
            keep = KEEP + max(0.0, self.message.created_at - time.time())
        await self._store.put(self.key, self.to_json(), expire=keep)

    async def _over(self) -> bool:
        """Done meanwhile by the bot that has its app now, or expired."""
        row = await self._store.get(self.key)
        return row is None or row.get("state") == "done"

    async def _write(self, state: ClaimState) -> None:
        self.state = state
        writing = asyncio.create_task(self._save(), name=f"{state} {self.message.id}")
        if not await self._patience.wait(writing, STORE_WAIT):
            log.info("msg=%s goes on without state=%s", self.message.id, state)


def _emptied(message: Message) -> Message:
    """What the end of its card needs of it."""
    return replace(message, text="", webhook="", quote="", attachments=())
