"""What a bot has promised under each of its client ids, and what crashes left of it on disk.

Thread: the bot's loop.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from dod.bridge.claim import Claim
from dod.bridge.claims import Claims
from dod.bridge.orphans import Orphans
from dod.bridge.patience import Patience
from dod.bridge.resumption import Resumption
from dod.bridge.serving import Serving
from dod.config.spec import Config
from dod.ports import Store

log = logging.getLogger(__name__)

LOADING = 10.0  # seconds to wait for a slow store


class Promises:
    """Lifecycle: ``read`` for each client id → ``take_up`` or ``leave_behind``; ``halt``.

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
        serving: Callable[[], Serving],
        owner: str,
        alive: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, bool], str], asyncio.Task[bool]],
    ) -> None:
        self.connected = asyncio.Event()
        self.owner, self.alive = owner, alive
        self.store = store
        self._patience = patience
        self._resumption = resumption
        self.config = config
        self._bot = bot
        self._serving = serving
        self._spawn = spawn
        self._claims: dict[str, Claims] = {}
        self._read: set[str] = set()  # client ids; messages may be claimed before
        self._left: dict[str, list[Claim]] = {}  # by client id: what a crash left there
        self._loading: set[asyncio.Task[None]] = set()
        self.orphans: asyncio.Task[None] | None = None

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

    async def soon(self, load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Wait for ``load``, but not for long: with a slow store it goes on beside all else."""
        loading = asyncio.create_task(self._guard(load), name="load")
        self._loading.add(loading)
        loading.add_done_callback(self._loading.discard)
        await asyncio.wait({loading}, timeout=LOADING)
        if not loading.done():
            log.warning("bot=%s store is slow: serving before it is read", self._bot())

    async def _guard(self, load: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await load()
        except Exception:  # the rim of what is on disk: it must not keep new people from asking
            log.exception("bot=%s what was left on disk cannot be read", self._bot())

    async def read(self, client_id: str) -> None:
        """Know what a crash left there; the first time only. Waits for the store however slow."""
        if client_id not in self._read:
            self._read.add(client_id)
            self._left[client_id] = await self.claims(client_id).load()

    def look_after_orphans(self) -> None:
        self.orphans = asyncio.create_task(self._guard(self._settle_orphans), name="orphans")

    async def _settle_orphans(self) -> None:
        await self.connected.wait()  # only then DingTalk's clock is known
        await Orphans(
            self._bot(),
            self.store,
            self._serving,
            self.config,
            mine=self._claims,
            alive=self.alive,
            spawn=self._spawn,
        ).settle()

    def take_up(self, client_id: str) -> None:
        """Go on with what a crash left at the app that serves, which is connected.

        No other app's channel can do that: it would end other cards than those that are open.
        """
        self._resumption.resume(self._left.pop(client_id, []), self._serving())

    def leave_behind(self, client_id: str) -> None:
        """What a crash left at an app that never connected stays on disk: see ``orphans``.

        It is read again when that app comes back.
        """
        if self._left.pop(client_id, None) is not None:
            del self._claims[client_id]
            self._read.discard(client_id)

    def halt(self) -> None:
        for task in (*self._loading, *([self.orphans] if self.orphans else ())):
            task.cancel()
