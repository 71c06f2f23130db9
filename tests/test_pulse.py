"""A supervisor hears once that dod is ready, and from then on that it lives."""

import os
from pathlib import Path

from dod.pulse import Pulse


def test_ready_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    reader, writer = os.pipe()
    now = [100.0]
    pulse = Pulse({"DOD_READY_FD": str(writer), "DOD_RUNDIR": str(tmp_path)}, clock=lambda: now[0])
    os.set_blocking(reader, False)
    pulse.beat(alive=True, ready=False)
    heartbeat = tmp_path / "app" / "heartbeat"
    first = heartbeat.stat().st_mtime_ns
    pulse.beat(alive=True, ready=True)
    pulse.beat(alive=True, ready=True)
    assert os.read(reader, 10) == b"\n"
    assert os.read(reader, 10) == b""  # closed
    os.close(reader)
    assert heartbeat.stat().st_mtime_ns == first
    heartbeat.unlink()
    now[0] += 11
    pulse.beat(alive=False, ready=True)
    assert not heartbeat.exists()
    pulse.beat(alive=True, ready=True)
    assert heartbeat.exists()


def test_it_is_ready_after_a_while_in_any_case() -> None:
    reader, writer = os.pipe()
    now = [0.0]
    pulse = Pulse({"DOD_READY_FD": str(writer)}, patience=30.0, clock=lambda: now[0])
    pulse.beat(alive=True, ready=False)
    now[0] = 30.0
    pulse.beat(alive=True, ready=False)
    assert os.read(reader, 10) == b"\n"
    os.close(reader)


def test_a_supervisor_that_is_gone_is_no_trouble() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    pulse = Pulse({"DOD_READY_FD": str(writer), "DOD_RUNDIR": "/nowhere"})
    pulse.beat(alive=True, ready=True)
    Pulse({}).beat(alive=True, ready=True)
