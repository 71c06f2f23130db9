"""Which Dify conversation belongs to whom, remembered across restarts.

Keyed by bot, chat and person (design §5.8); the value also names the app, so that another app
behind the same bot begins anew.
"""

import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TypeVar

from dod.bridge.patience import Patience
from dod.config.spec import Conversation
from dod.errors import ConversationGone
from dod.messages import AnswerEvent, ConversationKey, Message, Question, Started, digest
from dod.ports import App, Store

log = logging.getLogger(__name__)

T = TypeVar("T")


def key_of(client_id: str, message: Message, policy: Conversation) -> ConversationKey:
    """Whose memory ``message`` belongs to."""
    shared = message.chat.kind == "group" and policy.group == "shared"
    return ConversationKey(client_id, message.chat.id, "*" if shared else message.sender.key)


def user_of(key: ConversationKey) -> str:
    """Dify's ``user``: the person, or the group where all share; at most 255 characters.

    Dify ties a conversation to it, so everybody of a shared conversation must send the same.
    """
    user = key.chat_id if key.person == "*" else key.person
    return user if len(user) <= 255 else digest(user)


class Conversations:
    """The mapping, on disk. Thread: the bot's loop."""

    def __init__(self, store: Store, patience: Patience | None = None) -> None:
        self._store = store
        self._patience = patience or Patience()

    async def recall(self, key: ConversationKey, app: App, policy: Conversation) -> str:
        """Dify's conversation id, or "" to begin a new one."""
        known = await self._patience.soon(
            self._store.get(f"conversation/{key}"), "conversation recalled"
        )
        if not known or known.get("app") != app.fingerprint:
            return ""
        silent = time.time() - float(known.get("at", 0))
        if policy.expire_minutes and silent > policy.expire_minutes * 60:
            return ""
        return str(known.get("id", ""))

    async def remember(self, key: ConversationKey, app: App, conversation_id: str) -> None:
        value = {"id": conversation_id, "app": app.fingerprint, "at": time.time()}
        await self._patience.soon(
            self._store.put(f"conversation/{key}", value), "conversation remembered"
        )

    async def forget(self, key: ConversationKey) -> None:
        await self._patience.soon(
            self._store.delete(f"conversation/{key}"), "conversation forgotten"
        )

    async def ask(
        self, app: App, question: Question, key: ConversationKey, policy: Conversation
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Ask within the remembered conversation; once more as new if Dify has forgotten it."""
        known = await self.recall(key, app, policy)
        try:
            asked = replace(question, conversation_id=known)
            async with contextlib.aclosing(self._events(app, asked, key)) as events:
                async for event in events:
                    yield event
        except ConversationGone as gone:
            if not known:
                raise
            log.info("chat=%s conversation forgotten by Dify, begun anew: %s", key.chat_id, gone)
            await self.forget(key)
            asked = replace(question, conversation_id="")
            async with contextlib.aclosing(self._events(app, asked, key)) as events:
                async for event in events:
                    yield event

    async def _events(
        self, app: App, question: Question, key: ConversationKey
    ) -> AsyncGenerator[AnswerEvent, None]:
        async with contextlib.aclosing(app.ask(question)) as events:
            async for event in events:
                if isinstance(event, Started) and event.conversation_id:
                    await self.remember(key, app, event.conversation_id)
                yield event
