"""Order within a conversation, parallel across conversations, room for so many turns at once.

Places are fixed at receipt; the cards of a chat are opened in their order, too. Thread: the bot's
loop; nothing here waits or locks but ``Place``.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

from dod.messages import ConversationKey

ORDER_WAIT = 0.5  # seconds that a card waits for the one before it in its chat: hurry is better


class Place:
    """One message's place in its lane. Lifecycle: ``wait`` → work → ``leave`` (always)."""

    def __init__(
        self, lanes: "Lanes", key: ConversationKey, serial: int, *, light: bool = False
    ) -> None:
        self.key = key
        self.serial = serial  # grows with every receipt
        self.light = light  # waits for its conversation, but takes no room
        self.before: Place | None = None  # the message that this chat heard before
        self._lanes = lanes
        self._free = False
        self._decided = asyncio.Event()
        self._opened = asyncio.Event()

    @property
    def free(self) -> bool:
        """The turn may run now."""
        return self._free

    @property
    def number(self) -> int:
        """1 for the next in the queue; 0 when free."""
        return 0 if self.free else self._lanes.waiting.index(self) + 1

    async def wait(self) -> bool:
        """True when it is free; False if it will never be, for the bot is draining."""
        await self._decided.wait()
        return self._free

    async def in_order(self) -> None:
        """Wait until the card of the message before is on its way, or will not come."""
        if self.before is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ORDER_WAIT):
                    await self.before._opened.wait()  # noqa: SLF001  # another place's

    def opened(self) -> None:
        """This message's card is on its way. Idempotent."""
        self._opened.set()

    def leave(self) -> None:
        """Make room, whether this place was free or still waited. Idempotent."""
        self._lanes.remove(self)
        self.before = None
        self.opened()

    def admit(self) -> None:
        self._free = True
        self._decided.set()

    def leave_out(self) -> None:
        """It will not become free."""
        self._decided.set()


class Lanes:
    """All places of one bot. ``capacity`` is read at every change, so it is live."""

    def __init__(self, capacity: Callable[[], int]) -> None:
        self.waiting: list[Place] = []
        self.running: set[Place] = set()
        self._capacity = capacity
        self._closed = False
        self._serials = itertools.count()
        self._last: dict[str, Place] = {}  # by chat

    def now(self) -> int:
        """A serial between those of the places entered before and after."""
        return next(self._serials)

    def busy(self, key: ConversationKey) -> bool:
        """Something of this conversation runs or waits."""
        return any(place.key == key for place in (*self.running, *self.waiting))

    def enter(self, key: ConversationKey, *, light: bool = False) -> Place:
        place = Place(self, key, next(self._serials), light=light)
        if not light:  # a command has no card
            place.before = self._last.get(key.chat_id)
            self._last[key.chat_id] = place
        self.waiting.append(place)
        if self._closed:
            place.leave_out()
        self.admit()
        return place

    def remove(self, place: Place) -> None:
        if place in self.running:
            self.running.remove(place)
        elif place in self.waiting:
            self.waiting.remove(place)
        if self._last.get(place.key.chat_id) is place:
            del self._last[place.key.chat_id]
        self.admit()

    def close(self) -> None:
        """No waiting place becomes free any more: the bot is draining."""
        self._closed = True
        for place in self.waiting:
            place.leave_out()

    def admit(self) -> None:
        """Free the places whose turn it is: oldest first, one per conversation."""
        if self._closed or not self.waiting:
            return
        busy = {place.key for place in self.running}
        room = self._capacity() - sum(not place.light for place in self.running)
        for place in tuple(self.waiting):
            if place.key not in busy and (place.light or room > 0):
                room -= not place.light
                self.waiting.remove(place)
                self.running.add(place)
                place.admit()
            # a later message of a waiting conversation must not overtake an earlier one
            busy.add(place.key)
