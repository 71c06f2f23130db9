"""What a person is shown of one answer, while it is written and when it has ended."""

import logging
from typing import Literal

from dod.bridge.answer import Answer
from dod.bridge.extras import Extras
from dod.bridge.markdown import joined
from dod.bridge.pictures import Pictures
from dod.bridge.thinking import think
from dod.config.spec import BotSpec
from dod.messages import Finished, sound
from dod.texts import Tongue, say

log = logging.getLogger(__name__)

Outcome = Literal["answered", "empty", "stopped", "paused", "failed", "dropped"]
Reason = Literal["stopped", "shutting_down"]


class View:
    """``notes``: what could not be taken along with the question; they stand before the answer."""

    def __init__(
        self, answer: Answer, pictures: Pictures, extras: Extras, spec: BotSpec, tongue: Tongue
    ) -> None:
        self.notes: list[str] = []
        self._answer = answer
        self._pictures = pictures
        self._extras = extras
        self._spec = spec
        self._tongue: Tongue = tongue

    def text(self, *, complete: bool) -> str:
        """All there is to show by now. Asked once per update, not per event."""
        show = self._spec.show.thinking
        text = think(sound(self._answer.text), show, self._tongue, complete=complete)
        text = self._pictures.shown(text, complete=complete)
        text = self._extras.around(text, complete=complete and self._whole)
        if self.notes:
            text = joined("\n".join(f"⚠️ {note}" for note in self.notes), text)
        return sound(text)  # names, greetings and suggestions may hold half an emoji, too

    @property
    def _whole(self) -> bool:
        """The app has said all it had to say."""
        finished = self._answer.finished
        return finished is not None and finished.outcome == "complete"

    def verdict(self, given_up: Reason | None) -> tuple[Outcome, str]:
        """How the turn ended, and the whole text to leave with the person."""
        text, answer = self.text(complete=True).rstrip(), self._answer
        if given_up == "shutting_down":
            return "failed", self._cut_off(text, say("shutting_down", self._tongue))
        if given_up == "stopped":
            return "stopped", joined(text, say("stopped", self._tongue))
        if answer.error is not None:
            log.warning("bot=%s turn failed: %s", self._spec.name, answer.error)
            return "failed", self._cut_off(text, say(answer.error.key, self._tongue))
        finished = answer.finished or Finished()
        if finished.outcome == "stopped":  # nobody here has asked for it
            return "failed", self._cut_off(text, say("dify_stopped", self._tongue))
        if finished.outcome == "paused":
            return "paused", joined(text, sound(finished.form), say("paused", self._tongue))
        said = answer.text.strip() or self._pictures.some
        if not text.strip() or (answer.asked and not said):
            return "empty", joined(text, say("empty_answer", self._tongue))
        return "answered", text

    def _cut_off(self, text: str, reason: str) -> str:
        key = "cut_off" if text.strip() else "failed"
        return joined(text, say(key, self._tongue, reason=reason))
