"""``dod run`` that kills itself with SIGKILL at a named write of its store (DOD_TEST_DOOM).

``claim:asked:before``: before the first write of a claim in that state; ``conversation::after``;
the store itself knows nothing of it. DOD_TEST_CLOCK: seconds by which its clock is wrong.
DOD_TEST_DNS: seconds that each look-up of a name in ``.test`` takes. Words after the script's name
are for the reader of ``ps``.
"""

import json
import os
import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from dod.store.records import Records


def name_of(key: str, text: str | None) -> str:
    """``claim:taken``, ``claim:shown`` (asked, with text), ``conversation:``, ``calls:``…"""
    kind = key.split("/", 1)[0]
    value = json.loads(text or "{}")
    state = value.get("state", "") if kind == "claim" else ""
    return f"{kind}:{'shown' if state == 'asked' and value['text'] else state}"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def doomed(write: Callable[..., Any], point: str) -> Callable[..., Any]:
    def wrapped(records: Records, key: str, entry: Any) -> Any:
        name = name_of(key, entry.text)
        if point == f"{name}:before":
            die()
        done = write(records, key, entry)
        if point == f"{name}:after":
            die()
        return done

    return wrapped


def main() -> None:
    wrong, clock = float(os.environ.get("DOD_TEST_CLOCK", "0")), time.time
    if wrong:
        time.time = lambda: clock() + wrong
    slow, lookup = float(os.environ.get("DOD_TEST_DNS", "0")), socket.getaddrinfo
    if slow:

        def late(host: Any, *asked: Any, **named: Any) -> Any:
            if str(host).endswith(".test"):
                time.sleep(slow)
            return lookup(host, *asked, **named)

        socket.getaddrinfo = late
    point = os.environ.get("DOD_TEST_DOOM", "")
    if point:
        Records.put = doomed(Records.put, point)  # type: ignore[method-assign]
        Records.add = doomed(Records.add, point)  # type: ignore[method-assign]
    sys.argv = ["dod", "run"]
    runpy.run_module("dod", run_name="__main__")


if __name__ == "__main__":
    main()
