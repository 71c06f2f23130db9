"""Whether an address answers at all, and if not, where the way to it ends.

By the same sockets, proxy and authorities as every call; without any credential, so that whatever
comes back by HTTP is a good answer.
"""

import asyncio
import email.utils
import errno
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

from dod import http, proxies

Obstacle = Literal[
    "dns",  # the name cannot be looked up
    "dns_silent",  # no name server answers
    "refused",  # nobody listens there
    "no_way",  # no route, network down
    "silent",  # no connection in time: a firewall that drops, mostly
    "mute",  # connected, and then nothing came
    "date",  # the certificate is not valid today
    "name",  # it is another host's
    "certificate",  # nor trusted
    "tls",  # the other side speaks no TLS, or another one
    "proxy",  # the proxy refuses
    "broken",  # the connection was cut
]

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_NOW = frozenset({9, 10})
_OTHER_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
# Before anything is said to the other side, so that it is about the proxy if there is one.
_ON_THE_WAY = frozenset({"dns", "refused", "silent", "no_way", "proxy"})
_NO_WAY = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})


@dataclass(frozen=True, slots=True)
class Answered:
    """``took``: seconds; ``ahead``: its clock less ours, seconds, None where it tells no time."""

    took: float
    ahead: float | None


class Unreached(Exception):
    """``host``: whom the obstacle is about, a proxy perhaps."""

    def __init__(self, obstacle: Obstacle, host: str, detail: str = "") -> None:
        super().__init__(f"{obstacle} {host} {detail}".strip())
        self.obstacle: Obstacle = obstacle
        self.host = host
        self.detail = detail


async def knock(url: str, *, within: float) -> Answered:
    """GET ``url`` without its answer's body. Raises Unreached after ``within`` seconds twice."""
    proxy = proxy_of(url)
    dialled = proxy or url
    await _look_up(dialled, within)
    began = time.monotonic()
    try:
        async with asyncio.timeout(within), http.client(read=within) as client:
            # Sooner than the whole: who never connected is told from who fell silent then.
            timeout = httpx.Timeout(within, connect=within * 0.8)
            request = client.build_request("GET", url, timeout=timeout)
            response = await client.send(request, stream=True)
            date = response.headers.get("Date")
            await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
        refusing = isinstance(exc, httpx.ProxyError)
        obstacle: Obstacle = "proxy" if refusing else obstacle_of(exc)
        said = str(exc) if refusing or obstacle in {"certificate", "tls"} else ""
        host = _host(dialled if obstacle in _ON_THE_WAY else url)
        raise Unreached(obstacle, host, said) from exc
    return Answered(time.monotonic() - began, _ahead(date))


def proxy_of(url: str) -> str | None:
    """The proxy that leads to ``url``, with its password; None: straight there."""
    parts = urlsplit(url)
    return proxies.proxy_for(parts.scheme, parts.hostname or "", parts.port)


def shown(url: str) -> str:
    """Host, and the port if it is written: nothing of an address that may be secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def obstacle_of(exc: BaseException) -> Obstacle:
    """What a failed call ran into; ``broken`` where nothing says more."""
    silent: Obstacle = "silent" if isinstance(exc, httpx.ConnectTimeout) else "mute"
    one: BaseException | None = exc
    while one is not None:
        match one:
            case socket.gaierror() | UnicodeError():
                return "dns"
            case ssl.SSLCertVerificationError():
                return _of_certificate(one.verify_code)
            case ssl.SSLError():
                return "tls"
            case httpx.TimeoutException() | TimeoutError():
                return silent
            case OSError() if errno.ECONNREFUSED in (met := _errnos(one)):
                return "refused"
            case OSError() if met & _NO_WAY:
                return "no_way"
        one = one.__cause__ or one.__context__
    return "broken"


def _of_certificate(verify_code: int) -> Obstacle:
    if verify_code in _NOT_NOW:
        return "date"
    return "name" if verify_code in _OTHER_NAME else "certificate"


def _errnos(error: OSError) -> set[int]:
    """Of a host with several addresses aiohappyeyeballs tells them in its sentence alone."""
    if error.errno is not None:
        return {error.errno}
    return {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}


async def _look_up(url: str, within: float) -> None:
    """As its own step: nobody can tell a name server's silence from a firewall's afterwards."""
    host = urlsplit(url).hostname or ""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within):
            await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError as exc:
        raise Unreached("dns_silent", host) from exc
    except (OSError, UnicodeError) as exc:
        raise Unreached("dns", host) from exc


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _ahead(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
