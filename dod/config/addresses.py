"""Web addresses: whether one can be used, and whether it carries a key in clear over the world."""

import ipaddress
from urllib.parse import urlsplit

import idna

from dod.config.source import Remark

# Names that only a local network knows, as the status page takes them (design §2.4).
_LOCAL = (".local", ".lan", ".internal", ".home.arpa", ".localhost", ".test", ".home", ".svc")


def bad_url(value: str) -> bool:
    """Whether a URL that matches the pattern has no usable host or port all the same."""
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname or ""
        if not host.isascii():
            idna.encode(host)  # as httpx will
    except ValueError:
        return True
    return not host or port == 0 or not value.isprintable()


def bad_address(key: str) -> tuple[str, str]:
    return (
        f"“{key}” 不是有效的网址：主机名或端口不对。",
        f"'{key}' is not a valid address: its host or port is wrong.",
    )


def public_without_tls(value: str) -> bool:
    """Whether ``value`` is plain http to a host that is not of the local network."""
    if not value.lower().startswith("http://"):
        return False
    host = (urlsplit(value).hostname or "").rstrip(".").lower()
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_LOCAL)


def in_clear(key: str) -> Remark:
    return Remark(
        f"“{key}” 用 http:// 连接公网上的主机：API 密钥和聊天内容在路上是明文；"
        "能用 https:// 就请改用。",
        f"'{key}' goes to a public host over http://: the API key and what people write travel in "
        "clear. Use https:// if the host offers it.",
    )
