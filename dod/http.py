"""The one place that makes httpx clients: TLS context, proxies, timeouts, limits.

One ``ssl.SSLContext`` serves the whole process: a context per client costs about 1 MB each.
Proxies and an office's own CA come from the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE).
"""

import functools
import ssl

import httpx

import dod

# None, None: the defaults (100 connections, pool time-out) would end 200 turns in PoolTimeout.
# 90 s: people ask again within a minute or so, and need no new TLS handshake then.
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=90)


@functools.cache
def tls() -> ssl.SSLContext:
    """The process's TLS context; honours SSL_CERT_FILE and SSL_CERT_DIR."""
    return httpx.create_ssl_context()


def client(
    base_url: str = "", *, read: float = 15.0, headers: dict[str, str] | None = None
) -> httpx.AsyncClient:
    """An httpx client of the house. ``read``: seconds of silence before a call is given up."""
    return httpx.AsyncClient(
        base_url=base_url,
        verify=tls(),
        limits=LIMITS,
        timeout=httpx.Timeout(10.0, read=read, pool=None),
        headers={"User-Agent": f"dod/{dod.__version__}", **(headers or {})},
        follow_redirects=False,
    )
