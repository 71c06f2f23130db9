"""Which apps and versions the simulated Dify knows."""

from typing import Literal

Kind = Literal["chat", "agent", "chatflow", "completion", "workflow"]
Version = Literal["0.15", "1.13", "1.13.1"]
NUMBERS: dict[Version, str] = {"0.15": "0.15.3", "1.13": "1.13.0", "1.13.1": "1.13.1"}
