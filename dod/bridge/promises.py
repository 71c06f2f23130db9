"""What a bot has promised under each of its client ids, and what crashes left of it on disk.

Thread: the bot's loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from dod.bridge import orphans
from dod.bridge.claims import Claim, Claims
from dod.bridge.patience import Patience
from dod.bridge.resumption import Resumption
from dod.config.spec import Config
from dod.ports import Channel, Store

log = logging.getLogger(__name__)

LOADING = 10.0  # seconds to wait for a slow store at start


class Promises:
    """Lifecycle: ``load`` at start; ``read`` → ``resume`` for a new client id; ``give_up``.

    ``connected``: by any line, once. ``owner``, ``alive``: see ``Claims``.
    """

    def __init__(
        self,
        store: Store,
        patience: Patience,
        resumption: Resumption,
        config: Callable[[], Config],
        *,
        bot: Callable[[], str],
        channel: Callable[[], Channel],
        owner: str,
        alive: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self.connected = asyncio.Event()
        self.owner, self.alive = owner, alive
        self.store = store
        self._patience = patience
        self._resumption = resumption
        self._config = config
        self._bot = bot
        self._channel = channel
        self._spawn = spawn
        self._claims: dict[str, Claims] = {}
        self._left: dict[str, list[Claim]] = {}  # by client id: what a crash left there
        self._orphans: asyncio.Task[None] | None = None

    def claims(self, client_id: str) -> Claims:
        if client_id not in self._claims:
            self._claims[client_id] = Claims(
                client_id,
                self.store,
                owner=self.owner,
                alive=self.alive,
                bot=self._bot,
                patience=self._patience,
            )
        return self._claims[client_id]

    async def load(self, client_id: str) -> None:
        """Go on with what a crash left, once ``connected``; look after what is nobody's."""
        self._resumption.resume(await self.claims(client_id).load(), self.connected)
        self._orphans = self._spawn(self._settle_orphans(), "orphans")

    async def _settle_orphans(self) -> None:
        await self.connected.wait()  # only then DingTalk's clock is known
        try:
            await orphans.settle(
                self._bot(),
                self.store,
                self._channel(),
                self._config(),
                mine=self._claims,
                alive=self.alive,
            )
        except Exception:  # the rim of what is on disk: it must not keep new people from asking
            log.exception("bot=%s what other apps left cannot be settled", self._bot())

    async def read(self, client_id: str) -> None:
        """Know what the new app's messages came to before. The first time only."""
        if client_id not in self._claims:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOADING):
                    self._left[client_id] = await self.claims(client_id).load()

    def resume(self, client_id: str, connected: asyncio.Event) -> None:
        """Go on with what was ``read``."""
        self._resumption.resume(self._left.pop(client_id, []), connected)

    def give_up(self) -> None:
        """Shutting down: what is under way ends, for it is promised already; nothing begins."""
        if self._orphans is not None and not self.connected.is_set():
            self._orphans.cancel()
