"""The DingTalk side of one bot, as the bridge sees it."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from dod.dingtalk import replies
from dod.dingtalk.api import Api
from dod.dingtalk.cards import AICard
from dod.dingtalk.cardtexts import CardTexts
from dod.dingtalk.downloads import download
from dod.dingtalk.files import Files
from dod.dingtalk.stream import Stream
from dod.dingtalk.times import EAGER, USUAL, Backoff, Times
from dod.messages import Attachment, CardStyle, Message, Press, PressReply
from dod.ports import Card, Channel, Connection, Download, MediaKind, StateChange


class DingTalkChannel:
    """Implements ``dod.ports.Channel``. Lifecycle and thread: see there.

    ``openapi``, ``oapi``: base URLs of the new API and of the old one, which takes files. ``qps``:
    calls per second and API, asked each time, 0 = no limit.
    ``spend`` and ``push`` hear the corp id of each counted OpenAPI call, and of each message that
    came or went by stream or webhook, ``exhausted`` that of an organisation without quota left;
    all on the bot's loop. ``name`` is for the log, ``wall`` the local clock.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        openapi: str,
        oapi: str = "https://oapi.dingtalk.com",
        qps: Callable[[], int],
        spend: Callable[[str], None],
        push: Callable[[str], None],
        exhausted: Callable[[str], None] = lambda _corp_id: None,
        backoff: Backoff = EAGER,
        times: Times = USUAL,
        name: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._push = push
        self._texts = CardTexts()
        self._api = Api(
            client_id=client_id,
            client_secret=client_secret,
            openapi=openapi,
            qps=qps,
            spend=spend,
            exhausted=exhausted,
            times=times,
        )
        self._files = Files(self._api, oapi)
        self._stream = Stream(
            self._api, name=name or client_id[:8], push=push, backoff=backoff, wall=wall
        )

    async def run(
        self,
        on_message: Callable[[Message], Awaitable[None]],
        on_state: Callable[[StateChange], None],
        on_press: Callable[[Press], Awaitable[PressReply]] | None = None,
    ) -> None:
        async def hear(message: Message) -> None:
            await on_message(self._texts.fill(message))

        await self._stream.run(hear, on_state, on_press)

    async def leave(self) -> None:
        await self._stream.leave()

    def card(self, message: Message, style: CardStyle, n: int = 0) -> Card:
        return AICard(self._api, message, style, n, texts=self._texts)

    async def reply(
        self,
        message: Message,
        text: str,
        *,
        mention: bool = False,
        foreign: bool = False,
        other_way: bool = False,
    ) -> None:
        if foreign:
            await replies.by_webhook(self._api, message, text, self._push, mention=mention)
        else:
            await replies.send(
                self._api, message, text, self._push, mention=mention, robot_first=other_way
            )

    async def upload(self, content: bytes, name: str, kind: MediaKind, *, corp_id: str = "") -> str:
        return await self._files.upload(content, name, kind, corp_id)

    async def send_file(self, message: Message, media_id: str, name: str) -> None:
        await self._files.send_file(message, media_id, name)

    async def send_picture(self, message: Message, media_id: str) -> None:
        await self._files.send_picture(message, media_id)

    async def tell(self, staff_ids: Sequence[str], text: str, *, corp_id: str = "") -> None:
        await replies.tell(self._api, staff_ids, text, corp_id)

    def download(
        self, attachment: Attachment, *, corp_id: str = ""
    ) -> AbstractAsyncContextManager[Download]:
        return download(self._api, attachment, corp_id)

    def now(self) -> float:
        return self._api.clock.now()

    def hurry(self) -> None:
        self._api.open_gate()

    @property
    def connections(self) -> int:
        return self._stream.opened

    @property
    def connection(self) -> Connection | None:
        return self._stream.connection

    async def aclose(self) -> None:
        await self._stream.aclose()
        await self._api.aclose()


_: type[Channel] = DingTalkChannel
