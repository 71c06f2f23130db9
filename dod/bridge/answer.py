"""What Dify answers to one question: heard event by event, and stopped when nobody waits for it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from dod.errors import AnswerCut, DodError
from dod.messages import AnswerEvent, Finished, Started, TextDelta, TextReplaced, Waiting
from dod.ports import App

log = logging.getLogger(__name__)


class Answer:
    """Lifecycle: ``listen`` once, in a task of its own; ``stop`` once, during it or after it.

    ``text``: what came so far. ``finished``: the terminal event, if it came; ``error``: what came
    instead. ``held_off``: Dify has not taken the question yet, and is asked again.
    """

    def __init__(self, app: App, user: str) -> None:
        self.text = ""
        self.finished: Finished | None = None
        self.error: DodError | None = None
        self.held_off = True
        self.message_id = ""  # names the answer for a rating
        self._app = app
        self._user = user
        self._task_id = ""
        self._started = asyncio.Event()
        self._stopped = False

    async def listen(
        self,
        events: AsyncGenerator[AnswerEvent, None],
        on_event: Callable[[AnswerEvent], Awaitable[None]],
    ) -> None:
        """Take Dify's events until its terminal one; ``on_event`` hears each before it counts.

        Never raises DodError: see ``error``.
        """
        self.held_off = False
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self.held_off = isinstance(event, Waiting)
                    await on_event(event)
                    match event:
                        case Started():
                            self._task_id, self.message_id = event.task_id, event.message_id
                            self._started.set()
                        case TextDelta():
                            self.text += event.text
                        case TextReplaced():
                            self.text = event.text
                        case Finished():
                            self.finished = event
            if self.finished is None:
                raise AnswerCut("the app ended without a terminal event")
        except DodError as error:
            self.error = error

    @property
    def asked(self) -> bool:
        """Dify has begun to answer."""
        return self._started.is_set()

    @property
    def unfinished(self) -> bool:
        """Dify may still be writing, and nobody has told it that nobody listens."""
        if self._stopped or self.finished is not None or not self._task_id:
            return False
        return self.error is None or self.error.key in {"dify_cut", "dify_timeout"}

    async def stop(self) -> None:
        """Tell Dify to end the answer, as soon as its name is known (the first event says it).

        Hanging up is no stop, and loses the history (dify-api §3). Never raises DodError.
        """
        await self._started.wait()
        if not self._task_id:
            return
        self._stopped = True
        try:
            await self._app.stop(self._task_id, self._user)
        except DodError as error:
            log.info("Dify was not stopped: %s", error)
