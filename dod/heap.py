"""The process's memory, told what it is to serve: many threads and many short turns, for months.

Measured with twenty bots (docs/reliability.md, "the soak"). Thread: the first one, before others.
"""

import ctypes
import gc
import os
from contextlib import suppress

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def settle() -> None:
    """Call once, when everything is imported and before any thread begins."""
    _share()
    # What stands for ever is not looked through again. The collector waits until what is new is a
    # quarter of what is old: beside 60,000 objects of the imports, ended turns lay there for
    # minutes, some MB of them, each in a ring of some 240 objects.
    gc.collect()
    gc.freeze()


def _share() -> None:
    """One heap for all threads: what one bot frees another uses.

    glibc gives each thread its own, up to eight for each core, and returns little of them to the
    system: beside 20 bots 12 MB lay free there. Python's threads take turns anyway.
    """
    if "MALLOC_ARENA_MAX" in os.environ:  # somebody knows better
        return
    with suppress(AttributeError):  # no glibc
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
