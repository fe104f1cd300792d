"""Host names: which go through no proxy, and looking them up without asyncio's default executor.

``loop.getaddrinfo`` runs in that executor, and ``asyncio.run`` waits for its threads: a name
server that does not answer would hold up the end of the program long after our own time limit.
A daemon thread is left behind instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

_PORTED = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})")


async def addresses(host: str, port: int) -> list[str]:
    """Return the IP addresses of *host*, the preferred first, each once.

    Cancelling leaves a daemon thread behind until the system's resolver gives up.

    Raises:
        OSError: no such name, or nobody to ask.
    """
    with contextlib.suppress(ValueError):  # a name, not an address
        return [str(ipaddress.ip_address(host))]
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def settle(result: list[str] | OSError) -> None:
        if found.done():  # cancelled: nobody waits any more
            return
        if isinstance(result, OSError):
            found.set_exception(result)
        else:
            found.set_result(result)

    def look_up() -> None:
        result: list[str] | OSError
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label over 63 characters
            result = error if isinstance(error, OSError) else OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=look_up, name=f"tinyagent-lookup-{host}", daemon=True).start()
    return await found


def is_direct(url: str, listed: str) -> bool:
    """Return whether *listed*, as ``NO_PROXY`` lists what goes through no proxy, holds *url*.

    An entry may end with a port, ``host:8080``: then it is of that port only.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    ported = [_PORTED.fullmatch(entry.strip()) or entry for entry in listed.split(",")]
    here = (
        entry if isinstance(entry, str) else (entry[1] or entry[2])
        for entry in ported
        if isinstance(entry, str) or int(entry[3]) == port
    )
    return is_listed(parts.hostname or "", ",".join(here))


def is_listed(host: str, listed: str) -> bool:
    """Return whether *listed*, entries without ports, holds *host*.

    A name is listed with the names below it, with a dot before it or not; an address by itself or
    by its network; everything by ``*``. Schemes are no part of it.
    """
    entries = [entry.strip().lower() for entry in listed.split(",")]
    if "*" in entries:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domains = (entry.removeprefix(".") for entry in entries)
        return any(name and f".{host.lower()}".endswith(f".{name}") for name in domains)
    return any(address in network for network in _networks(entries))


def _networks(entries: Iterable[str]) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in entries:
        with contextlib.suppress(ValueError):  # a name
            yield ipaddress.ip_network(entry, strict=False)
