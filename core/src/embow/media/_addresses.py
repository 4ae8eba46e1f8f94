"""Which network addresses an input may be fetched from."""

from __future__ import annotations

import ipaddress
import socket

from embow.errors import BadInputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet.

    Loopback, private, link-local, shared, reserved, multicast and unspecified ones do not, nor
    does an IPv6 address that carries one of these IPv4 addresses inside.
    """
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address a packet to this IPv6 address would end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    tunnel = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or tunnel


def resolve_host(host: str, port: int, allow_private: bool) -> list[str]:
    """Return the numeric addresses of a host that may be connected to, at least one.

    The caller connects to what is returned here, so that a name which resolves to something else a
    moment later gains nothing.

    Raises:
        BadInputError: Every address is refused.
        OSError: The name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    numeric = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if allow_private:
        return numeric
    public = [n for n in numeric if is_public(ipaddress.ip_address(n.partition("%")[0]))]
    if not public:
        raise BadInputError(
            f"{host} is at {', '.join(numeric)}, which is no public address, so nothing is fetched "
            'from it. To allow that: media={"allow_private_hosts": True}, or set '
            "EMBOW_ALLOW_PRIVATE_HOSTS=1."
        )
    return public
