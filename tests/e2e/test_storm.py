"""A minute of storm for every change; ``make storm`` has the long ones."""

import tempfile
from pathlib import Path

import pytest

from tests.storm.judge import listed
from tests.storm.storm import Storm, Weather


@pytest.mark.timeout(300)  # a wrong secret alone may keep a bot away for a minute
def test_a_minute_of_storm_loses_and_doubles_nothing() -> None:
    weather = Weather(seed=42, seconds=35, rate=5, every=0.4, settle=120)
    # A short path: that of the supervisor's socket has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="dod") as name, Storm(weather, Path(name)) as storm:
        storm.blow()
        outcome = storm.finish(storm.quiet())
    facts = outcome.verdict.facts
    assert outcome.verdict.clean, f"seed {weather.seed}\n{listed(outcome.verdict.cases)}"
    assert outcome.settled is not None, "everything settles when the faults stop"
    assert outcome.status == 0
    assert sum(outcome.faults.values()) >= 30
    assert facts["answered whole"] >= 10  # on a busy machine nobody is heard for long after a kill
    assert facts["ended with a sentence"] >= 1
