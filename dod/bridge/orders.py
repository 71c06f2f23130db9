"""What the bot does itself when it is told to, and the sentence it answers with."""

import logging

from dod.bridge.commands import AT_ONCE, Command, comment_in, id_card
from dod.bridge.conversations import Conversations
from dod.bridge.guide import guide
from dod.bridge.lanes import Place
from dod.bridge.ratings import Ratings
from dod.bridge.serving import Serving
from dod.bridge.suggestions import Suggestions
from dod.errors import DifyError
from dod.messages import Abilities, ConversationKey, Message, Rating
from dod.texts import Tongue, say

log = logging.getLogger(__name__)


class Orders:
    """Carries out commands; each may be carried out twice. Thread: the bot's loop."""

    def __init__(
        self, conversations: Conversations, ratings: Ratings, suggestions: Suggestions
    ) -> None:
        self._conversations = conversations
        self._suggestions = suggestions
        self._ratings = ratings

    async def obey(
        self,
        command: Command,
        message: Message,
        place: Place | None,
        serving: Serving,
        tongue: Tongue,
    ) -> str | None:
        """The answer; "" where a card says it; None if it is left for the next start.

        ``place``: behind what was asked before.
        """
        if place is not None and command not in AT_ONCE:
            if not await place.wait():
                return None
            if command == "new":
                await self._conversations.forget(place.key)
                await self._suggestions.offer(place.key, ())
                return say("new_conversation", tongue)
            rating: Rating = "like" if command == "good" else "dislike"
            return await self._rate(rating, place.key, message, serving, tongue)
        if command == "help":
            abilities = await self._abilities(serving)
            return guide(serving.spec, abilities, message.chat.kind, tongue)
        if command == "id":
            return id_card(message, tongue)
        return "" if command == "stop" else say("nothing_to_stop", tongue)

    async def _rate(
        self,
        rating: Rating,
        key: ConversationKey,
        message: Message,
        serving: Serving,
        tongue: Tongue,
    ) -> str:
        if serving.spec.dify_app_type == "workflow":
            return say("rating_unknown", tongue)
        answered = await self._ratings.last(key)
        if answered is None:
            return say("nothing_to_rate", tongue)
        try:
            await self._ratings.rate(answered, rating, serving, comment_in(message.text))
        except DifyError as error:
            log.warning("bot=%s rating not taken: %s", serving.spec.name, error)
            return say(error.key, tongue)
        return say("rated", tongue)

    async def _abilities(self, serving: Serving) -> Abilities | None:
        try:
            return await serving.app.abilities()
        except DifyError as error:
            log.info("bot=%s Dify does not say what it takes: %s", serving.spec.name, error)
            return None
