"""What an answer has besides its text: a greeting before it, sources and next questions below.

None of it may delay or spoil the answer: what Dify does not say in time is left out.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from dod.bridge.citations import citations
from dod.bridge.conversations import user_of
from dod.bridge.markdown import joined
from dod.bridge.patience import Patience
from dod.bridge.serving import Serving
from dod.bridge.suggestions import Suggestions, suggestion_list
from dod.errors import DifyError
from dod.messages import Cited, ConversationKey, Message, Parameters, Started
from dod.ports import Store
from dod.texts import Tongue

log = logging.getLogger(__name__)

T = TypeVar("T")
STORE_WAIT = 1.0  # seconds
OPENING_WAIT = 0.5  # seconds for the opening statement, at the first text of a first contact
SUGGESTIONS_WAIT = 6.0  # seconds for a model to write them


class Extras:
    """Of one turn. Thread: the bot's loop.

    Lifecycle: ``meet`` → ``begin`` → ``heard*`` → ``ask_next`` → ``delivered``; ``close`` always.
    """

    def __init__(
        self,
        store: Store,
        patience: Patience,
        suggestions: Suggestions,
        serving: Serving,
        *,
        key: ConversationKey,
        tongue: Tongue,
    ) -> None:
        self._store = store
        self._patience = patience
        self._suggestions = suggestions
        self._serving = serving
        self._key = key
        self._tongue: Tongue = tongue
        self._chats = serving.spec.dify_app_type == "chatbot"
        self._new = False  # nobody has spoken to the bot in this chat before
        self._about: asyncio.Task[Parameters | None] | None = None
        self._greeting = ""
        self._message_id = ""
        self._sources: tuple[str, ...] = ()
        self._next: tuple[str, ...] = ()

    async def meet(self) -> None:
        """Find out whether this is a first contact, which is greeted."""
        self._new = await self._soon(self._never_met()) is True
        if self._new:
            self._greeting = self._serving.spec.greeting.strip()

    async def _never_met(self) -> bool:
        """True for one of several who ask at once."""
        if not await self._store.add(self._chat, {"met": True}):
            return False
        return await self._store.get(f"conversation/{self._key}") is None

    @property
    def _chat(self) -> str:
        return f"met/{self._key.client_id}/{self._key.chat_id}"

    async def question(self, message: Message) -> str:
        """What Dify is asked: its text, or the suggestion that it is the number of.

        Offered once: what the next answer asks by itself ("1 or 2?") is not mistaken for it.
        """
        text = message.text
        if not self._serving.spec.show.suggestions:
            return text
        if not (message.attachments or message.quote):
            text = await self._soon(self._suggestions.pick(self._key, text)) or text
        await self._soon(self._suggestions.offer(self._key, ()))
        return text

    def begin(self) -> None:
        """Ask the app about itself, beside everything else."""
        if self._chats and (self._serving.spec.show.suggestions or self._wants_opening):
            self._about = asyncio.create_task(self._ask_about(), name="parameters")

    async def _ask_about(self) -> Parameters | None:
        try:
            return await self._serving.app.parameters()
        except DifyError as error:
            log.debug("bot=%s no parameters: %s", self._serving.spec.name, error)
            return None

    @property
    def _wants_opening(self) -> bool:
        return self._new and not self._greeting

    async def before_text(self) -> None:
        """The first text is there: now or never is the app's opening statement known."""
        about = await self._app(OPENING_WAIT) if self._wants_opening else None
        if about and "{{" not in about.opening:  # variables of the app's form: Dify fills them in
            self._greeting = about.opening

    def heard(self, event: Started | Cited) -> None:
        if isinstance(event, Cited):
            self._sources = event.sources
        else:
            self._message_id = event.message_id

    async def ask_next(self) -> None:
        """The answer is complete: find out which questions may come next."""
        if not self._serving.spec.show.suggestions or not (about := await self._app(0.2)):
            return
        if about.suggests and self._message_id:
            asking = self._serving.app.suggested(self._message_id, user_of(self._key))
            try:
                async with asyncio.timeout(SUGGESTIONS_WAIT):
                    self._next = await asking
            except (DifyError, TimeoutError) as error:
                log.debug("bot=%s no suggestions: %s", self._serving.spec.name, error)
        elif self._new:
            self._next = about.openers

    def around(self, text: str, *, complete: bool) -> str:
        """``text`` with what goes before it, and, ``complete``, below it."""
        if not text.strip():
            return text
        front = f"{self._greeting}\n\n---\n\n" if self._greeting else ""
        if not complete:
            return front + text
        spec = self._serving.spec
        sources = citations(self._sources, self._tongue) if spec.show.citations else ""
        return joined(front + text, sources, suggestion_list(self._next, self._tongue))

    async def delivered(self) -> None:
        """The person has it all."""
        self._new = False
        await self._soon(self._suggestions.offer(self._key, self._next))

    async def close(self) -> None:
        """Whatever became of the answer. Who got none is greeted the next time."""
        if self._about is not None:
            self._about.cancel()
        if self._new:
            await self._soon(self._store.delete(self._chat))

    async def _app(self, seconds: float) -> Parameters | None:
        if self._about is None:
            return None
        await asyncio.wait({self._about}, timeout=seconds)
        return self._about.result() if self._about.done() else None

    async def _soon(self, call: Coroutine[Any, Any, T]) -> T | None:
        """What the store says, or None if the disk does not answer: the turn goes on."""
        return await self._patience.soon(call, "extras", STORE_WAIT)
