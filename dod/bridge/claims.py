"""All claims of one client id: no message is answered twice, and none that a crash left is lost."""

import logging
import time
from collections.abc import Callable

from dod.bridge.claim import Claim
from dod.bridge.patience import Patience
from dod.messages import Message
from dod.ports import Store

log = logging.getLogger(__name__)

SEEN = 600.0  # seconds that a message is remembered in memory, too; older ones only on disk


class Claims:
    """All claims of one client id: nothing is answered twice. Thread: the bot's loop."""

    def __init__(
        self,
        client_id: str,
        store: Store,
        *,
        owner: str = "",
        alive: Callable[[str], bool] = lambda _owner: False,
        bot: Callable[[], str] = str,
        patience: Patience | None = None,
    ) -> None:
        """``owner`` names who makes these promises; those of an ``alive`` one are no leftovers.

        ``bot``: the bot's name at the moment.
        """
        self._client_id = client_id
        self._store = store
        self._owner = owner
        self._alive = alive
        self._bot = bot
        self._patience = patience or Patience()
        self._seen: dict[str, float] = {}
        self._early: dict[str, Claim] | None = {}  # taken before ``load`` knew what is there

    async def load(self) -> list[Claim]:
        """Remember what was answered before, and return what a crash left unfinished."""
        leftovers = []
        prefix = f"claim/{self._client_id}/"
        try:
            for key, value in await self._store.items(prefix):
                message_id = key.removeprefix(prefix)
                early = self._early.get(message_id) if self._early else None
                if early is not None and await early.fresh():
                    continue  # taken by this process while the store was slow
                self._see(message_id)
                if value.get("state") == "done" or self._alive(str(value.get("owner", ""))):
                    continue
                try:
                    claim = Claim.from_json(self._client_id, value, self._store, self._patience)
                    claim.owner = self._owner
                    leftovers.append(claim)
                except (KeyError, TypeError):
                    log.warning("msg=%s was left in a form that cannot be read", message_id)
        finally:
            self._early = None
        leftovers.sort(key=lambda claim: claim.taken_at)
        return leftovers

    async def take(self, message: Message) -> Claim | None:
        """Claim a message in memory at once, then on disk; None if it was claimed before."""
        if message.id in self._seen:
            log.info("msg=%s delivered again, ignored", message.id)
            return None
        self._see(message.id)
        claim = Claim(
            self._client_id,
            message,
            self._store,
            owner=self._owner,
            bot=self._bot(),
            patience=self._patience,
        )
        if self._early is not None:
            self._early[message.id] = claim
        return claim if await claim.add() else None

    def _see(self, message_id: str) -> None:
        now = time.monotonic()
        self._seen[message_id] = now
        for old in list(self._seen)[:2]:  # oldest first: insertion order
            if now - self._seen[old] > SEEN:
                del self._seen[old]
                if self._early is not None:
                    self._early.pop(old, None)
