"""Ports for programs that are told theirs before they listen on it."""

import itertools
import os
import socket

_PORTS = itertools.count()


def free_port() -> int:
    """A port of this process's own: below those that the kernel gives to others, and never twice.

    Between the moment it is found and that when a dod listens on it nobody else may take it, also
    where tests run in several processes.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw"))
    for _ in range(2000):
        port = 10_000 + worker * 2000 + (os.getpid() + next(_PORTS)) % 2000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")
