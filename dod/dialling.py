"""TCP to a host of several addresses: the next one is tried beside one that is slow (RFC 8305).

asyncio can do that itself, but loses a socket when it is cancelled in the moment in which it has
connected (its staggered_race, observed in 3.11): here every attempt closes what it has made.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import TypeVar

P = TypeVar("P", bound=asyncio.Protocol)
Attempt = asyncio.Task[tuple[asyncio.Transport, P]]

NEXT = 0.25  # seconds until the next address is tried beside those before it


async def dial(make: Callable[[], P], host: str, port: int) -> tuple[asyncio.Transport, P]:
    """Connect to ``host`` on the loop that asks. Raises OSError; cancelled, it leaves nothing."""
    loop = asyncio.get_running_loop()
    found = await _addresses(host, port)
    if len(found) == 1:
        return await loop.create_connection(make, found[0], port)
    attempts: list[Attempt[P]] = []
    winner: Attempt[P] | None = None
    try:
        while winner is None and (found or not all(it.done() for it in attempts)):
            if found:
                step = loop.create_connection(make, found.pop(0), port)
                attempts.append(asyncio.create_task(step, name="dial"))
            pending = [it for it in attempts if not it.done()]
            seconds = NEXT if found else None
            await asyncio.wait(pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            winner = next((it for it in attempts if it.done() and not it.exception()), None)
    finally:
        for attempt in attempts:
            if attempt is not winner:
                attempt.cancel()
                attempt.add_done_callback(_discard)
    if winner is not None:
        return winner.result()
    raise _one_of([exc for it in attempts if (exc := it.exception())])


def _discard(attempt: "Attempt[P]") -> None:
    if not attempt.cancelled() and not attempt.exception():
        attempt.result()[0].abort()


async def _addresses(host: str, port: int) -> list[str]:
    """All of ``host``, its families in turns, in the order that the resolver prefers."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        loop = asyncio.get_running_loop()
        told = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in told:
        families.setdefault(family, []).append(str(address[0]))
    turns = chain.from_iterable(zip_longest(*families.values()))
    return list(dict.fromkeys(it for it in turns if it))


def _one_of(errors: list[BaseException]) -> BaseException:
    """What asyncio would raise."""
    if len({str(it) for it in errors}) == 1:
        return errors[0]
    return OSError(f"Multiple exceptions: {', '.join(map(str, errors))}")
