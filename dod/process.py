"""What the process may take of its host, and what it keeps to itself. Thread: the first one."""

import ctypes
import logging
import os
import resource

log = logging.getLogger(__name__)

_SET_DUMPABLE = 4  # PR_SET_DUMPABLE of Linux's prctl.h


def set_limits() -> None:
    """As many sockets as the host allows; no core dumps, which would hold secrets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit says nothing to a host that pipes dumps to a program (core(5)). With this one there
    # is nothing to pipe, and no other process of the same user may read memory and environment.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0):
        log.warning("core dumps cannot be switched off: %s", os.strerror(ctypes.get_errno()))
