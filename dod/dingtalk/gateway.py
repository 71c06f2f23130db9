"""From credentials to an open websocket: one call to the gateway, one handshake.

dingtalk-protocol §1. A ticket is good for one connection within 90 s and is as secret as a
password while it lasts, so it never leaves this module.
"""

import asyncio
import contextlib
import logging
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
)
from websockets.protocol import State
from websockets.uri import parse_uri

import dod
from dod import authorities, proxies, sockets
from dod.dingtalk import frames, refusals
from dod.dingtalk.api import Api
from dod.dingtalk.liveness import Life
from dod.errors import AppNotReady, DingTalkBusy, DingTalkError

# websockets logs whole frames and the ticket at debug; its own logger would follow the root's.
_WIRE = logging.getLogger("dod.dingtalk.wire")
_WIRE.setLevel(logging.CRITICAL)

# No EVENT: it would spend the month's 3,000 pushes on what nobody here reads (§8).
_SUBSCRIPTIONS = [
    {"type": frames.CALLBACK, "topic": frames.BOT_MESSAGE},
    {"type": frames.CALLBACK, "topic": frames.CARD_CALLBACK},
]
_FRAME_MAX = 4 << 20  # bytes


class Link:
    """One open connection. ``over`` is set when the next one is needed, see ``told_to_go``."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.life = Life(opened_at=time.monotonic())
        self.over = asyncio.Event()
        self.told_to_go = False  # by a ``disconnect`` frame; it may still be read
        self.ending = ""  # why it ended
        self._owed = 0  # acknowledgements
        self._sent = asyncio.Event()

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self.life.opened_at

    @property
    def closing(self) -> bool:
        """It is closed but for TCP, which the peer is to end, and may not."""
        return self.socket.state is State.CLOSING

    def hear(self, *, beat: bool, message: bool) -> None:
        """A frame has come."""
        self.life.hear(time.monotonic(), beat=beat, message=message)

    @contextlib.contextmanager
    def owing(self) -> Iterator[None]:
        """An acknowledgement is under way."""
        self._owed += 1
        self._sent.clear()
        try:
            yield
        finally:
            self._owed -= 1
            self._sent.set()

    async def all_sent(self) -> None:
        """Wait until no acknowledgement is under way."""
        while self._owed:
            await self._sent.wait()

    async def send(self, text: str, *, within: float) -> bool:
        """Send a text frame; False if this link could not take it within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self.socket.send(text)
        except (ConnectionClosed, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        """Shake hands and close; bounded by the socket's close_timeout."""
        await self.socket.close()

    def abort(self) -> None:
        self.socket.transport.abort()


async def open_link(api: Api) -> Link:
    """Ask for a ticket and open its websocket. Raises DingTalkError with a sentence to show."""
    return Link(await _connect(api, *await _ticket(api)))


async def endpoint_of(api: Api) -> str:
    """Where this app's websocket would be. Its ticket is thrown away: that opens nothing (§1.1)."""
    endpoint, _ = await _ticket(api)
    return endpoint


async def _ticket(api: Api) -> tuple[str, str]:
    """The gateway's answer: the websocket's address, and what lets one connection in."""
    body = {
        "clientId": api.client_id,
        "clientSecret": api.secret,
        "subscriptions": _SUBSCRIPTIONS,
        "ua": f"dod/{dod.__version__}",
    }
    try:
        got = await api.ask("/v1.0/gateway/connections/open", body, read=api.times.handshake)
    except DingTalkError as error:
        # The gateway has no code for it: any other 400 means this (§1.1).
        if type(error) is DingTalkError and error.status == 400:
            raise AppNotReady(
                "The DingTalk app is not published, has no robot, or its robot is not in Stream "
                f"mode ({error.detail})",
                code=error.code,
                status=400,
            ) from error
        raise
    endpoint, ticket = got.get("endpoint"), got.get("ticket")
    if not isinstance(endpoint, str) or not isinstance(ticket, str):
        raise DingTalkBusy("DingTalk's gateway answered without an endpoint and a ticket")
    return endpoint, ticket


async def _connect(api: Api, endpoint: str, ticket: str) -> ClientConnection:
    try:
        async with asyncio.timeout(api.times.handshake):
            return await _opened(api, f"{endpoint}?ticket={urllib.parse.quote_plus(ticket)}")
    except InvalidStatus as exc:
        status = exc.response.status_code
        raise DingTalkBusy(
            f"DingTalk refused the websocket (HTTP {status})", status=status
        ) from exc
    except InvalidProxyStatus as exc:
        status = exc.response.status_code
        raise DingTalkBusy(
            f"The proxy refuses the way to DingTalk's websocket (HTTP {status})", status=status
        ) from exc
    except TimeoutError as exc:
        raise DingTalkBusy("DingTalk's websocket did not open in time") from exc
    except (OSError, EOFError, InvalidHandshake) as exc:
        uri = parse_uri(endpoint)
        way = proxies.hint("wss" if uri.secure else "ws", uri.host, uri.port)
        sentence = refusals.cause(exc, way) or "DingTalk's websocket cannot be reached from here"
        raise DingTalkBusy(f"{sentence} ({type(exc).__name__})") from exc
    except (InvalidURI, InvalidProxy, ValueError) as exc:
        # From None: the texts of these hold the address, and with it the ticket.
        raise DingTalkBusy(
            f"The websocket's address or the proxy is not usable ({type(exc).__name__})"
        ) from None


async def _opened(api: Api, address: str) -> ClientConnection:
    """Straight, on a socket of our own, or through the proxy that leads there."""
    times, uri = api.times, parse_uri(address)
    proxy = proxies.proxy_for("wss" if uri.secure else "ws", uri.host, uri.port)
    way: dict[str, Any] = {"proxy": proxy, "happy_eyeballs_delay": sockets.OTHER_ADDRESS}
    if proxy is None:
        # A cancellation that comes from here on finds the socket in the hands of a transport.
        way = {"sock": await sockets.dial(uri.host, uri.port)}
    elif proxy.startswith("https:"):
        way["proxy_ssl"] = authorities.ours.tls()
    return await connect(
        address,
        ssl=authorities.ours.tls() if uri.secure else None,
        compression=None,
        max_size=_FRAME_MAX,
        open_timeout=None,
        close_timeout=times.close,
        ping_interval=times.ping,
        ping_timeout=times.pong,
        logger=_WIRE,
        **way,
    )
