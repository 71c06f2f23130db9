"""``python -m tests.advisories``: has anything in requirements.lock a known vulnerability?

pip-audit asks PyPI, and OSV for what PyPI does not tell. What it finds fails ``make check``, unless
``ALLOWED`` says why it does no harm here; an entry there that nothing answers to any more fails,
too. Where nobody can be asked (offline, a mirror without advisories) that is said, and is a failure
only if DOD_TEST_REQUIRE (words) names ``advisories``.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.require import required

LOCK = Path(__file__).parent.parent / "requirements.lock"
EVERYTHING = "everything"  # in place of a package's name
PATIENCE = 120.0  # seconds for one service to tell of all packages
SERVICES: tuple[tuple[str, ...], ...] = (("-s", "pypi"), ("-s", "osv"))

USAGE = 2  # pip-audit's exit status for words it does not know


@dataclass(frozen=True, slots=True)
class Allowed:
    """An advisory that does no harm here, and ``why``. There is no other way to ignore one."""

    package: str
    advisory: str  # any of its names
    why: str


ALLOWED = (
    Allowed(
        "diskcache",
        "CVE-2025-69872",
        "values are unpickled by default; dod's store writes and reads text only, and takes a "
        "planted pickle for damage (dod/store/records.py, tests/test_store_disk.py); "
        "there is no release that mends it",
    ),
)


@dataclass(frozen=True, slots=True)
class Advisory:
    """``names``: all that it goes by. ``mended``: versions without it."""

    package: str
    version: str
    names: frozenset[str]
    mended: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"mended in {', '.join(self.mended)}" if self.mended else "no mended version"
        return f"{self.package} {self.version}: {', '.join(sorted(self.names))} ({remedy})"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a service told: ``advisories`` by package; ``unknown``: whom it could not tell of."""

    advisories: Mapping[str, tuple[Advisory, ...]]
    unknown: Mapping[str, str]  # package: why


def main(services: Sequence[Sequence[str]] = SERVICES, lock: Path = LOCK) -> int:
    """Tell what is known of ``lock``; 1 if somebody has to do something."""
    looked = look(services, lock)
    problems = list(judge(looked, ALLOWED))
    for problem in problems:
        print(f"advisories: {problem}", file=sys.stderr)
    if looked.unknown:
        name, why = next(iter(looked.unknown.items()))
        more = f", and {len(looked.unknown) - 1} more" if len(looked.unknown) > 1 else ""
        print(f"advisories: NOT LOOKED UP: {name}{more}: {why}")
    for allowed in ALLOWED:
        print(f"advisories: allowed: {allowed.package} {allowed.advisory}: {allowed.why}")
    print(f"advisories: {len(looked.advisories)} packages looked up, {len(problems)} problems")
    return 1 if problems or (looked.unknown and required("advisories")) else 0


def look(services: Sequence[Sequence[str]], lock: Path) -> Looked:
    """Ask one service after the other, until every package is known to one."""
    advisories: dict[str, tuple[Advisory, ...]] = {}
    unknown: Mapping[str, str] = {EVERYTHING: "no service was asked"}
    for service in services:
        told = _ask(service, lock)
        if EVERYTHING in told.unknown and EVERYTHING not in unknown:
            continue  # this one tells nothing; what is not known to an earlier one stays so
        advisories = {**told.advisories, **advisories}
        unknown = {name: why for name, why in told.unknown.items() if name not in advisories}
        if not unknown:
            break
    return Looked(advisories, unknown)


def judge(looked: Looked, allowed: Sequence[Allowed]) -> Iterator[str]:
    """What a person must do something about, each as a sentence."""
    for found in looked.advisories.values():
        for one in found:
            if not any(it.package == one.package and it.advisory in one.names for it in allowed):
                yield f"{one}: upgrade (make lock ARGS=--upgrade), or allow it with a reason"
    for it in allowed:
        told = looked.advisories.get(it.package)
        if told is None:
            if not looked.unknown:
                yield f"{it.package} {it.advisory} is allowed, but not in the lock: take it out"
        elif not any(it.advisory in one.names for one in told):
            yield f"{it.package} {it.advisory} is allowed, but nothing answers to it: take it out"


def _ask(service: Sequence[str], lock: Path) -> Looked:
    command = [
        *(sys.executable, "-m", "pip_audit", *service, "--require-hashes", "--disable-pip"),
        *("--format", "json", "--progress-spinner", "off", "--requirement", str(lock)),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return Looked({}, {EVERYTHING: f"no answer within {PATIENCE:g} s"})
    if done.returncode == USAGE:
        raise RuntimeError(done.stderr)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:  # it answers in JSON, or not at all
        last = (done.stderr.strip() or "no words").splitlines()[-1]
        return Looked({}, {EVERYTHING: last})
    return _read(told)


def _read(told: Mapping[str, Any]) -> Looked:
    advisories: dict[str, tuple[Advisory, ...]] = {}
    unknown: dict[str, str] = {}
    for package in told["dependencies"]:
        name = str(package["name"])
        if "skip_reason" in package:
            unknown[name] = str(package["skip_reason"])
            continue
        advisories[name] = tuple(
            Advisory(
                name,
                str(package["version"]),
                frozenset({str(it["id"]), *map(str, it["aliases"])}),
                tuple(map(str, it["fix_versions"])),
            )
            for it in package["vulns"]
        )
    return Looked(advisories, unknown)


if __name__ == "__main__":
    sys.exit(main())
