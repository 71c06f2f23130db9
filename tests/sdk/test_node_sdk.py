"""The simulator is DingTalk enough for the official Node SDK, its axios led here."""

import asyncio
import shutil
import subprocess
from pathlib import Path

from tests.require import require
from tests.sdk.scenario import prove

HERE = Path(__file__).parent
INSTALL = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]


def installed(place: Path) -> list[str]:
    """Install the SDK into ``place``; returns the command that starts the bot there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        require("node", "node and npm are not on the path")
    for name in ("client.mjs", "package.json"):
        shutil.copy(HERE / name, place / name)
    try:
        done = subprocess.run(
            [npm, *INSTALL], cwd=place, capture_output=True, text=True, timeout=80, check=False
        )
    except subprocess.TimeoutExpired:
        require("node", "npm install took too long")
    if done.returncode != 0:
        require("node", f"npm install failed: {done.stderr[-500:]}")
    return [node, str(place / "client.mjs")]


def test_node_sdk_lives_on_the_simulator(tmp_path: Path) -> None:
    """It ignores the ``disconnect`` frame and comes back only when the connection is dropped."""
    command = installed(tmp_path)
    asyncio.run(prove(command, tmp_path / "bot.log", public=False, grace=0.1))
