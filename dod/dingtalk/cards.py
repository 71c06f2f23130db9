"""One AI card: created and delivered in one call, typed on, ended (dingtalk-protocol §5)."""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dod.dingtalk.api import Api, Json
from dod.dingtalk.bucket import Rank
from dod.dingtalk.cardtexts import CardTexts
from dod.dingtalk.frames import words
from dod.dingtalk.refusals import surely_not_done
from dod.errors import DingTalkBusy, DingTalkError, Undeliverable
from dod.messages import CardStyle, Message, digest
from dod.ports import Card

log = logging.getLogger(__name__)

_CREATE = "/v1.0/card/instances/createAndDeliver"
_STREAM = "/v1.0/card/streaming"
_UPDATE = "/v1.0/card/instances"

# flowStatus of the public template (§5). FAILED is "5" and never written, see ``AICard.fail``.
_TYPING = "2"
_FINISHED = "3"
# A longer text that came by one PUT of the variables was seen to show as a blank card (§5.4).
_PUT_MAX = 3000  # characters

T = TypeVar("T")


def first_params(style: CardStyle) -> dict[str, str]:
    """The variables that a card is created with."""
    if not style.public:
        return {}
    # Without these the public template never shows what is streamed (design §5.4).
    order = json.dumps({"order": [style.content_key]}, separators=(",", ":"))
    return {"flowStatus": _TYPING, "sys_full_json_obj": order}


class AICard:
    """Implements ``dod.ports.Card``. The id depends on bot, message and ``n`` alone."""

    def __init__(
        self,
        api: Api,
        message: Message,
        style: CardStyle,
        n: int = 0,
        *,
        texts: CardTexts | None = None,
    ) -> None:
        self._api = api
        self._texts = texts or CardTexts()
        self._carrier = ""  # what DingTalk calls it where somebody quotes it
        self._message = message
        self._style = style
        self._id = digest(api.client_id, message.id, str(n))
        self._opened = False
        self._maybe_ended = False  # the answer to its ending was lost
        self._undeliverable: Undeliverable | None = None

    @property
    def id(self) -> str:
        return self._id

    async def open(self) -> None:
        """Create and deliver. A lost or failed call is repeated once, with the same outTrackId.

        That the card exists already is success: only this message's card can have its id.
        """
        if self._opened:
            return
        if self._undeliverable is not None:
            raise self._undeliverable
        body = self._creation()
        try:
            got = await self._twice(lambda: self._call("POST", _CREATE, body, Rank.CREATE))
        except DingTalkError as error:
            if "cardalreadyexist" not in error.code.lower():
                first = error.__context__
                if isinstance(first, DingTalkBusy) and not surely_not_done(first):
                    raise first from error  # the refusal of the second says nothing of the first
                raise
        else:
            self._check_delivery(got)
        self._opened = True

    async def update(self, latest: Callable[[], str], *, first: bool = False) -> None:
        """Show the newest text. Tried once: the next update brings more. Raises Throttled."""
        rank = Rank.FIRST if first else Rank.UPDATE
        await self._stream(latest, uuid.uuid4().hex, rank=rank)

    async def finish(self, text: str, guid: str) -> None:
        await self._end(text, guid, is_finalize=True)
        if self._style.public:
            await self._put_finished(text)

    async def fail(self, text: str, guid: str) -> None:
        """End the card as failed; with the public template as finished, with ``text`` on it.

        DingTalk's connector never sets that template's failed state, and the SDK sets it without
        any text (``AIMarkdownCardInstance.ai_fail``): whether it shows one, nobody says. The
        sentence that says what went wrong matters more than the colour of the card's head.
        """
        if self._style.public:
            await self.finish(text, guid)
        else:
            await self._end(text, guid, is_error=True)

    async def withdraw(self, text: str) -> None:
        """By its variable: an ended card takes no more streaming (§5.4, §5.5)."""
        await self._put({self._style.content_key: text})

    # ------------------------------------------------------------------ creation

    def _creation(self) -> Json:
        robot = {"robotCode": self._api.client_id}  # equal for internal apps (§3)
        chat, staff_id = self._message.chat, self._message.sender.staff_id
        forward = {"supportForward": True}
        body: Json = {
            "cardTemplateId": self._style.template_id,
            "outTrackId": self._id,
            "callbackType": "STREAM",
            "cardData": {"cardParamMap": first_params(self._style)},
            "userIdType": 1,
        }
        if chat.kind == "group":
            return body | {
                "openSpaceId": f"dtv1.card//IM_GROUP.{chat.id}",
                "imGroupOpenSpaceModel": forward,
                "imGroupOpenDeliverModel": robot,
            }
        if not staff_id:
            self._undeliverable = Undeliverable("no card for someone without a staffId in a 1:1")
            raise self._undeliverable
        # dynamicSummary: the list of chats shows what the card says, not a fixed line (§5.2).
        return body | {
            "openSpaceId": f"dtv1.card//IM_ROBOT.{staff_id}",
            "imRobotOpenSpaceModel": forward,
            "imRobotOpenDeliverModel": {
                **robot,
                "spaceType": "IM_ROBOT",
                "extension": {"dynamicSummary": "true"},
            },
        }

    def _check_delivery(self, got: Json) -> None:
        """HTTP is 200 even if a space was not reached (§5.2)."""
        result = got.get("result")
        places = result.get("deliverResults") if isinstance(result, dict) else None
        for place in places if isinstance(places, list) else ():
            if isinstance(place, dict) and place.get("success") is False:
                reason = str(place.get("errorMsg") or "no reason given")[:200]
                self._undeliverable = Undeliverable(f"the card was not delivered: {reason}")
                raise self._undeliverable
            if isinstance(place, dict):
                self._carrier = words(place.get("carrierId"))

    # ------------------------------------------------------------------ ending

    async def _end(
        self, text: str, guid: str, *, is_finalize: bool = False, is_error: bool = False
    ) -> None:
        """Write the last text. A call whose answer was lost is repeated with the same ``guid``."""
        self._texts.keep(self._carrier, text)

        async def once() -> None:
            try:
                await self._stream(
                    text, guid, rank=Rank.CLOSE, is_finalize=is_finalize, is_error=is_error
                )
            except DingTalkBusy:
                self._maybe_ended = True
                raise
            except DingTalkError as error:
                if not self._says_ended(error):
                    raise
                log.debug("card %s had ended before: %s", self._id, error)

        await self._twice(once)
        self._maybe_ended = True

    def _says_ended(self, error: DingTalkError) -> bool:
        """Whether a refusal means that this very ending has been done before.

        Nobody documents that answer (dingtalk-protocol §11). When the same ending may have arrived
        earlier (its answer was lost, or a former process sent it), any 400 counts that does not
        complain about what was sent.
        """
        if type(error) is not DingTalkError or error.status != 400:
            return False
        code = error.code.lower()
        if code.startswith("param.stream") or "unsafe" in code:
            return False
        may_have_ended = self._maybe_ended or not self._opened
        return may_have_ended or "finaliz" in error.detail.lower()

    async def _put_finished(self, text: str) -> None:
        """Set the public template's flow status by hand, as DingTalk's own connector does."""
        params = {"flowStatus": _FINISHED}
        if len(text) > _PUT_MAX:
            await self._put(params)
            return
        try:
            await self._put({**params, self._style.content_key: text})
        except DingTalkError as error:
            if type(error) is not DingTalkError or error.status != 400:
                raise
            # A value above the documented 1 KB (§5.1)? The text is there from streaming anyway.
            await self._put(params)

    async def _put(self, params: dict[str, str]) -> None:
        body = {
            "outTrackId": self._id,
            "cardData": {"cardParamMap": params},
            "cardUpdateOptions": {"updateCardDataByKey": True},  # else the others are erased (§5.5)
        }
        await self._twice(lambda: self._call("PUT", _UPDATE, body, Rank.CLOSE))

    # ------------------------------------------------------------------ calls

    async def _stream(
        self,
        text: str | Callable[[], str],
        guid: str,
        *,
        rank: Rank,
        is_finalize: bool = False,
        is_error: bool = False,
    ) -> None:
        def body() -> Json:
            return {
                "outTrackId": self._id,
                "guid": guid,
                "key": self._style.content_key,
                "content": text if isinstance(text, str) else text(),
                "isFull": True,  # anything else is refused for Markdown (§5.4)
                "isFinalize": is_finalize,
                "isError": is_error,
            }

        await self._call("PUT", _STREAM, body, rank)

    async def _call(
        self, method: str, path: str, body: Json | Callable[[], Json], rank: Rank
    ) -> Json:
        return await self._api.call(
            method,
            path,
            body,
            rank=rank,
            corp_id=self._message.corp_id,
            patient=rank <= Rank.CREATE,
        )

    async def _twice(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except DingTalkBusy:
            await asyncio.sleep(self._api.times.again)
            return await call()


_: type[Card] = AICard
