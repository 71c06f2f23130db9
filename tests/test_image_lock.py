"""The image's lock is the part of requirements.lock that runs: the same versions and hashes."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def pins(name: str) -> dict[str, list[str]]:
    """Package → its version and hashes."""
    text = (ROOT / name).read_text("utf-8").replace(" \\\n", "")
    return {
        line.split("==")[0]: re.findall(r"==\S+(?= )|--hash=\S+", line)
        for line in text.splitlines()
    }


def test_the_image_installs_what_is_tested_and_nothing_for_developers() -> None:
    everything, image = pins("requirements.lock"), pins("requirements.image.lock")
    assert {name: everything.get(name) for name in image} == image, "run make lock-image"
    assert "httpx" in image
    assert not {"pytest", "mypy", "ruff", "supervisor", "setuptools"} & image.keys()
