"""Skip or fail: what a test needs from the machine beyond Python and loopback."""

import os
from typing import Literal, NoReturn

import pytest


def required(what: str) -> bool:
    """Whether DOD_TEST_REQUIRE (words) names ``what``: a machine without it is then a failure."""
    return what in os.environ.get("DOD_TEST_REQUIRE", "").replace(",", " ").split()


def require(
    what: Literal[
        "chromium", "docker", "faketime", "hadolint", "mount", "node", "openssl", "shellcheck"
    ],
    reason: str,
) -> NoReturn:
    """Skip because ``what`` is missing, or fail if DOD_TEST_REQUIRE (words) names it."""
    if required(what):
        pytest.fail(f"{what} is required here: {reason}", pytrace=False)
    pytest.skip(f"no {what}: {reason}")
