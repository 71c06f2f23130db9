"""The least bridge: the neighbours' own latencies and nothing else. ``python -m … FILE``

One loop for all bots. A card and the question go out together; three calls an answer: the card, its
first text, its end. No disk, no order, no retry, no redelivery, no reconnect: nobody could use it.
"""

import asyncio
import contextlib
import heapq
import itertools
import json
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

_BOT = "/v1.0/im/bot/messages/get"
_CARD = "/v1.0/card/instances/createAndDeliver"
_STREAM = "/v1.0/card/streaming"


class Gate:
    """At most ``qps`` calls a second; ends first, then what came first. 0: no limit.

    A place is free a second after the answer: when a call arrives nobody here can know.
    """

    def __init__(self, qps: int) -> None:
        self._free = qps or 1_000_000
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._turn = itertools.count()

    @contextlib.asynccontextmanager
    async def place(self, rank: int) -> AsyncIterator[None]:
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._turn), waiter))
        self._let(0)
        await waiter
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(1.0, self._let, 1)

    def _let(self, more: int) -> None:
        self._free += more
        while self._waiting and self._free:
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                self._free -= 1
                waiter.set_result(None)


class Bot:
    def __init__(self, session: aiohttp.ClientSession, given: dict[str, Any], bot: Any) -> None:
        self._session = session
        self._openapi, self._dify = given["openapi"], given["dify"]
        self._template = given["template"]
        self._id, self._secret = bot["client_id"], bot["client_secret"]
        self._key = bot["key"]
        self._gates = {path: Gate(given["qps"]) for path in (_CARD, _STREAM)}
        self._token = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        keys = {"appKey": self._id, "appSecret": self._secret}
        self._token = (await self._post("/v1.0/oauth2/accessToken", keys))["accessToken"]
        opened = await self._post(
            "/v1.0/gateway/connections/open",
            {
                "clientId": self._id,
                "clientSecret": self._secret,
                "subscriptions": [{"type": "CALLBACK", "topic": _BOT}],
            },
        )
        url = f"{opened['endpoint']}?ticket={opened['ticket']}"
        async with self._session.ws_connect(url, compress=0) as ws:
            async for frame in ws:
                pushed = json.loads(frame.data)
                head = {"messageId": pushed["headers"]["messageId"]}
                await ws.send_json({"code": 200, "headers": head, "message": "OK", "data": "{}"})
                task = asyncio.create_task(self._answer(json.loads(pushed["data"])))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, said: dict[str, Any]) -> None:
        card = uuid.uuid4().hex
        opening = asyncio.create_task(self._open(card, said["senderStaffId"]))
        first: asyncio.Task[None] | None = None
        text = ""
        body = {
            "inputs": {},
            "query": said["text"]["content"],
            "user": said["senderStaffId"],
            "response_mode": "streaming",
        }
        head = {"Authorization": f"Bearer {self._key}"}
        url = f"{self._dify}/chat-messages"
        async with self._session.post(url, json=body, headers=head) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if event["event"] == "message":
                        text += event["answer"]
                        if first is None:
                            first = asyncio.create_task(self._show_first(opening, card, text))
        await opening
        if first is not None:
            first.cancel()  # if it still waits
            with contextlib.suppress(asyncio.CancelledError):
                await first
        await self._stream(card, text, rank=0, final=True)

    async def _open(self, card: str, staff_id: str) -> None:
        body = {
            "cardTemplateId": self._template,
            "outTrackId": card,
            "callbackType": "STREAM",
            "cardData": {"cardParamMap": {}},
            "userIdType": 1,
            "openSpaceId": f"dtv1.card//IM_ROBOT.{staff_id}",
            "imRobotOpenSpaceModel": {"supportForward": True},
            "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", "robotCode": self._id},
        }
        await self._call("POST", _CARD, body, 0)

    async def _show_first(self, opening: asyncio.Task[None], card: str, text: str) -> None:
        await asyncio.shield(opening)
        await self._stream(card, text, rank=1, final=False)

    async def _stream(self, card: str, text: str, *, rank: int, final: bool) -> None:
        body = {
            "outTrackId": card,
            "guid": uuid.uuid4().hex,
            "key": "content",
            "content": text,
            "isFull": True,
            "isFinalize": final,
            "isError": False,
        }
        await self._call("PUT", _STREAM, body, rank)

    async def _call(self, method: str, path: str, body: dict[str, Any], rank: int) -> None:
        head = {"x-acs-dingtalk-access-token": self._token}
        url = self._openapi + path
        async with (
            self._gates[path].place(rank),
            self._session.request(method, url, json=body, headers=head) as answer,
        ):
            if answer.status != 200:
                raise RuntimeError(await answer.text())

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        head = {"Accept": "application/json"}
        async with self._session.post(self._openapi + path, json=body, headers=head) as answer:
            return await answer.json()


async def main(given: dict[str, Any]) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(Bot(session, given, bot).run() for bot in given["bots"]))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
