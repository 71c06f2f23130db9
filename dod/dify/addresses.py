"""Which addresses in an answer only Dify's neighbours can reach, and which dod may fetch.

An answer is written by a model that strangers talk to: dod fetches from the Dify it was given and
from public addresses, never from another host of the office (its router, its NAS, a cloud's
metadata). A name is looked up once and the very address that was judged is then dialled.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
import unicodedata
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import httpx

from dod import proxies
from dod.errors import FileNotTaken

_LOCAL_NAMES = (
    *(".local", ".lan", ".internal", ".localdomain", ".home", ".home.arpa", ".intranet"),
    *(".localhost", ".test", ".svc"),
)
# IPv6 that only carries an IPv4 address in its last four bytes: mapped, compatible, translated
# (RFC 4291 §2.5.5, RFC 7915), and what NAT64 makes of a name that has none but that (RFC 6052).
_CARRIERS = [
    *map(ipaddress.IPv6Network, ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
]
# Of one site or one network, which Python calls global (RFC 3879, RFC 8215).
_OWN = [*map(ipaddress.IPv6Network, ("fec0::/10", "64:ff9b:1::/48"))]
_SIGNED = ("sign", "signature", "x-amz-signature", "expires", "token", "nonce", "timestamp")
_LOOKUP = 5.0  # seconds


class Addresses:
    """``api``: the Dify API's base URL. Its origin serves ``/files`` too (dify-api §7)."""

    def __init__(self, api: str) -> None:
        self._origin = _origin(api)
        self._base = f"{self._origin}/"

    def absolute(self, address: str) -> str:
        """Stock Dify writes paths; ``FILES_URL`` makes them addresses. Empty for nonsense."""
        try:
            whole = urljoin(self._base, address)
            urlsplit(whole).port  # noqa: B018  raises for what is no port
        except ValueError:
            return ""
        return whole

    def ours(self, address: str) -> bool:
        """Of the Dify that this app was given."""
        return _origin(self.absolute(address)) == self._origin

    def must_fetch(self, address: str) -> bool:
        """People's phones cannot load it, or not for long: it goes through dod or is not shown."""
        whole = urlsplit(self.absolute(address))
        if whole.scheme not in {"http", "https"}:
            return True
        signed = any(name.lower() in _SIGNED for name in parse_qs(whole.query))
        return self.ours(address) or signed or _looks_local(whole.hostname or "")

    async def dial(self, address: str) -> tuple[str, str]:
        """The URL to request, and the host's name for TLS and ``Host``. Raises FileNotTaken."""
        try:
            url = httpx.URL(self.absolute(address))
        except httpx.InvalidURL as exc:
            raise FileNotTaken("no address", key="picture_address") from exc
        if url.scheme not in {"http", "https"} or not url.host:
            raise FileNotTaken("no http address", key="picture_address")
        if self.ours(address):
            return str(url), url.host
        if _looks_local(url.host):  # a proxy of the office stands inside, too
            raise FileNotTaken("an address inside the network", key="picture_address")
        if _proxied(url):
            return str(url), url.host
        found = await _look_up(url.host, url.port or (443 if url.scheme == "https" else 80))
        for ip in found:
            if not _public(ip):
                raise FileNotTaken("an address inside the network", key="picture_address")
        return str(url.copy_with(host=found[0])), url.host


async def _look_up(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP):
            told = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as exc:
        raise FileNotTaken(f"no such host ({type(exc).__name__})", key="picture_gone") from exc
    return [str(entry[4][0]) for entry in told]


def _public(ip: str) -> bool:
    address = ipaddress.ip_address(ip.partition("%")[0])
    inner = None
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _OWN):
            return False
        inner = address.sixtofour
        if any(address in network for network in _CARRIERS):
            inner = ipaddress.IPv4Address(address.packed[-4:])
    address = inner or address
    return address.is_global and not address.is_multicast


def _looks_local(host: str) -> bool:
    # As a browser reads it: full-width digits and dots are dots and digits.
    host = unicodedata.normalize("NFKC", unquote(host)).replace("。", ".").lower()
    host = host.removesuffix(".")
    try:
        return not _public(_written_out(host))
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_NAMES)


def _written_out(host: str) -> str:
    """127.1, 2130706433 and 0x7f.1 as what they are dialled as; anything else as it is."""
    if re.fullmatch(r"[0-9a-fx.]*", host):
        with contextlib.suppress(OSError):
            return socket.inet_ntoa(socket.inet_aton(host))
    return host


def _proxied(url: httpx.URL) -> bool:
    """A proxy does the looking up, and judges by its own rules. NO_PROXY may name a port."""
    return proxies.proxy_for(url.scheme, url.host, url.port) is not None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{parts.port or usual}"
