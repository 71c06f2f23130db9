"""What looks like a credential, whoever wrote it and wherever it stands."""

import re

from dod.logs import MASK

_ODD = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
_WORDS = re.compile(r"[A-Za-z]+|[0-9]+|[A-Za-z][a-z]*[0-9]{1,3}")
_TOKEN = re.compile(r"[A-Za-z0-9_\-+/=.~]{10,}")
_APP_KEY = re.compile(r"app-[A-Za-z0-9]{8,}")
_CLIENT_ID = re.compile(r"ding[a-z0-9]{6,20}")
_LOGIN = re.compile(r"(?<=://)[^\s/]+(?=@)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.schema)?")
_HANDLER = re.compile(r"Dify[A-Za-z]*Handler")


def looks_secret(token: str) -> bool:
    """Whether ``token`` is rather a credential than a word, an id or a path."""
    if _APP_KEY.search(token):
        return True
    if _CLIENT_ID.fullmatch(token) or _UUID.fullmatch(token):
        return False
    parts = [part for part in re.split(r"[_\-/.=+~]", token) if part]
    if all(_WORDS.fullmatch(part) for part in parts):
        return any(_jumbled(part) for part in parts)
    return any(_jumbled(part) or (len(part) >= 10 and _digits(part)) for part in parts) or (
        len(token) >= 20 and _digits(token) and _mixed(token)
    )


def credentials_in(line: str) -> list[tuple[int, int]]:
    """Where they begin and end; they may overlap."""
    spans = [m.span() for m in _TOKEN.finditer(line) if looks_secret(m[0])]
    return spans + [m.span() for net in (_APP_KEY, _LOGIN) for m in net.finditer(line)]


def conceal(text: str) -> str:
    """``text`` without what looks like a credential, or could trick a terminal."""
    text = _TOKEN.sub(lambda match: MASK if looks_secret(match[0]) else match[0], text)
    return tame(_LOGIN.sub(MASK, _APP_KEY.sub(MASK, text)))


def tame(text: str) -> str:
    """``text`` without what could trick a terminal. It is as long as before."""
    return _ODD.sub("·", text)


def _digits(text: str) -> bool:
    return any(char.isdigit() for char in text) and any(char.isalpha() for char in text)


def _mixed(text: str) -> bool:
    return text.lower() != text and text.upper() != text


def _jumbled(text: str) -> bool:
    """Whether the letters change their case as often as in no name made of words."""
    if len(text) < 12 or _HANDLER.fullmatch(text):
        return False
    return 6 * len(re.findall("[a-z][A-Z]", text)) >= len(text)
