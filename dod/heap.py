"""The process's memory, told what it is to serve: many threads and many short turns, for months.

Measured with twenty bots (docs/reliability.md, "the soak"). Thread: the first one, before others.
"""

import ctypes
import gc
import os
from contextlib import suppress

# For the environment of ``dod run``: glibc reads it before the first line of Python, and offers no
# other way. Each thread else keeps up to seven pieces of each size up to 1 KB for itself, some
# 0.2 MB that fill over hours: 2.6 MB with 20 bots after 300 messages. It costs no time.
NAME, TUNABLES = "GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"

EVERY = 10.0  # seconds

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def settle() -> None:
    """Call once, when everything is imported and before any thread begins."""
    _share()
    _look_often()


def _look_often() -> None:
    """What only the collector ends is found soon: closed connections, errors with their traces.

    Python looks through the old objects when a quarter as many are new, but not before 85,000 are:
    thousands of connections. An answer that ends well leaves nothing to it
    (tests/test_ended_turns.py). What is imported stands for ever, and is not looked through.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 2)


def look() -> None:
    """Free what has ended as a ring: a bot, a replaced connection. To be called ``EVERY`` seconds.

    Thousands of objects each, which the collector would not meet for hours: what ends otherwise
    leaves it so little to do. Takes some 5 ms with twenty bots.
    """
    gc.collect()


def _share() -> None:
    """One heap for all threads: what one bot frees another uses.

    glibc gives each thread its own, up to eight for each core, and returns little of them to the
    system: beside 20 bots 12 MB lay free there. Python's threads take turns anyway.
    """
    if "MALLOC_ARENA_MAX" in os.environ:  # somebody knows better
        return
    with suppress(AttributeError):  # no glibc
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
