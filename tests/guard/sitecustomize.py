"""Python imports this at its start when this folder is on PYTHONPATH: the process then refuses to leave the machine."""

from __future__ import annotations

import errno
import sys


def is_this_machine(host: str) -> bool:
    """Whether an address or a name means this machine."""
    import ipaddress

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def refuse_to_leave(event: str, arguments: tuple) -> None:
    """Raise OSError where an address is elsewhere. As an audit hook it stays for as long as the process lives."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # others are files, such as Unix sockets
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not is_this_machine(host):
        raise OSError(errno.ENETUNREACH, f"the checks run without a network, and this is not on this machine: {host}")


sys.addaudithook(refuse_to_leave)
