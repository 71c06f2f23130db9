"""One image and one network for all image tests of a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.engine import World, build, client, world


@pytest.fixture(scope="session")
def image() -> str:
    """The image's tag. DOD_TEST_IMAGE names one that is built already."""
    client()
    tag = os.environ.get("DOD_TEST_IMAGE", "")
    if not tag:
        tag = "dod:tests"
        build(tag)
    return tag


@pytest.fixture(scope="session")
def whole(image: str) -> Iterator[World]:
    with world(image) as made:
        yield made


@pytest.fixture
def net(whole: World) -> Iterator[World]:
    """The neighbours; what the test starts is removed at its end."""
    yield whole
    whole.clear()


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder that anybody may enter, as the path to a NAS's share is."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
        if folder == Path("/tmp"):
            break
    return tmp_path
