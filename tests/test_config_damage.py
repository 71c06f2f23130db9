"""A valid file, damaged at random: never an exception, a place outside the file, or a secret.

Some cases for every day; tests/accidents has 10,000.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.damage import FIFTY, THREE, Edit, damaged, edits, encoded, encodings, judge


@pytest.mark.parametrize("text", [THREE, FIFTY], ids=["three", "fifty"])
def test_the_undamaged_file_is_fine(text: str) -> None:
    assert judge(text.encode()).verdict == "accepted"


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(edits, encodings)
def test_damage_is_survived(accidents: list[Edit], encoding: str) -> None:
    text = THREE
    for edit in accidents:
        text = damaged(text, edit)
    judge(encoded(text, encoding))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=60))
def test_any_bytes_are_survived(data: bytes) -> None:
    judge(data)


@pytest.mark.parametrize("cut", range(0, len(THREE.encode()), 37))
def test_a_file_cut_short_is_survived(cut: int) -> None:
    judge(THREE.encode()[:cut])
