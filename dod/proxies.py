"""Which proxy leads to whom, for calls and websockets alike (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY).

httpx and websockets each read the environment in their own way: one fails where the other works
without a scheme, without a password or with ALL_PROXY, and SOCKS ends both. So it is read here,
and NO_PROXY in ``noproxy``.
"""

import functools
import logging
import threading
import urllib.request
from urllib.parse import quote, unquote, urlsplit

from dod import noproxy

log = logging.getLogger(__name__)

# Scheme of the address → whose proxies, the first that is there. A websocket is a tunnel.
_ORDER = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "https", "http", "all"),
    "wss": ("wss", "https", "all"),
}
_KNOWN = ("https", "http", "all", "wss", "ws")
_door = threading.Lock()  # a cache alone lets two threads in, and both would say what is wrong


def proxy_for(scheme: str, host: str, port: int | None) -> str | None:
    """The proxy's URL; None: straight there. NO_PROXY is honoured. Thread: any."""
    name = _chosen(scheme, host, port)
    return proxies()[name] if name else None


def hint(scheme: str, host: str, port: int | None) -> str:
    """Where to look, too, if a proxy leads there; "" if none does."""
    name = _chosen(scheme, host, port)
    return f"; the way goes through the proxy of {name.upper()}_PROXY" if name else ""


def proxies() -> dict[str, str]:
    """Those that can be used, by scheme; what is wrong with another one is said once."""
    found = _environment()
    with _door:
        return _usable(tuple((name, found[name]) for name in _KNOWN if found.get(name)))


def _chosen(scheme: str, host: str, port: int | None) -> str:
    usable = proxies()
    name = next((name for name in _ORDER.get(scheme, ()) if name in usable), "")
    port = port or (443 if scheme in {"https", "wss"} else 80)  # NO_PROXY may name it
    return "" if name and noproxy.spared(_environment().get("no", ""), host, port) else name


# Where no variable is set, ``getproxies`` would ask macOS, whose exceptions stand elsewhere.
_environment = urllib.request.getproxies_environment


@functools.cache
def _usable(found: tuple[tuple[str, str], ...]) -> dict[str, str]:
    usable = {}
    for name, value in found:
        try:
            usable[name] = _written_out(value)
        except ValueError as wrong:  # never the value: it may hold a password
            log.warning(
                "%s_PROXY cannot be used: %s; write http://host:port or "
                "http://user:password@host:port; going on without it",
                name.upper(),
                wrong,
            )
    return usable


def _written_out(value: str) -> str:
    """As both libraries take it. Raises ValueError, with nothing of ``value`` but its scheme."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        raise ValueError("it is no address (%-encode signs in user and password)") from None
    if scheme not in {"http", "https"}:
        raise ValueError(f"it is of the kind {scheme}, and only http and https are known")
    if not host:
        raise ValueError("it has no host")
    login = ""
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{login}{where}{f':{port}' if port else ''}"
