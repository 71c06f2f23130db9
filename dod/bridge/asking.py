"""One question put to Dify, and what each event of its answer means to the person who waits."""

from dod.bridge.answer import Answer
from dod.bridge.attachments import Intake, Prepared
from dod.bridge.claim import Claim
from dod.bridge.conversations import Conversations, user_of
from dod.bridge.extras import Extras
from dod.bridge.inputs import question_of
from dod.bridge.pictures import Pictures
from dod.bridge.progress import progress_line
from dod.bridge.serving import Serving
from dod.bridge.telling import Telling
from dod.bridge.view import View
from dod.errors import DodError
from dod.messages import (
    AnswerEvent,
    AnswerFile,
    Cited,
    ConversationKey,
    Finished,
    Progress,
    Question,
    Started,
    TextDelta,
    TextReplaced,
    Waiting,
)
from dod.texts import Tongue, say

TELL_RETRYING_AFTER = 1.0  # seconds since Dify was asked first


class Asking:
    """Of one turn: ``listen`` once, in a task of its own. Thread: the bot's loop."""

    def __init__(
        self,
        claim: Claim,
        key: ConversationKey,
        serving: Serving,
        *,
        answer: Answer,
        view: View,
        pictures: Pictures,
        extras: Extras,
        conversations: Conversations,
        intake: Intake,
        telling: Telling,
        tongue: Tongue,
    ) -> None:
        self._claim = claim
        self._key = key
        self._serving = serving
        self._answer = answer
        self._view = view
        self._pictures = pictures
        self._extras = extras
        self._conversations = conversations
        self._intake = intake
        self._telling = telling
        self._tongue: Tongue = tongue
        self._retrying_told = False

    async def listen(self) -> None:
        """Ask, and take Dify's events until its terminal one."""
        answer, spec = self._answer, self._serving.spec
        try:
            question = await self._question()
        except DodError as error:
            answer.error = error
            return
        if question is None:
            answer.finished = Finished()
            return
        self._extras.begin()
        events = self._conversations.ask(self._serving.app, question, self._key, spec.conversation)
        await answer.listen(events, self._hear)
        if answer.error is None and answer.finished and answer.finished.outcome == "complete":
            await self._extras.ask_next()

    async def _hear(self, event: AnswerEvent) -> None:
        """What one event of Dify's means to the person who waits."""
        match event:
            case Waiting():
                await self._tell_retrying(event.seconds)
            case AnswerFile():
                self._pictures.attach(event)
            case Started() | Cited():
                self._extras.heard(event)
            case Progress():
                self._tell_progress(event)
            case TextDelta():
                if not self._answer.text:
                    await self._extras.before_text()
                self._telling.show()
            case TextReplaced():
                self._telling.show(withdrawn=not _goes_on(self._answer.text, event.text))
            case Finished():
                self._telling.progress("")

    async def _tell_retrying(self, seconds: float) -> None:
        """Dify is overloaded, or starting, and is asked again: say so, once."""
        if seconds < TELL_RETRYING_AFTER or self._retrying_told:
            return
        self._retrying_told = True
        await self._telling.notice(say("dify_retrying", self._tongue))

    async def _question(self) -> Question | None:
        """What to ask, with the files handed over; None if nothing is left to ask."""
        user, message = user_of(self._key), self._claim.message
        asked = Prepared(await self._extras.question(message))
        if message.attachments:
            asked = await self._intake.prepare(
                message, asked.text, self._serving, user, self._tongue
            )
            self._view.notes = asked.notes
            if asked.hopeless:
                return None
        return question_of(message, asked, self._serving.spec, user)

    def _tell_progress(self, progress: Progress) -> None:
        if self._serving.spec.show.tools:
            self._telling.progress(progress_line(progress, self._tongue))


def _goes_on(before: str, text: str) -> bool:
    """Whether ``text`` replaces ``before`` by itself, as moderation of 0.15 does (dify-api §2)."""
    return text.startswith(before.rstrip())
