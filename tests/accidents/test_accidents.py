"""10,000 accidents to a file of three bots, 300 to one of fifty: a minute and a half of one core.

The daily 300 are in tests/test_config_damage.py.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.damage import FIFTY, OTHERS, THREE, Edit, damaged, edits, encoded, encodings, judge

MANY = settings(
    max_examples=10_000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def suffer(text: str, accidents: list[Edit], encoding: str) -> bytes:
    for edit in accidents:
        text = damaged(text, edit)
    return encoded(text, encoding)


@pytest.mark.timeout(600)
@MANY
@given(edits, encodings)
def test_ten_thousand_accidents_to_three_bots(accidents: list[Edit], encoding: str) -> None:
    judge(suffer(THREE, accidents, encoding))


@pytest.mark.timeout(600)
@settings(MANY, max_examples=300)
@given(edits, encodings)
def test_three_hundred_accidents_to_fifty_bots(accidents: list[Edit], encoding: str) -> None:
    judge(suffer(FIFTY, accidents, encoding))


@settings(MANY, max_examples=1_000)
@given(edits, encodings)
def test_a_thousand_accidents_to_secrets_yaml(accidents: list[Edit], encoding: str) -> None:
    judge(THREE.encode(), suffer("\n".join(OTHERS["secrets.yaml"]), accidents, encoding))
