"""Every mistake in ``configs/`` and the words that explain it.

After a wanted change of wording: ``python -m tests.test_config_texts`` writes the expected files
anew; read the diff.
"""

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from dod.config.check import to_text
from dod.config.load import Loaded, load, load_text

CONFIGS = Path(__file__).parent / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))
# The secrets of the files here; none of them, nor half of one, may ever be shown.
SECRETS = (
    "Zx9KpQ7vR2mN4tB8",
    "wL1cY6hJ3fD5sG0a",
    "Zx9KpQ7vR2mN4",
    "tB8wL1cY6hJ3",
    "Hr7yQ2wE9rT5uI1oP3aS6dF8gH0jK4lZ",
    "AbCdEfGhIjKlMnOpQrStUv",
    "1234567890abcdef",
    "It1zX3cV5bN7mQ",
    "9wE2rT4yU6iO8pA0sD",
)


def read(path: Path) -> Loaded:
    """What dod makes of a mistake; ``secrets-….yaml`` is a secrets.yaml beside a valid file."""
    if path.stem.startswith("secrets-"):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(CONFIGS / "valid.yaml", Path(folder) / "bots.yaml")
            shutil.copy(path, Path(folder) / "secrets.yaml")
            return load(Path(folder), {}, run_secrets=CONFIGS)
    return load_text(
        path.read_bytes(), {}, folder=CONFIGS / "beside", name="bots.yaml", run_secrets=CONFIGS
    )


def expected(path: Path) -> Path:
    return path.with_name(f"{path.stem}.expected.txt")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_mistake_is_explained(path: Path) -> None:
    text = to_text(read(path))
    assert text == expected(path).read_text(encoding="utf-8")
    assert not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_languages_say_it(path: Path) -> None:
    for problem in read(path).problems:
        assert re.search("[\u4e00-\u9fff]", problem.zh)
        assert re.search("[A-Za-z]{3}", problem.en)
        assert not re.search("[\u4e00-\u9fff]", re.sub("'.*?'|[^\x00-\x7f]（.*?）", "", problem.en))


def test_no_expected_text_is_left_behind() -> None:
    assert {path.name for path in CONFIGS.glob("*.expected.txt")} == {
        expected(path).name for path in FILES
    }


def test_all_problems_are_told_at_once() -> None:
    loaded = read(CONFIGS / "many-mistakes.yaml")
    assert [(it.line, it.column) for it in loaded.problems] == [
        (1, 1), (2, 11), (4, 5), (5, 29), (6, 33), (7, 20),
        (8, 5), (9, 14), (10, 18), (11, 19), (12, 22), (13, 5),
    ]  # fmt: skip


if __name__ == "__main__":
    for file in FILES:
        expected(file).write_text(to_text(read(file)), encoding="utf-8")
