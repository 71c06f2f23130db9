import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dod import heap
from dod.supervise import prepare

# How many heaps glibc has made for threads that all hold something of their own at once.
ARENAS = """
import ctypes, sys, threading
from dod import heap
if "settle" in sys.argv:
    heap.settle()
meet = threading.Barrier(9)
def hold():
    held = [bytearray(2000) for _ in range(200)]
    meet.wait(30)
    meet.wait(30)
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads:
    thread.start()
meet.wait(30)
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
meet.wait(30)
"""
FROZEN = """
import gc
from dod import heap
heap.settle()
print(gc.get_freeze_count(), len(gc.get_objects()))
"""

# A ring that begins while dod runs, and that only the collector ends; nobody else calls it.
RING = """
import gc, os, signal, threading, weakref
from dod import heap
from dod.appliance import run
heap.EVERY = 0.05
gc.disable()
class Ring:
    pass
def begin():
    ring = Ring()
    ring.itself = ring
    weakref.finalize(ring, os.kill, os.getpid(), signal.SIGTERM)
threading.Timer(0.5, begin).start()
raise SystemExit(run())
"""
# Bytes in mappings of their own before and after: Python's table of names is the one that grows.
LOOKS = """
import ctypes
from dod.authorities import Authorities
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdhfghij"]
ours = Authorities()
ours.tls()
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
before = libc.mallinfo2().h
for _ in range(30_000):
    ours.look()
print(libc.mallinfo2().h - before)
"""


def _run(program: str, *words: str, **env: str) -> str:
    clean = {name: it for name, it in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(
        command, env=clean | env, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def _heaps(*words: str, **env: str) -> int:
    return _run(ARENAS, *words, **env).count("<heap nr=")


glibc = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="no glibc: nothing to be shared"
)


@glibc
def test_all_threads_share_one_heap() -> None:
    assert _heaps() > 1  # the sight is clear
    assert _heaps("settle") == 1


@glibc
def test_who_sets_the_number_of_heaps_is_obeyed() -> None:
    assert _heaps("settle", MALLOC_ARENA_MAX="3") == 3


def test_what_was_imported_is_not_looked_through_again() -> None:
    frozen, watched = map(int, _run(FROZEN).split())
    assert frozen > 1000
    assert watched < frozen / 10
    assert gc.get_freeze_count() == 0, "only the process that asked for it"


def test_whoever_starts_dod_tells_glibc_the_same(tmp_path: Path) -> None:
    image = Path(__file__).parent.parent / "rootfs/usr/bin/dod"
    assert f"{heap.NAME}:-{heap.TUNABLES}}}" in image.read_text("utf-8")
    for given, told in ({}, heap.TUNABLES), ({heap.NAME: "glibc.malloc.perturb=1"}, "perturb=1"):
        file, _ = prepare({"DOD_DATA_DIR": str(tmp_path), **given})
        assert told in file.read_text("utf-8")


def test_what_ended_as_a_ring_is_freed_while_dod_runs(tmp_path: Path) -> None:
    folders = {"DOD_CONFIG_DIR": str(tmp_path / "config"), "DOD_DATA_DIR": str(tmp_path / "data")}
    _run(RING, **folders, DOD_WEB_LISTEN="")  # ends when the ring is gone, else never


@glibc
def test_looking_for_a_renewed_certificate_fills_no_table(tmp_path: Path) -> None:
    """By a Path it did: three names of it were made known to Python each time, and forgotten."""
    named = tmp_path / "a-name-that-nobody-has" / "certificates.pem"
    assert int(_run(LOOKS, SSL_CERT_FILE=str(named))) == 0
