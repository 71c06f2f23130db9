import pytest

from dod.config.credentials import conceal, looks_secret, tame
from dod.logs import MASK

SECRET = "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a"


@pytest.mark.parametrize("token", ["app-AbCdEfGh1234", SECRET, "a1b2c3d4e5f6a7b8c9d0e1f2"])
def test_credentials_are_recognised(token: str) -> None:
    assert looks_secret(token)
    assert conceal(f"it is {token}, there") == f"it is {MASK}, there"


@pytest.mark.parametrize(
    "text", ["customer-service", "dinga1b2c3d4e5f6", "DifyAiCardBotHandler", "http://dify.local/v1"]
)
def test_words_ids_and_paths_are_left(text: str) -> None:
    assert conceal(text) == text


def test_a_terminal_is_told_nothing_and_no_place_moves() -> None:
    assert tame("a\x1b[31mb\u202ec") == "a·[31mb·c"
