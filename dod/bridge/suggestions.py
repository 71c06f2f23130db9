"""Questions that may come next: a person picks one by its number."""

import re
import unicodedata
from collections.abc import Sequence

from dod.messages import ConversationKey
from dod.ports import Store
from dod.texts import Tongue, say

KEEP = 24 * 3600.0  # seconds
KEPT = 200  # conversations without any; one more delete on disk for each of the others
_NUMBER = re.compile(r"\s*([1-9])\s*[.,、。)]?\s*\Z")


class Suggestions:
    """What was offered last in each conversation, on disk. Thread: the bot's loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._empty: set[str] = set()  # where nothing is offered, as far as this process knows

    async def pick(self, key: ConversationKey, text: str) -> str:
        """The question that ``text`` is the number of, else ``text``."""
        found = _NUMBER.match(unicodedata.normalize("NFKC", text))
        if found is None:
            return text
        offered = await self._store.get(f"suggestions/{key}")
        questions = offered.get("questions") if offered else None
        number = int(found[1])
        if not isinstance(questions, list) or number > len(questions):
            return text
        return str(questions[number - 1])

    async def offer(self, key: ConversationKey, questions: Sequence[str]) -> None:
        """These, and no others, can be picked from now on."""
        name = f"suggestions/{key}"
        if questions:
            self._empty.discard(name)
            await self._store.put(name, {"questions": list(questions)}, expire=KEEP)
        elif name not in self._empty:
            if len(self._empty) >= KEPT:
                self._empty.clear()
            self._empty.add(name)
            await self._store.delete(name)


def suggestion_list(questions: Sequence[str], tongue: Tongue) -> str:
    """Markdown; empty without questions."""
    if not questions:
        return ""
    lines = [f"{number}. {question}" for number, question in enumerate(questions, 1)]
    return "\n".join([say("suggestions", tongue), "", *lines])
