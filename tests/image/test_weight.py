"""What each layer may weigh: the whole has its bound in test_image; this says who broke it."""

import pytest

from tests.image.report import _title, layers

pytestmark = pytest.mark.timeout(300)

# Bytes to pull (gzip), with a tenth to spare. A new dependency has to be worth its line here.
MOST = {
    "Python, s6, time zones (Debian)": 13_000_000,
    "the packages of requirements.image.lock": 6_000_000,
    "launcher": 20_000,
    "service tree": 20_000,
    "licence": 20_000,
    "dod itself": 1_500_000,
}


def test_no_layer_of_ours_grows_unnoticed(image: str) -> None:
    found = {_title(layer.made_by): layer.packed for layer in layers(image)}
    assert MOST.keys() <= found.keys()
    assert {name: found[name] for name, most in MOST.items() if found[name] > most} == {}
