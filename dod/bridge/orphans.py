"""What a crash left of apps that no bot has any more (design §5.6).

Their credentials are gone with the file that named them, so their cards cannot be ended. The
person is told by the message's own webhook, which needs none, while it lives; the log names the
card. Should the app come back within a day, its bot ends the card.
"""

import logging
from collections.abc import Callable, Collection

from dod.bridge.claims import KEEP, Claim
from dod.bridge.leftovers import age, left_to_say
from dod.bridge.replies import reply
from dod.config.spec import Config
from dod.messages import digest
from dod.ports import Channel, Store
from dod.texts import say, tongue

log = logging.getLogger(__name__)


async def settle(
    name: str,
    store: Store,
    channel: Channel,
    config: Config,
    *,
    mine: Collection[str],
    alive: Callable[[str], bool],
) -> None:
    """Bot ``name`` looks after what is its own of old, the first bot after what is nobody's.

    ``mine``: the client ids that it has now. Once per start, when DingTalk's clock is known.
    """
    named = {bot.dingtalk_app_client_id for bot in config.bots} | set(mine)
    others = {bot.name for bot in config.bots} - {name}
    first = not config.bots or config.bots[0].name == name
    for key, value in await store.items("claim/"):
        client_id = key.split("/")[1]
        if value.get("state") == "done" or client_id in named or alive(str(value.get("owner", ""))):
            continue
        was = str(value.get("bot", ""))
        if was != name and (was in others or not first):
            continue
        try:
            claim = Claim.from_json(client_id, value, store)
        except (KeyError, TypeError):
            log.warning("bot=%s key=%s was left in a form that cannot be read", name, key)
            await store.delete(key)
            continue
        await _say(name, claim, channel, config)


async def _say(name: str, claim: Claim, channel: Channel, config: Config) -> None:
    """Tell the person once; forget it after a day."""
    message, moved = claim.message, digest(claim.client_id, claim.message.id, "orphan")
    if age(claim, channel.now()) > KEEP:
        log.warning("bot=%s msg=%s of client id %s dropped", name, message.id, claim.client_id)
        await claim.done()
        return
    if claim.guid == moved:  # said by an earlier start
        return
    log.warning(
        "bot=%s msg=%s was left unfinished at client id %s, which no bot has any more: "
        "without its secret its cards (%d) cannot be ended",
        name,
        message.id,
        claim.client_id,
        claim.cards,
    )
    language = tongue(config.language, message.text)
    text = left_to_say(claim, language)
    if not message.webhook or message.webhook_expires_at <= channel.now():
        return
    if claim.cards:
        await claim.finishing(say("answered_below", language), moved, failed=False, replied=True)
    else:
        await claim.done()  # first: a reply must not be sent twice
    await reply(channel, name, message, text)
