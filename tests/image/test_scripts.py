"""The image's scripts, as their checkers see them; skipped where those are not installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.image.engine import ROOT
from tests.require import require


def scripts() -> list[str]:
    found = [
        ROOT / "rootfs/usr/bin/dod",
        ROOT / "tests/image/base.sh",
        ROOT / ".ci/run",
        ROOT / "s6/ids",
    ]
    found += [path for path in (ROOT / "s6").rglob("*") if path.is_file()]
    texts = {path: path.read_text("utf-8") for path in found}
    return sorted({str(path) for path, text in texts.items() if text.startswith("#")})


def test_shellcheck_is_content() -> None:
    if shutil.which("shellcheck") is None:
        require("shellcheck", "apt-get install shellcheck")
    assert len(scripts()) >= 12
    words = ["shellcheck", "-x", *scripts()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


def test_hadolint_is_content() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    hadolint = shutil.which("hadolint", path=path) or require("hadolint", "not for this platform")
    words = [hadolint, "--no-color", "Dockerfile"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_builds_with_old_engines() -> None:
    """What Docker 20.10 would have to fetch a newer frontend for."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    for newer in ("# syntax=", "<<", "--link", "FROM scratch", "amd64", "x86_64"):
        assert newer not in text
