"""The demo's web server: the chat page, its live events, and speaking.

A local tool's guards: addresses and local names in Host (DNS rebinding), same-origin JSON for
whatever speaks, a policy by which the page loads nothing from anywhere.
"""

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from dod.sim.demo.chats import DemoChats
from dod.sim.demo.client import document
from dod.sim.demo.shown import Sent, picture_type
from dod.sim.demo.trouble import Trouble
from dod.web.server import host_allowed

PORTS = 21  # the wished one and 20 more
_GATHER = 0.05  # seconds; changes within are one event
_SILENCE = 15.0  # seconds; then a comment, so that a gone browser is noticed
_LONGEST = 6000  # characters of one message
_LARGEST = 5 << 20  # bytes of a file; base64 makes a third more of it
_BODY = 8 << 20
_TEXTS = (".md", ".txt", ".csv")  # shown as what they are, never as a page
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_CACHED = {"Cache-Control": "private, max-age=3600"}
_TOO_LARGE = f"最多 {_LARGEST >> 20} MB。 At most {_LARGEST >> 20} MB."
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Spoken:
    """What the page wants said. ``quote``: number of an item, 0 = none."""

    chat: str
    person: str
    text: str
    file: Sent | None
    voice: bool
    quote: int

    @classmethod
    def of(cls, body: Any) -> "Spoken":
        """Raises ValueError, KeyError or TypeError for what is none."""
        chat, person, text = body["chat"], body["person"], body["text"]
        file = body.get("file")
        sent = Sent(file["name"], base64.b64decode(file["data"], validate=True)) if file else None
        words = (chat, person, text, sent.name if sent else "")
        if not all(isinstance(value, str) for value in words):
            raise TypeError
        if not text.strip() and (sent is None or not sent.content or not sent.name):
            raise ValueError
        voice, quoted = body.get("voice", False) is True, int(body.get("quote") or 0)
        if voice and not text.strip():
            raise ValueError
        return cls(chat, person, text.strip(), sent, voice, quoted)


class DemoPage:
    """Lifecycle: ``start`` → ``close`` (idempotent), which also ends the live events."""

    def __init__(self, chats: DemoChats, trouble: Trouble) -> None:
        self._chats = chats
        self._trouble = trouble
        self._closing = asyncio.Event()
        self._html = document()
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY)
        app.router.add_get("/", self._page)
        app.router.add_get("/api/world", self._world)
        app.router.add_get("/api/events", self._events)
        app.router.add_get("/media/{id}", self._picture)
        app.router.add_get("/file/{number:[0-9]{1,9}}", self._file)
        app.router.add_post("/api/say", self._say)
        app.router.add_post("/api/button", self._button)
        app.router.add_post("/api/trouble", self._press)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, host: str, port: int) -> int:
        """Listen on ``port`` or, if taken, one of the 20 above it; returns it. Raises OSError."""
        await self._runner.setup()
        for wished in range(port, port + (PORTS if port else 1)):
            try:
                await web.TCPSite(self._runner, host, wished).start()
            except OSError as error:
                taken = error
                continue
            except OverflowError as error:  # beyond 65535
                raise OSError(str(error)) from error
            return int(self._runner.addresses[0][1])
        raise taken

    async def close(self) -> None:
        self._closing.set()
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Answerer) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not host_allowed(host, ()):
            return _refuse(421, "请用 IP 或 localhost 访问。 Use an address or localhost.")
        if request.method == "POST" and not _same_origin(request, host):
            return _refuse(403, "只接受本页发出的请求。 Only requests of this page are taken.")
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            return _refuse(refusal.status, refusal.reason)
        if not response.prepared:
            response.headers.update({**_HEADERS, **response.headers})
        return response

    async def _page(self, _: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return web.Response(
            text=self._html.replace("{{nonce}}", nonce),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def _world(self, _: web.Request) -> web.Response:
        return _json(self._chats.feed.since(0))

    async def _say(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            said = Spoken.of(body)
        except web.HTTPRequestEntityTooLarge:
            return _refuse(413, _TOO_LARGE)
        except (ValueError, KeyError, TypeError):
            return _refuse(400, "chat, person, text, file, voice, quote")
        if len(said.text) > _LONGEST:
            return _refuse(413, f"最多 {_LONGEST} 字。 At most {_LONGEST} characters.")
        if said.file is not None and len(said.file.content) > _LARGEST:
            return _refuse(413, _TOO_LARGE)
        try:
            names = await self._chats.say(
                said.chat,
                said.person,
                said.text,
                file=said.file,
                voice=said.voice,
                quote=said.quote,
            )
        except LookupError:
            return _refuse(404, "没有这个会话或人。 No such chat or person.")
        except ValueError:
            why = "群里的机器人收不到语音和文件。 In a group bots get no voice and no files."
            return _refuse(400, why)
        return _json({"to": names})

    async def _button(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            await self._chats.press(int(body["item"]), str(body["person"]), str(body["action"]))
        except (ValueError, KeyError, TypeError, LookupError):
            return _refuse(400, "没有这个按钮。 No such button.")
        return _json({})

    async def _press(self, request: web.Request) -> web.Response:
        """Begin a mishap; an empty name ends the one there is."""
        try:
            name = (await request.json())["name"]
            if name:
                await self._trouble.press(name)
            else:
                self._trouble.calm()
        except (ValueError, TypeError, LookupError):
            return _refuse(400, "没有这种状况。 No such mishap.")
        return _json({"name": name})

    async def _picture(self, request: web.Request) -> web.Response:
        """A picture that a bot uploaded; its type is read from its first bytes."""
        try:
            content = self._chats.media(request.match_info["id"])
        except LookupError:
            content = b""
        if not (kind := picture_type(content)):
            return _refuse(404, "没有这张图片。 No such picture.")
        # Cards are drawn anew with every update; the picture of a media_id never changes.
        return web.Response(body=content, content_type=kind, headers=_CACHED)

    async def _file(self, request: web.Request) -> web.Response:
        """What a person or a bot sent. Only pictures and plain texts open in the browser."""
        try:
            file = self._chats.file(int(request.match_info["number"]))
        except LookupError:
            return _refuse(404, "没有这个文件。 No such file.")
        kind = picture_type(file.content)
        headers = {**_CACHED, "Content-Security-Policy": "default-src 'none'; sandbox"}
        if not kind and not file.name.lower().endswith(_TEXTS):
            name = quote(file.name, safe="")
            headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
            return web.Response(
                body=file.content, content_type="application/octet-stream", headers=headers
            )
        charset = None if kind else "utf-8"
        return web.Response(
            body=file.content, content_type=kind or "text/plain", charset=charset, headers=headers
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: first everything, then what changed, gathered."""
        response = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}
        )
        await response.prepare(request)
        seen = 0
        with contextlib.suppress(ConnectionError):
            while not self._closing.is_set():
                news = self._chats.feed.since(seen)
                kind = "news" if seen else "world"
                data = json.dumps(news, ensure_ascii=False)
                await response.write(f"event: {kind}\ndata: {data}\n\n".encode())
                seen = news["version"]
                while not await self._until_newer(seen) and not self._closing.is_set():
                    await response.write(b": still here\n\n")
                await asyncio.sleep(_GATHER)
        return response

    async def _until_newer(self, version: int) -> bool:
        """False: nothing happened for a while, or the page is closing."""
        news = asyncio.ensure_future(self._chats.feed.changed(version))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait(
                (news, closing), timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED
            )
            return news.done()
        finally:
            news.cancel()
            closing.cancel()


def _same_origin(request: web.Request, host: str) -> bool:
    """JSON (no form can send it unasked), and from a page of ours if a browser sent it."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    return (
        request.content_type == "application/json"
        and site == "same-origin"
        and (origin is None or urlsplit(origin).netloc == host)
    )


def _json(value: object) -> web.Response:
    text = json.dumps(value, ensure_ascii=False)
    return web.Response(text=text, content_type="application/json")


def _refuse(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=why + "\n", headers=_HEADERS)
