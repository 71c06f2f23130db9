"""What DingTalk says to one app's credentials, template and scopes, with nothing shown to anybody.

No stream is opened: each further connection of an app gets a share of its messages
(dingtalk-protocol §1.2), and the bot that runs would miss them.
"""

import json
import uuid
from dataclasses import replace

from dod.dingtalk.api import Api, Json
from dod.dingtalk.bucket import Rank
from dod.dingtalk.cards import first_params
from dod.dingtalk.gateway import endpoint_of
from dod.dingtalk.times import USUAL
from dod.errors import CardGone, DingTalkError
from dod.messages import CardStyle

_CARD = "/v1.0/card/instances"
_STREAM = "/v1.0/card/streaming"
_SEND = "/v1.0/robot/oToMessages/batchSend"


class Probe:
    """Lifecycle: the questions, in the order in which they stand here → ``aclose``.

    Each raises DingTalkError, after ``within`` seconds at most. ``calls``: made so far, of those
    that DingTalk counts for the month (dingtalk-protocol §8).
    """

    def __init__(self, *, client_id: str, client_secret: str, openapi: str, within: float) -> None:
        self.calls = 0
        self._client_id = client_id
        self._card_id = f"dod-doctor-{uuid.uuid4().hex}"
        self._api = Api(
            client_id=client_id,
            client_secret=client_secret,
            openapi=openapi,
            qps=lambda: 0,
            spend=self._spend,
            times=replace(
                USUAL, answer=within, whole=within, handshake=within, patience=within / 2
            ),
        )

    async def credentials(self) -> None:
        """A token is to be had. Not counted."""
        await self._api.log_in()

    async def endpoint(self) -> str:
        """A ticket is to be had; for a websocket at this address. Not counted."""
        return await endpoint_of(self._api)

    async def card(self, style: CardStyle) -> None:
        """A card can be made of the template. It is delivered to nobody (§5.1). One call."""
        body: Json = {
            "cardTemplateId": style.template_id,
            "outTrackId": self._card_id,
            "callbackType": "STREAM",
            "cardData": {"cardParamMap": first_params(style)},
            "imRobotOpenSpaceModel": {"supportForward": True},
            "userIdType": 1,
        }
        await self._call("POST", _CARD, body)

    async def typing(self, style: CardStyle) -> None:
        """Text can be typed onto cards; onto the one of ``card``, which ends it. One call.

        Nobody documents what becomes of typing on a card that lies nowhere. Whatever DingTalk says
        of the card, it does not say that the scope is missing (§4); that it would look at the
        scope first is a guess.
        """
        body: Json = {
            "outTrackId": self._card_id,
            "guid": uuid.uuid4().hex,
            "key": style.content_key,
            "content": "dod doctor",
            "isFull": True,
            "isFinalize": True,
            "isError": False,
        }
        await self._past_the_scope("PUT", _STREAM, body)

    async def sending(self) -> None:
        """The robot may send messages: one to nobody is refused for that alone (§6). One call.

        A guess, as with ``typing``: that the scope is looked at before the message.
        """
        body: Json = {
            "robotCode": self._client_id,
            "userIds": [],
            "msgKey": "sampleText",
            "msgParam": json.dumps({"content": "dod doctor"}),
        }
        await self._past_the_scope("POST", _SEND, body)

    async def aclose(self) -> None:
        await self._api.aclose()

    async def _past_the_scope(self, method: str, path: str, body: Json) -> None:
        try:
            await self._call(method, path, body)
        except DingTalkError as error:
            # A refusal of no kind of its own is about what was sent; "unknownError" of the card.
            said = type(error) is DingTalkError and error.status == 400
            if not said and not isinstance(error, CardGone) and error.code != "unknownError":
                raise

    async def _call(self, method: str, path: str, body: Json) -> None:
        await self._api.call(method, path, body, rank=Rank.CREATE, corp_id="", patient=True)

    def _spend(self, _corp_id: str) -> None:
        self.calls += 1
