"""Whom NO_PROXY spares the proxy, however an office writes it down.

Python's reading knows names and ``*`` alone; offices also write networks, ``192.168.*``, brackets
and schemes, as other programs take them.
"""

import functools
import ipaddress
import logging
import re
import threading
from typing import NamedTuple

log = logging.getLogger(__name__)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ENTRY = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(\[[^]]*\][/\d]*|[^:]*|.*:.*:.*?)(?::(\d+))?")
_NUMBERS = re.compile(r"((?:\d{1,3}\.){1,3})(?:\*(?:\.\*)*)?")  # 192.168.*
_NAME = re.compile(r"(?:[\w-]+\.)*(?!\d+$)[\w-]+")
_EVERYBODY = "*"
_door = threading.Lock()  # a cache alone lets two threads in


class _Spared(NamedTuple):
    """``who``: a name with all below it, or a network. ``port`` None: each one."""

    who: str | _Network
    port: int | None


def spared(written: str, host: str, port: int) -> bool:
    """Whether ``written``, a value of NO_PROXY, names this neighbour. Thread: any."""
    with _door:
        entries = _read(written)
    if not entries:
        return False
    name = host.lower().strip("[]").removesuffix(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    for who, only in entries:
        if only not in {None, port}:
            continue
        if not isinstance(who, str):
            if address is not None and address in who:
                return True
        elif who == _EVERYBODY or f".{name}".endswith(f".{who}"):
            return True
    return False


@functools.lru_cache(4)
def _read(written: str) -> tuple[_Spared, ...]:
    """What is not understood is said once."""
    entries = []
    for entry in re.split(r"[,;\s]+", written.lower()):
        try:
            if entry:
                entries.append(_understood(entry))
        except ValueError:
            log.warning(
                "NO_PROXY: %r is not understood and spares nobody; write a name, an address, "
                "10.0.0.0/8 or *, with commas in between",
                entry.rpartition("@")[2],  # what stands before may be a password
            )
    return tuple(entries)


def _understood(entry: str) -> _Spared:
    """Raises ValueError."""
    match = _ENTRY.fullmatch(entry.rstrip("/"))
    if match is None:
        raise ValueError(entry)
    port = int(match[2]) if match[2] else None
    who = match[1].replace("[", "").replace("]", "")
    if numbers := _NUMBERS.fullmatch(who):
        octets = numbers[1].split(".")[:-1]
        start = ".".join([*octets, "0", "0", "0"][:4])
        return _Spared(ipaddress.ip_network(f"{start}/{8 * len(octets)}"), port)
    try:
        return _Spared(ipaddress.ip_network(who, strict=False), port)
    except ValueError:
        name = re.sub(r"^(\*?\.)+", "", who).removesuffix(".")
    if name != _EVERYBODY and not _NAME.fullmatch(name):
        raise ValueError(entry)
    return _Spared(name, port)
