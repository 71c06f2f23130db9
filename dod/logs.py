"""One log format, on stderr, that cannot print a secret.

Every value given to ``hide`` is masked in every record, at every level, also inside tracebacks;
so are bearer tokens, tickets and session webhooks, which nobody registers because they are born
on the wire (dingtalk-protocol §10.26).
"""

import logging
import re
import sys
import time

MASK = "••••••"
_SECRETS: set[str] = set()
_ON_THE_WIRE = re.compile(
    r"(?i)(\bticket=|access_token[\"'=:\s]+|x-acs-dingtalk-access-token[\"'=:\s]+|bearer\s+"
    r"|session=|\bapp-(?=[a-z0-9]{8,})|secret[\"'=:\s]+)[^\s\"'&,;)}]+"
)


def hide(*secrets: str) -> None:
    """Never print these again. Values shorter than 6 characters are ignored: they hit words."""
    _SECRETS.update(secret for secret in secrets if len(secret) >= 6)


def redact(text: str) -> str:
    """``text`` with every known secret, token and ticket replaced by a mask."""
    for secret in tuple(_SECRETS):
        if secret in text:
            text = text.replace(secret, MASK)
    return _ON_THE_WIRE.sub(lambda match: match.group(1) + MASK, text)


class _Formatter(logging.Formatter):
    converter = staticmethod(time.localtime)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(level: str = "INFO") -> None:
    """Install the one handler. May be called again: the level is live."""
    root = logging.getLogger()
    if not any(isinstance(handler.formatter, _Formatter) for handler in root.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            _Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        )
        root.addHandler(handler)
    root.setLevel(level)
    # Libraries: their INFO is our debug (httpx logs every URL, the SDK its tickets).
    for name in ("httpx", "httpcore", "websockets", "asyncio", "aiohttp.access", "dingtalk_stream"):
        logging.getLogger(name).setLevel(logging.WARNING)
