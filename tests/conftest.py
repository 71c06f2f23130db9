"""One hypothesis profile for all tests: the same examples everywhere, however slow the machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "dod",
    deadline=None,
    derandomize=True,
    database=None,  # a fresh clone and an old one meet the same examples
    suppress_health_check=[HealthCheck.too_slow],  # without caches generation is slow at first
)
settings.load_profile("dod")
