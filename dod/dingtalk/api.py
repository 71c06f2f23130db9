"""DingTalk's OpenAPI for one app: token, calls, rate, and the clock of the last answer.

One httpx client per channel. Every failure leaves as a ``DingTalkError`` (see ``refusals``).
"""

import asyncio
import email.utils
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from dod import http
from dod.dingtalk import refusals
from dod.dingtalk.bucket import Bucket, Rank
from dod.dingtalk.times import USUAL, Times
from dod.errors import (
    AddressRefused,
    BadCredentials,
    DingTalkError,
    QuotaExhausted,
    ScopeMissing,
    Throttled,
)

Json = dict[str, Any]
File = tuple[str, bytes, str]  # name, content, MIME type

_LONGEST = 1 << 20  # bytes of an answer; the longest known one has some 1,000
_UPLOAD = 10.0  # times as long as other calls: 20 MB by a slow line

# Stopped before the API: throttled calls are not counted (§8); the others are taken to be alike.
_TURNED_AWAY = (Throttled, BadCredentials, ScopeMissing, QuotaExhausted, AddressRefused)


class Clock:
    """Epoch seconds by DingTalk's clock, as far as it has been seen; else the local clock.

    Anchored to the monotonic clock: a NAS that corrects its time after boot changes nothing.
    """

    def __init__(self) -> None:
        self._offset: float | None = None  # epoch minus monotonic
        self._by_date = False

    def now(self) -> float:
        return time.time() if self._offset is None else time.monotonic() + self._offset

    def see_date(self, date: str | None) -> None:
        """Take the time from an answer's ``Date`` header, if it has a readable one."""
        try:
            epoch = email.utils.parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        self._offset = epoch - time.monotonic()
        self._by_date = True

    def see_frame(self, epoch: float) -> None:
        """Take the time from a frame, if no answer has ever had a ``Date``."""
        if epoch and not self._by_date:
            self._offset = epoch - time.monotonic()


class AccessToken:
    """The app's token: fetched once for all who wait, and again before it runs out.

    ``fetch`` gives the token and its life in seconds. Who waited for a fetch that failed gets that
    failure, instead of queueing up for a time-out of his own.
    """

    def __init__(self, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._value = ""
        self._until = 0.0  # monotonic
        self._fetches = 0
        self._failure: DingTalkError | None = None

    async def get(self) -> str:
        seen = self._fetches
        async with self._lock:
            if self._value and time.monotonic() < self._until:
                return self._value
            if self._failure is not None and self._fetches > seen:
                raise self._failure
            self._failure = None
            try:
                self._value, life = await self._fetch()
            except DingTalkError as error:
                self._failure = error
                raise
            finally:
                self._fetches += 1
            self._until = time.monotonic() + life - min(300.0, life / 5)
            return self._value

    def drop(self, value: str) -> None:
        """Forget ``value``: DingTalk no longer takes it. A newer one stays."""
        if self._value == value:
            self._value = ""


class Api:
    """Lifecycle: made with its channel, used on the bot's loop, closed by ``aclose``.

    ``qps`` is asked before each call (0 = no limit); ``spend`` hears the corp id of each call that
    DingTalk counts, that is each one it did not throttle (dingtalk-protocol §8), ``exhausted`` that
    of an organisation whose month's quota is used up.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        openapi: str,
        qps: Callable[[], int],
        spend: Callable[[str], None],
        exhausted: Callable[[str], None] = lambda _corp_id: None,
        times: Times = USUAL,
    ) -> None:
        self.client_id = client_id
        self.clock = Clock()
        self.times = times
        self.secret = client_secret
        self._qps = qps
        self._spend = spend
        self._exhausted = exhausted
        self._client = http.client(openapi.rstrip("/"), read=times.answer)
        self._token = AccessToken(self._fetch_token)
        self._buckets: dict[str, Bucket] = {}
        self._gate_open = False

    async def call(
        self,
        method: str,
        path: str,
        body: Json | Callable[[], Json],
        *,
        rank: Rank,
        corp_id: str,
        patient: bool = False,
    ) -> Json:
        """Make one counted call and return its JSON. Raises DingTalkError.

        A ``body`` that is called is called when there is a place for the call.

        A stale token is renewed and the call repeated once. A throttled call pauses its API for
        all; it is repeated if ``patient``, within ``times.patience`` seconds, else ``Throttled``.
        """

        async def once(token: str) -> Json:
            said = body() if callable(body) else body
            header = {"x-acs-dingtalk-access-token": token}
            return await self._counted(self._send(method, path, said, header), corp_id)

        return await self._admitted(path, once, rank=rank, corp_id=corp_id, patient=patient)

    async def give(
        self, url: str, fields: dict[str, str], file: File, *, rank: Rank, corp_id: str
    ) -> Json:
        """Upload ``file`` to the old API and return its JSON. As ``call``, patient."""

        async def once(token: str) -> Json:
            request = self._client.build_request(
                "POST",
                url,
                params={"access_token": token, **fields},
                files={"media": file},
                headers={"Accept": "application/json"},
            )
            sending = self._answered(request, within=_UPLOAD * self.times.whole)
            return await self._counted(sending, corp_id)

        return await self._admitted(url, once, rank=rank, corp_id=corp_id, patient=True)

    async def _admitted(
        self,
        path: str,
        once: Callable[[str], Awaitable[Json]],
        *,
        rank: Rank,
        corp_id: str,
        patient: bool,
    ) -> Json:
        """``once``, given a token, when there is a place for it; see ``call``."""
        bucket = self._bucket(path)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.times.patience
        renewed = False
        while True:
            token = await self._token.get()
            try:
                async with bucket.place(rank):
                    return await once(token)
            except QuotaExhausted:
                self._exhausted(corp_id)
                raise
            except BadCredentials:
                self._token.drop(token)
                if renewed:
                    raise
                renewed = True
            except Throttled:
                bucket.pause(self.times.pause)
                if not patient or loop.time() >= give_up:
                    raise
                if bucket.gate_open:
                    await asyncio.sleep(self.times.pause)

    async def log_in(self) -> None:
        """Have a token; DingTalk does not count that. Raises DingTalkError."""
        await self._token.get()

    async def ask(self, url: str, body: Json, *, read: float | None = None) -> Json:
        """POST without a token: gateway, token, webhook. ``read``: seconds of silence."""
        return await self._send("POST", url, body, {}, read=read)

    def file(self, url: str) -> AbstractAsyncContextManager[httpx.Response]:
        """GET a file, without a token. Raises httpx's errors; bounded by silence only."""
        return self._client.stream("GET", url)

    def open_gate(self) -> None:
        """Wait for no rate from now on: cards are being closed at shutdown."""
        self._gate_open = True
        for bucket in self._buckets.values():
            bucket.open_gate()

    async def aclose(self) -> None:
        await self._client.aclose()

    def _bucket(self, path: str) -> Bucket:
        if path not in self._buckets:
            self._buckets[path] = bucket = Bucket(
                self._qps, window=self.times.window, in_flight=self.times.in_flight
            )
            if self._gate_open:
                bucket.open_gate()
        return self._buckets[path]

    async def _counted(self, call: Awaitable[Json], corp_id: str) -> Json:
        counted = True
        try:
            return await call
        except DingTalkError as error:
            counted = not isinstance(error, _TURNED_AWAY) and not refusals.never_sent(
                error.__cause__
            )
            raise
        finally:  # a call that was cancelled under way may have arrived
            if counted:
                self._spend(corp_id)

    async def _send(
        self, method: str, url: str, body: Json, headers: dict[str, str], read: float | None = None
    ) -> Json:
        # "replace": half a surrogate pair, which Dify can send, must not cost the whole answer.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        # Without Accept the gateway answers in XML (dingtalk-protocol §1.1).
        headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = self._client.build_request(method, url, content=content, headers=headers)
        if read is not None:
            request.extensions["timeout"] |= {"read": read}
        return await self._answered(request, within=self.times.whole)

    async def _answered(self, request: httpx.Request, *, within: float) -> Json:
        """The JSON of the answer, if all of it has come ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except (*refusals.TRANSPORT_ERRORS, TimeoutError) as exc:
            raise refusals.unreachable(exc) from exc
        self.clock.see_date(response.headers.get("Date"))
        return refusals.answer(response.status_code, body)

    async def _fetch_token(self) -> tuple[str, float]:
        body = {"appKey": self.client_id, "appSecret": self.secret}
        got = await self.ask("/v1.0/oauth2/accessToken", body)
        token, life = got.get("accessToken"), got.get("expireIn")
        if not isinstance(token, str) or not token:
            raise DingTalkError("DingTalk answered without a token")
        return token, float(life) if isinstance(life, int | float) else 7200.0


async def _read(response: httpx.Response) -> bytes:
    """The body, or as much of it as shows that it is no answer of DingTalk's."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _LONGEST:
            break
    return bytes(body[: _LONGEST + 1])
