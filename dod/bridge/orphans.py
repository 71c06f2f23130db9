"""What a crash left of apps that no bot has any more (design §5.6).

Their credentials are gone with the file that named them, so their cards cannot be ended. The
person is told by the message's own webhook, which needs none, while it lives; the log names the
card. Should the app come back within a day, its bot ends the card.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from dod.bridge.claim import KEEP, OPEN, Claim
from dod.bridge.endings import INSIST
from dod.bridge.leftovers import age, left_to_say
from dod.bridge.replies import reply
from dod.bridge.serving import Serving
from dod.config.spec import Config
from dod.messages import digest
from dod.ports import Json, Store
from dod.texts import say, tongue

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
        """Whether nothing is left that this bot can do; forget it after a day."""
        client_id = key.split("/")[1]
        try:
            claim = Claim.from_json(client_id, value, self._store)
        except (KeyError, TypeError):
            name = self._name
            log.warning("bot=%s key=%s was left in a form that cannot be read", name, key)
            await self._store.delete(key)
            return True
        message, now = claim.message, self._serving().channel.now()
        if age(claim, now) > KEEP:
            log.warning("bot=%s msg=%s of client id %s dropped", self._name, message.id, client_id)
            await claim.done()
            return True
        if claim.told:  # by an earlier start: its card is the app's
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
        return await asyncio.shield(self._spawn(self._tell(claim, value), f"orphan {message.id}"))

    async def _tell(self, claim: Claim, value: Json) -> bool:
        """Once; False if nothing was sent, and waiting can help."""
        serving = self._serving().hold()
        try:
            return await self._say(claim, value, serving)
        finally:
            serving.release()

    async def _say(self, claim: Claim, value: Json, serving: Serving) -> bool:
        message = claim.message
        language = tongue(self._config().language, message.text)
        text, moved = left_to_say(claim, language), digest(claim.client_id, message.id, "orphan")
        last, failed, ends = (claim.text, claim.guid), claim.failed, claim.ends
        on_card = claim.cards > 0 and claim.state != "replying"
        # As ``endings.finish``: written first, so that no crash can send it twice, nor promise it.
        if on_card:
            unsure = say("unconfirmed", language)
            await claim.finishing(unsure, moved, failed=False, replied=True, ends=())
        else:
            await claim.replying()
        delivery = await reply(serving, message, text, once=True, foreign=True)
        if delivery == "unsaid":  # the next start says so
            return True
        if delivery != "sent":
            await self._store.put(claim.key, value, expire=OPEN)  # as if nothing had been tried
            return delivery == "never"
        if claim.interrupted:  # should the app come back: the same frame twice is the same
            await claim.moved(*last, failed=failed, ends=ends)
        elif on_card:
            await claim.moved(say("answered_below", language), moved)
        else:
            await claim.done()
        return True
