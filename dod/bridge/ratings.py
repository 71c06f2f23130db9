"""👍 and 👎: which answer they are about, and whose it was.

By the card that shows the answer, or as the last one of a conversation. In memory, and on disk for
a week, so that a button still works after a restart.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from dod.bridge.conversations import user_of
from dod.bridge.patience import Patience
from dod.bridge.serving import Serving
from dod.bridge.turn import Turn
from dod.errors import DifyError
from dod.messages import ConversationKey, Rating
from dod.ports import Json, Store

log = logging.getLogger(__name__)

KEEP = 7 * 86_400.0  # seconds
KEPT = 20  # in memory; older ones are found on disk


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that can be rated. Holds nothing of what was said.

    ``user``: as Dify was asked, the only one it takes a rating from (dify-api §5). ``asker``: the
    person, or ``*`` where a group asks as one. ``app``: its fingerprint.
    """

    message_id: str
    user: str
    asker: str
    app: str


def answered_by(turn: Turn) -> Answered | None:
    """What ``turn`` has answered, or is answering; None if Dify has no name for it."""
    if not turn.dify_message:
        return None
    key = turn.place.key
    return Answered(turn.dify_message, user_of(key), key.person, turn.serving.app.fingerprint)


def buttons_of(turn: Turn) -> Iterator[str]:
    """The ids of all cards of ``turn`` that may have buttons; the public template has none."""
    claim, channel = turn.claim, turn.serving.channel
    if claim.style is not None and not claim.style.public:
        for number in range(claim.cards):
            yield channel.card(claim.message, claim.style, number).id


class Ratings:
    """All that can be rated. Thread: the bot's loop."""

    def __init__(self, store: Store, patience: Patience) -> None:
        self._store = store
        self._patience = patience
        self._known: OrderedDict[str, Answered] = OrderedDict()

    def remember(self, turn: Turn) -> Iterable[str]:
        """Know the answer of ``turn`` from now on; returns what ``save`` is to write."""
        answered = answered_by(turn)
        if answered is None:
            return ()
        names = [_last(turn.place.key), *(_card(card_id) for card_id in buttons_of(turn))]
        for name in names:
            self._keep(name, answered)
        return names

    async def save(self, names: Iterable[str]) -> None:
        """Write to disk what was remembered."""
        for name in names:
            if name in self._known:
                value = asdict(self._known[name])
                await self._patience.soon(
                    self._store.put(name, value, expire=KEEP), "answer remembered"
                )

    async def last(self, key: ConversationKey) -> Answered | None:
        """The last answer in a conversation."""
        return await self._find(_last(key))

    async def of_card(self, card_id: str) -> Answered | None:
        """The answer that a card shows."""
        return await self._find(_card(card_id))

    async def rate(
        self, answered: Answered, rating: Rating, serving: Serving, comment: str = ""
    ) -> None:
        """Tell Dify. Raises DifyError, also where the bot has another app by now."""
        if answered.app != serving.app.fingerprint:
            raise DifyError("the answer was given by another app", key="rating_gone")
        await serving.app.rate(answered.message_id, rating, answered.user, comment)
        log.info("bot=%s rating=%s comment=%s", serving.spec.name, rating, bool(comment))

    async def _find(self, name: str) -> Answered | None:
        if name not in self._known:
            found = await self._patience.soon(self._store.get(name), "answer recalled")
            if found is not None and (answered := _read(found)) is not None:
                self._keep(name, answered)
        return self._known.get(name)

    def _keep(self, name: str, answered: Answered) -> None:
        self._known[name] = answered
        self._known.move_to_end(name)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


def _read(value: Json) -> Answered | None:
    try:
        return Answered(**{name: str(held) for name, held in value.items()})
    except TypeError:
        return None  # written by another version


def _last(key: ConversationKey) -> str:
    return f"answer/last/{key}"


def _card(card_id: str) -> str:
    return f"answer/card/{card_id}"
