"""Where a message is received: claimed and given its place, then handed to the desk.

Thread: the bot's loop.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dod.bridge.attachments import Intake
from dod.bridge.claims import Claims
from dod.bridge.commands import AT_ONCE, command_in
from dod.bridge.conversations import Conversations, key_of
from dod.bridge.desk import Desk, leave
from dod.bridge.endings import Insisting
from dod.bridge.haste import Haste
from dod.bridge.lanes import Lanes
from dod.bridge.limits import Admission
from dod.bridge.orders import Orders
from dod.bridge.pairing import Pairing, waits_for_question
from dod.bridge.patience import Patience
from dod.bridge.presses import Presses
from dod.bridge.ratings import Ratings
from dod.bridge.resumption import Resumption
from dod.bridge.serving import Serving
from dod.bridge.suggestions import Suggestions
from dod.bridge.tongues import Tongues
from dod.bridge.underway import Meter, Underway
from dod.config.spec import Config
from dod.messages import Message
from dod.ports import Store

T = TypeVar("T")


class Reception:
    """All messages of one bot. ``serving`` is asked at receipt; a message keeps what it got."""

    def __init__(
        self,
        store: Store,
        serving: Callable[[], Serving],
        config: Callable[[], Config],
        meter: Meter,
        haste: Haste,
    ) -> None:
        self.patience = Patience()
        self.lanes = Lanes(lambda: serving().spec.capacity)
        self.tasks: set[asyncio.Task[Any]] = set()
        self.corp_id = ""  # of the last message
        tongues = Tongues(config)
        intake = Intake()
        self._pairing = Pairing()
        self._haste = haste
        self.insisting = Insisting()
        conversations = Conversations(store, self.patience)
        suggestions = Suggestions(store)
        ratings = Ratings(store, self.patience)
        self.underway = Underway(
            store,
            self.patience,
            self.lanes,
            meter,
            conversations=conversations,
            intake=intake,
            ratings=ratings,
            suggestions=suggestions,
            tongues=tongues,
            insisting=self.insisting,
            spawn=self.spawn,
        )
        self._desk = Desk(
            self.lanes,
            self._pairing,
            self.underway,
            self.insisting,
            admission=Admission(store, config, self.patience),
            intake=intake,
            orders=Orders(conversations, ratings, suggestions),
            tongues=tongues,
        )
        self.presses = Presses(config, lambda: self.underway.turns, ratings, tongues, self.spawn)
        self.resumption = Resumption(self.lanes, tongues, self.insisting, self._desk, self.spawn)

    # -- one message

    async def receive(
        self, message: Message, client_id: str, claims: Claims, serving: Serving
    ) -> None:
        """Claim a message and give it a turn. Returns when it may be acknowledged."""
        command = command_in(message.text)
        self.corp_id = message.corp_id or self.corp_id
        key = key_of(client_id, message, serving.spec.conversation)
        place, running = None, False
        waits = waits_for_question(message, serving.spec)
        if command in {"stop", "new"}:
            dropped = self._pairing.drop((key, message.sender.key))
            running = self.underway.stop(key) or bool(dropped)
            for waiting in dropped:
                self.spawn(waiting.done(), f"dropped {waiting.message.id}")
        if command not in AT_ONCE and not waits:
            place = self.lanes.enter(key, light=command is not None)
        serving.hold()  # until the task below releases it
        try:
            claim = await claims.take(message)
        except BaseException:
            leave(place, serving)
            raise
        if claim is None:
            leave(place, serving)
            return
        if command == "stop" and not running:
            command = "stop_nothing"
        if waits:
            work = self._desk.take_in_later(claim, key, serving)
        else:
            work = self._desk.take_in(claim, key, place, command, serving)
        self.spawn(work, f"turn {message.id}")

    # -- all messages

    def give_up_waiting(self) -> None:
        """Shutting down: nobody's turn begins any more."""
        self.lanes.close()
        self._pairing.close()
        self.underway.give_up_waiting()

    def give_up(self) -> None:
        """Shutting down: end every turn with what it has and a sentence."""
        self.lanes.close()
        self._pairing.close()
        self.underway.give_up()

    async def until_idle(self, seconds: float) -> None:
        """Wait until every message is answered, at most ``seconds``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (tasks := self._busy()) and (left := deadline - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)

    def _busy(self) -> tuple[asyncio.Task[Any], ...]:
        return (*self.tasks, *(self.insisting.tasks if self._haste.made else ()))

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run ``work`` in a task that is kept."""
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def halt(self) -> None:
        """End everything at once: what was promised stays on disk for the next start."""
        self.lanes.close()
        tasks = (*self.tasks, *self.insisting.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
