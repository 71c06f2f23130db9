"""What a crash left of apps that no bot has any more (design §5.6).

Their credentials are gone with the file that named them, so their cards cannot be ended. The
person is told by the message's own webhook, which needs none, while it lives; the log names the
card. Should the app come back within a day, its bot ends the card.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from dod.bridge.claim import KEEP, Claim
from dod.bridge.endings import INSIST, tell
from dod.bridge.leftovers import age, left_to_say
from dod.bridge.serving import Serving
from dod.config.spec import Config
from dod.ports import Json, Store
from dod.texts import tongue

log = logging.getLogger(__name__)


class Orphans:
    """Bot ``name`` looks after what is its own of old, the first bot after what is nobody's.

    ``mine``: the client ids that it has at the moment; so are ``serving`` and ``config`` asked each
    time, for what serves now may be closed within the hour.
    Thread: the bot's loop.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        serving: Callable[[], Serving],
        config: Callable[[], Config],
        *,
        mine: Collection[str],
        alive: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, bool], str], asyncio.Task[bool]],
    ) -> None:
        self._name = name
        self._store = store
        self._serving = serving
        self._config = config
        self._mine = mine
        self._alive = alive
        self._spawn = spawn

    async def settle(self) -> None:
        """Tell everybody, each beside the others. Once per start, when DingTalk's clock is known.

        May be cancelled at any time: the next start goes on.
        """
        found = [key for key, value in await self._store.items("claim/") if self._cares(key, value)]
        await asyncio.gather(*map(self._insist, found))

    def _cares(self, key: str, value: Json | None) -> bool:
        config = self._config()
        client_id = key.split("/")[1]
        if value is None or value.get("state") == "done" or client_id in self._mine:
            return False
        if any(bot.dingtalk_app_client_id == client_id for bot in config.bots):
            return False
        if self._alive(str(value.get("owner", ""))):
            return False
        was, names = str(value.get("bot", "")), [bot.name for bot in config.bots]
        nobodys = was not in names and names[:1] in ([], [self._name])
        return was == self._name or nobodys

    async def _insist(self, key: str) -> None:
        """Try for an hour to tell the person, unless the app comes back meanwhile."""
        try:
            for delay in (0.0, *INSIST):
                await asyncio.sleep(delay)
                value = await self._store.get(key)
                if value is None or not self._cares(key, value):
                    return
                if await self._settled(key, value, first=not delay):
                    return
            log.error("bot=%s key=%s could not be told", self._name, key)
        except Exception:  # the rim of one answer: the next start goes on
            log.exception("bot=%s key=%s failed", self._name, key)

    async def _settled(self, key: str, value: Json, *, first: bool) -> bool:
        """Whether nothing is left that this bot can do; forgotten after a day."""
        client_id = key.split("/")[1]
        try:
            claim, untold = (Claim.from_json(client_id, value, self._store) for _ in range(2))
        except (KeyError, TypeError):
            name = self._name
            log.warning("bot=%s key=%s was left in a form that cannot be read", name, key)
            await self._store.delete(key)
            return True
        claim.foreign = untold.foreign = True
        message, now = claim.message, self._serving().channel.now()
        left = KEEP - age(claim, now)  # seconds in which its app may come back, and end its card
        if left <= 0:
            log.warning("bot=%s msg=%s of client id %s dropped", self._name, message.id, client_id)
            await claim.done()
            return True
        await claim.keep_for(left)
        if claim.told:  # by an earlier start
            return True
        if first:
            log.warning(
                "bot=%s msg=%s was left unfinished at client id %s, which no bot has any more: "
                "its cards (%d) cannot be ended",
                self._name,
                message.id,
                client_id,
                claim.cards,
            )
        if not message.webhook or message.webhook_expires_at <= now:
            return True
        # Who is being told while the bot drains is told.
        telling = self._tell(claim, lambda: untold.keep_for(left))
        return await asyncio.shield(self._spawn(telling, f"orphan {message.id}"))

    async def _tell(self, claim: Claim, undo: Callable[[], Awaitable[None]]) -> bool:
        """Once; False if nothing was sent, and waiting can help."""
        serving = self._serving().hold()
        try:
            language = tongue(self._config().language, claim.message.text)
            text = left_to_say(claim, language)
            on_card = claim.cards > 0 and claim.state != "replying"
            delivery = await tell(claim, serving, text, language, on_card=on_card)
            if delivery in {"later", "never"}:
                await undo()
            return delivery != "later"
        finally:
            serving.release()
