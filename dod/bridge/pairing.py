"""A picture waits for the question that usually follows it.

On a phone a picture and its question are two messages. Thread: the bot's loop.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace

from dod.bridge.claim import Claim
from dod.config.spec import BotSpec
from dod.messages import ConversationKey, Message

Owner = tuple[ConversationKey, str]  # whose memory, and who: a group may share one conversation


def waits_for_question(message: Message, spec: BotSpec) -> bool:
    """It brings something to look at, and asks nothing yet. A voice asks by itself."""
    seen = any(it.kind != "audio" for it in message.attachments)
    wordless = seen and not message.text.strip() and not message.error_code
    return wordless and spec.image_wait_seconds > 0


@dataclass(eq=False, slots=True)
class Waiting:
    """The newest of the messages that wait, and those before it."""

    owner: Owner
    claims: list[Claim]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    until: float = 0.0  # loop time
    told: bool = False  # why the question was refused: nothing more is said


class Pairing:
    """Messages that wait for their question, by who sent them. They stay ``taken`` on disk."""

    def __init__(self) -> None:
        self._waiting: dict[Owner, Waiting] = {}
        self._closed = False

    def enter(self, owner: Owner, claim: Claim) -> Waiting:
        """Begin to wait, with what waits already. At receipt, so that order is kept."""
        earlier = self._waiting.get(owner)
        if earlier is not None:
            earlier.over.set()
        waiting = Waiting(owner, [*(earlier.claims if earlier else ()), claim])
        if self._closed:
            waiting.over.set()
            return waiting
        self._waiting[owner] = waiting
        return waiting

    async def wait(self, waiting: Waiting, seconds: float) -> bool:
        """True if its newest message is to be asked now, and takes the earlier ones along.

        False if somebody else has taken it: a question, a later picture, or a command.
        """
        loop = asyncio.get_running_loop()
        waiting.until = max(waiting.until, loop.time() + seconds)
        while (left := waiting.until - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await waiting.over.wait()
                    return False
        if self._waiting.get(waiting.owner) is not waiting:
            return False
        await self.join(waiting.owner, waiting.claims[-1])
        return True

    def refused(self, owner: Owner, seconds: float) -> None:
        """The question is not for the app, and its person was told why.

        What waits for it waits ``seconds`` from now on, for the question to be asked again.
        """
        waiting = self._waiting.get(owner)
        if waiting is not None:
            waiting.told = True
            waiting.until = asyncio.get_running_loop().time() + seconds

    def take_out(self, waiting: Waiting, claim: Claim) -> bool:
        """``claim`` is not for the app; those before it go on waiting. False if it is not here."""
        if self._waiting.get(waiting.owner) is not waiting:
            return False
        waiting.claims.remove(claim)
        if not waiting.claims:
            del self._waiting[waiting.owner]
        return True

    async def join(self, owner: Owner, claim: Claim) -> None:
        """``claim`` is the question: what has waited for it goes along."""
        earlier = [it for it in self.drop(owner) if it is not claim]
        if not earlier:
            return
        own = claim.message.attachments
        # After a crash between the two writes below it has brought them already.
        brought = [it for one in earlier for it in one.message.attachments if it not in own]
        merged = (*brought, *own)
        await claim.rewritten(replace(claim.message, attachments=merged))
        for one in earlier:  # after the line above: a crash in between asks twice, never not at all
            await one.done()

    def drop(self, owner: Owner) -> list[Claim]:
        """Nothing of this person waits any more: what did, for the caller to end."""
        waiting = self._waiting.pop(owner, None)
        if waiting is None:
            return []
        waiting.over.set()
        return waiting.claims

    def close(self) -> None:
        """Shutting down: what waits, now or later, stays on disk for the next start."""
        self._closed = True
        for owner in tuple(self._waiting):
            self.drop(owner)
