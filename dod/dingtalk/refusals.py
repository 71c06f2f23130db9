"""What a refusal of DingTalk means: every answer and every transport failure gets one type.

One 403 is not another: a missing scope, too many calls, the month's quota and a banned address
share the status, so the ``code`` decides (dingtalk-protocol §8).
"""

import json
import socket
import ssl
import time
from typing import Any

import httpx

from dod import proxies
from dod.errors import (
    AddressRefused,
    BadCredentials,
    CardGone,
    ContentTooLong,
    DingTalkBusy,
    DingTalkError,
    FileRefused,
    QuotaExhausted,
    ScopeMissing,
    Throttled,
)
from dod.logs import redact
from dod.messages import sound

# All that an httpx call may raise for the neighbour's or the network's sake.
TRANSPORT_ERRORS = (httpx.RequestError, httpx.InvalidURL)
# With these the request never left this host, so that nothing can have happened over there.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_NOT_NOW = frozenset({9, 10})

# Parts of ``code``, lower case (dingtalk-protocol §4, §5, §6, §8). The first that fits decides.
_BY_CODE: tuple[tuple[str, type[DingTalkError]], ...] = (
    ("qpslimit", Throttled),
    ("qpmlimit", Throttled),
    ("send.too.fast", Throttled),
    ("send.bytoken.toofast", Throttled),
    ("apicountlimit", QuotaExhausted),
    ("ipnotinwhitelist", AddressRefused),
    ("accesstokenpermissiondenied", ScopeMissing),
    ("invalidauthentication", BadCredentials),
    ("invalidclientidorsecret", BadCredentials),
    ("authfailed", BadCredentials),
    ("cardnotexist", CardGone),
    ("msgparam.toolong", ContentTooLong),
    ("system.busy", DingTalkBusy),
)
_BY_ERRCODE: dict[int, type[DingTalkError]] = {  # the old API and webhooks, which say HTTP 200
    -1: DingTalkBusy,
    88: BadCredentials,
    40004: FileRefused,  # wrong type
    40006: FileRefused,  # wrong size
    40014: BadCredentials,
    90002: Throttled,
    90018: Throttled,
    90020: QuotaExhausted,
}
_SENTENCES: dict[type[DingTalkError], str] = {
    DingTalkError: "DingTalk refused the call",
    BadCredentials: "DingTalk does not accept the client id and client secret",
    ScopeMissing: "The app lacks a permission in DingTalk's developer console",
    Throttled: "DingTalk is throttling this app's calls",
    QuotaExhausted: "The organisation's monthly DingTalk API calls are used up",
    AddressRefused: "DingTalk refuses this host's address (IP white list, or a temporary ban)",
    FileRefused: "DingTalk does not take a file of this type or size",
    CardGone: "DingTalk does not know this card",
    ContentTooLong: "The text is longer than DingTalk takes",
    DingTalkBusy: "DingTalk is not able to answer at the moment",
}


def answer(status: int, body: bytes) -> dict[str, Any]:
    """The JSON object of a good answer; raises the DingTalkError that a bad one means."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _no_json(status)
    if status < 300 and not value.get("errcode") and value.get("status") != 1111:
        if value.get("success") is False:
            raise _error(DingTalkError, status, value)
        return value
    raise _error(_kind(status, value), status, value)


def unreachable(exc: Exception) -> DingTalkBusy:
    """The error for a transport failure; without the address, which may be secret."""
    way = _way(exc)
    if isinstance(exc, httpx.ConnectTimeout | httpx.PoolTimeout):
        sentence = "No connection to DingTalk came about in time"
    elif isinstance(exc, httpx.TimeoutException | TimeoutError):
        sentence = "DingTalk did not answer in time"
    elif known := cause(exc, way):
        sentence = known
    elif isinstance(exc, httpx.ProxyError):
        sentence = "The proxy refuses the way to DingTalk"
    elif isinstance(exc, httpx.ConnectError):
        sentence = f"DingTalk cannot be reached from here{way}"
    else:
        sentence = "The connection to DingTalk broke off"
    return DingTalkBusy(f"{sentence} ({type(exc).__name__})")


def never_sent(exc: BaseException | None) -> bool:
    """Whether a transport failure leaves no doubt that DingTalk has not seen the request."""
    return isinstance(exc, _NEVER_SENT)


def surely_not_done(error: DingTalkError) -> bool:
    """Whether a failed call certainly had no effect, so that another way may be tried."""
    if not isinstance(error, DingTalkBusy) or never_sent(error.__cause__):
        return True
    # "Busy" is an answer that nothing was done; so is a gateway's that nobody was there.
    return error.code in {"system.busy", "-1"} or error.status in {502, 503}


def cause(exc: BaseException | None, way: str) -> str:
    """What a person can mend of a failed connection, as a sentence; "" if nothing is known.

    ``way``: what ``proxies.hint`` tells of the address.
    """
    while exc is not None:
        if isinstance(exc, socket.gaierror):
            return f"DingTalk's host name cannot be resolved (DNS){way}"
        if isinstance(exc, ssl.SSLCertVerificationError):
            return _certificate(exc)
        if isinstance(exc, OSError) and way:
            return f"DingTalk cannot be reached from here{way}"
        exc = exc.__cause__ or exc.__context__
    return ""


def _way(exc: Exception) -> str:
    try:
        url = exc.request.url if isinstance(exc, httpx.RequestError) else None
    except RuntimeError:  # httpx: it has none
        url = None
    return proxies.hint(url.scheme, url.host, url.port) if url else ""


def _certificate(exc: ssl.SSLCertVerificationError) -> str:
    if exc.verify_code in _NOT_NOW:
        today = time.strftime("%Y-%m-%d")
        return f"DingTalk's certificate is not valid today, which is {today} by this host's clock"
    return (
        "DingTalk's certificate is not trusted here: where an office's firewall replaces it, "
        f"SSL_CERT_FILE must name the office's own CA ({exc.verify_message})"
    )


def _no_json(status: int) -> DingTalkError:
    # A firewall or an address ban answers with a web page (dingtalk-protocol §1.1, §8).
    if status == 403:
        return AddressRefused(
            "A web page came instead of an answer: a firewall, or DingTalk's ban of this host's "
            f"address, refuses the call (HTTP {status})",
            status=status,
        )
    return DingTalkBusy(
        f"Something else than DingTalk's API answered, or it is out of order (HTTP {status}, "
        "no JSON)",
        status=status,
    )


def _kind(status: int, value: dict[str, Any]) -> type[DingTalkError]:
    code = str(value.get("code", "")).lower()
    for part, kind in _BY_CODE:
        if part in code:
            return kind
    errcode = value.get("errcode")
    if isinstance(errcode, int) and errcode in _BY_ERRCODE:
        return _BY_ERRCODE[errcode]
    if _scopes(value):
        return ScopeMissing
    if value.get("status") == 1111:  # the address ban's own shape (dingtalk-protocol §8)
        return AddressRefused
    if "card is not exist" in str(value.get("message", "")):
        return CardGone
    if code == "param.stream.content":
        return ContentTooLong
    if status == 429:
        return Throttled
    if status == 401:
        return BadCredentials
    return DingTalkBusy if status >= 500 else DingTalkError


def _error(kind: type[DingTalkError], status: int, value: dict[str, Any]) -> DingTalkError:
    code = sound(str(value.get("code") or value.get("errcode") or ""))
    # Hidden before it is cut: nobody knows the half of a secret.
    said = redact(sound(str(value.get("message") or value.get("errmsg") or "")))
    parts = (f"HTTP {status}", code, " ".join(said.split())[:200])
    detail = f"{_SENTENCES[kind]} ({' '.join(part for part in parts if part)})"
    if kind is ScopeMissing:
        scopes = _scopes(value)
        named = f": {', '.join(scopes)}" if scopes else ""
        return ScopeMissing(f"{detail}{named}", scopes=scopes, code=code, status=status)
    return kind(detail, code=code, status=status)


def _scopes(value: dict[str, Any]) -> tuple[str, ...]:
    detail = value.get("accessdenieddetail")
    scopes = detail.get("requiredScopes") if isinstance(detail, dict) else None
    return tuple(sound(str(scope)) for scope in scopes) if isinstance(scopes, list) else ()
