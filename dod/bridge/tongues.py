"""In which language each person spoke last: commands and buttons have none of their own."""

from collections.abc import Callable

from dod.bridge.commands import command_in
from dod.config.spec import Config
from dod.messages import Message
from dod.texts import Tongue, tongue

KEPT = 500  # people; somebody else's command is answered in the language of its letters


class Tongues:
    """Thread: the bot's loop."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._spoken: dict[str, Tongue] = {}  # by person

    def of(self, message: Message) -> Tongue:
        """The language to answer ``message`` in."""
        if self._config().language == "auto" and command_in(message.text):
            return self._spoken.get(message.sender.key, tongue("auto", message.text))
        spoken = tongue(self._config().language, message.text)
        if message.text.strip():
            self._spoken.pop(message.sender.key, None)
            self._spoken[message.sender.key] = spoken  # who spoke last is last
            if len(self._spoken) > KEPT:
                del self._spoken[next(iter(self._spoken))]
        return spoken

    def of_person(self, person: str) -> Tongue:
        """The language of somebody who says nothing, but presses a button."""
        usual = tongue(self._config().language, "")
        return self._spoken.get(person, usual) if self._config().language == "auto" else usual
