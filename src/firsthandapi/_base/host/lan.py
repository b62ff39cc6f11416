"""The addresses of this machine in its local network."""

from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address

# The way to the first is the usual way out; the others are in the networks of homes, offices, and VPNs.
_TARGETS = ("192.0.2.1", "192.168.255.254", "172.31.255.254", "10.255.255.254", "100.127.255.254")


def lan_addresses() -> list[str]:
    """The IPv4 addresses of this machine that are not of the internet, that of the usual way out first."""
    addresses: list[str] = []
    for target in _TARGETS:
        # A datagram's socket sends nothing when it connects, and has the address that the way there begins with.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            addresses.append(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        addresses += socket.gethostbyname_ex(socket.gethostname())[2]
    return [address for address in dict.fromkeys(addresses) if is_local_network(address)]


def is_local_network(host: str) -> bool:
    """Whether this is an address that only machines of a local network, or of a VPN, reach."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    exempt = address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast
    return not (address.is_global or exempt)
