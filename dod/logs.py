"""One log format, on stderr, that cannot print a secret.

Every value given to ``hide`` is masked in every record, at every level, also inside tracebacks;
so are bearer tokens, tickets and session webhooks, which nobody registers because they are born
on the wire (dingtalk-protocol §10.26).
"""

import json
import logging
import re
import sys
import time
from urllib.parse import quote, quote_plus

MASK = "••••••"
# The longest first: one may begin another, whose end would be left.
_secrets: tuple[str, ...] = ()
# A sign must stand between a name and its value: "client secret (HTTP 401)" names no secret. Where
# a blank may do, a word is none: "the access-token has expired", "Bearer authentication required".
_NO_WORD = r"(?!(?-i:[a-z]{1,16})(?:[\s.,;:!?)]|$))"
_ON_THE_WIRE = re.compile(
    r"(?i)(\bticket=|access[_-]?token[\\\"'\s]*[=:][\\\"'\s]*"
    rf"|access-token[\"'\s]+{_NO_WORD}|bearer\s+{_NO_WORD}"
    r"|authorization[\\\"'\s]*[=:][\\\"'\s]*bearer\s+"
    r"|session=|\bapp-(?=[a-z0-9]{8,})|secret[\\\"'\s]*[=:][\\\"'\s]*)[^\s\"'&,;)}]+"
)

# What a terminal would obey: a provider's error may hold what a person typed.
_ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def hide(*secrets: str) -> None:
    """Never print these again, nor as JSON, ``repr`` or an address write them.

    Values shorter than 6 characters are ignored: they hit words.
    """
    global _secrets  # noqa: PLW0603 - one tuple, replaced as a whole: any thread may read it
    new = {spelt for it in secrets if len(it) >= 6 for spelt in _spellings(it)}
    if not new.issubset(_secrets):
        _secrets = tuple(sorted({*_secrets, *new}, key=len, reverse=True))


def redact(text: str) -> str:
    """``text`` with every known secret, token and ticket replaced by a mask."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return _ON_THE_WIRE.sub(lambda match: match.group(1) + MASK, text)


def _spellings(secret: str) -> set[str]:
    """As a neighbour may say it back, and as that is then quoted once more."""
    # Half a surrogate, which YAML can write, has no bytes and so no spelling in an address.
    quoted = {it(secret, safe="", errors="replace") for it in (quote, quote_plus)}
    spelt = {secret, *quoted}
    spelt |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return spelt | {repr(it)[1:-1] for it in spelt} | {repr(it + "'\"")[1:-4] for it in spelt}


class _Formatter(logging.Formatter):
    converter = staticmethod(time.localtime)

    def format(self, record: logging.LogRecord) -> str:
        return _ORDERS.sub("·", redact(super().format(record)))


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
