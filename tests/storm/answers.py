"""What the simulated Dify answers: decided by the question's token alone, so that it can be judged.

Every piece of an answer repeats the token: text of another question is seen wherever it stands.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from dod.sim.dify.scripts import Answer

TOKEN = re.compile(r"Q\d{6}")
LONG = 1100  # pieces: three cards
FORMS = ("What about {}, please?", "{} 怎么样？请说说看。", "Tell me of {}\nand of the rest.")


def question(number: int) -> str:
    """The ``number``-th question ever; its token is in it."""
    return FORMS[number % len(FORMS)].format(f"Q{number:06d}")


def token_of(text: str) -> str:
    found = TOKEN.search(text)
    return found.group() if found else ""


def pieces(token: str) -> tuple[str, ...]:
    chance = _chance(token)
    count = LONG if chance % 40 == 0 else 4 + chance // 40 % 40
    return tuple(
        f"{token}:{n:04d}" + ("\n\n" if n % 12 == 11 else "，你好 " if n % 5 == 4 else " ")
        for n in range(count)
    )


def whole(token: str) -> str:
    """The whole answer, as it is compared: without white space."""
    return squeezed("".join(pieces(token)))


def squeezed(text: str) -> str:
    """Cards cut where Markdown allows and trim ends: white space is not what is judged."""
    return "".join(text.split())


class Pen:
    """One app's script; ``slowly``: seconds before the first token, while a fault is on."""

    def __init__(self) -> None:
        self.slowly = 0.0

    def __call__(self, query: str, _turn: int, _user: str, _inputs: Mapping[str, Any]) -> Answer:
        token = token_of(query)
        said, chance = pieces(token), _chance(token)
        interval = 0.003 if len(said) == LONG else 0.02 + 0.06 * (chance % 7) / 6
        first = 0.05 + 0.4 * (chance % 11) / 10 + self.slowly
        return Answer("".join(said), interval=interval, first_delay=first, tokens=said)


def _chance(token: str) -> int:
    return int(hashlib.sha256(token.encode()).hexdigest()[:8], 16)
