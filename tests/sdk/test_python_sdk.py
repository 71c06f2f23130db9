"""The simulator is DingTalk enough for the official Python SDK, unchanged."""

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

from tests.sdk.scenario import prove

HERE = Path(__file__).parent


def test_python_sdk_lives_on_the_simulator(tmp_path: Path) -> None:
    """Only DINGTALK_OPENAPI_ENDPOINT is set, which the SDK reads at import."""
    assert version("dingtalk-stream") == "0.24.3"
    command = [sys.executable, str(HERE / "client.py")]
    # The SDK closes by itself on ``disconnect``: no need to see the drop.
    asyncio.run(prove(command, tmp_path / "bot.log", public=True, grace=10.0))
