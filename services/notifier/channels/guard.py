"""Which addresses messages may be sent to: the address that was checked is the one that is connected to.

A name is resolved here, every address that it has is checked, and the connection is made to one of those: a name
whose answer changes between check and connection (DNS rebinding) gains nothing. TLS still verifies the name.
"""

import asyncio
import ipaddress
import socket
import time
from typing import Final

import httpx2

RESOLVED_FOR_S: Final = 30.0
CONNECTIONS_MAX: Final = 100


class ForbiddenAddress(Exception):
    """A host lies where nothing may be sent; the message names it."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """HTTP to one host, never to a private, link-local or otherwise special address unless that is allowed."""

    def __init__(self, *, allow_private: bool, keep_alive_s: float = 30.0) -> None:
        self._allow_private = allow_private
        limits = httpx2.Limits(
            max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=keep_alive_s
        )
        # No proxy and no certificates from the environment: where a message goes is for the configuration to say.
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False, limits=limits)
        self._resolved: dict[tuple[str, int], tuple[float, str]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to a checked address of its host. Raises ForbiddenAddress, or OSError for an unknown host."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        address = await self._checked(host, port)
        if address != host:
            # The header Host stays as it is, and the certificate is checked against the name.
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=address)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _checked(self, host: str, port: int) -> str:
        known = self._resolved.get((host, port))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        addresses = await resolve(host, port)
        for address in addresses:
            check_address_allowed(host, address, allow_private=self._allow_private)
        self._resolved = {(host, port): (time.monotonic() + RESOLVED_FOR_S, addresses[0])}
        return addresses[0]


def check_address_allowed(host: str, address: str, *, allow_private: bool) -> None:
    """Refuse an address that is not one of the public internet. Raises ForbiddenAddress."""
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    found = found if mapped is None else mapped
    if found.is_multicast or found.is_unspecified:
        raise ForbiddenAddress(f"{host} is {address}, which is no host")
    if not allow_private and not found.is_global:
        raise ForbiddenAddress(
            f"{host} is {address}, a private, link-local or reserved address: nothing is sent there unless the "
            f"configuration says allow_private"
        )


def is_address(host: str) -> bool:
    """Tell whether a host is an address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises OSError when there are none."""
    if is_address(host):
        return [host]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"the name {host} has no address")
    return [str(entry[4][0]) for entry in found]
