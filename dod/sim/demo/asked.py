"""What ``dod demo`` was asked for: where to listen, and the key of a real Dify."""

import getpass
import sys
from collections.abc import Mapping


class Unusable(Exception):
    """One sentence in each language on what cannot be used."""


def address_of(listen: str) -> tuple[str, int]:
    """Host and port. Raises Unusable."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Unusable(
            f"--listen 主机:端口，例如 127.0.0.1:8800。 --listen HOST:PORT, not {listen}"
        )
    return host.strip("[]"), int(port)


def key_of(dify_url: str | None, environ: Mapping[str, str]) -> str:
    """The real Dify's key: from the environment, else from a prompt; never stored.

    Raises Unusable.
    """
    if not dify_url:
        return ""
    if not dify_url.startswith(("http://", "https://")):
        raise Unusable("--dify-url 要以 http:// 或 https:// 开头。 It begins with http(s)://.")
    key = environ.get("DIFY_API_KEY", "").strip()
    if not key and sys.stdin.isatty():
        key = getpass.getpass("Dify API key（app-…，不显示 not shown）: ").strip()
    if not key:
        raise Unusable("请设置环境变量 DIFY_API_KEY。 Please set DIFY_API_KEY.")
    return key
