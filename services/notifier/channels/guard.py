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
CONNECTIONS_PER_POOL: Final = 4
KEEP_ALIVE_S: Final = 30.0
ANSWER_MAX_BYTES: Final = 64 * 1024


class ForbiddenAddress(Exception):
    """A host lies where nothing may be sent; the message names it."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """HTTP to one host, never to a private, link-local or otherwise special address unless that is allowed.

    For each request and each answer the library looks at every connection of its pool: with 64 of them that is half
    of what a message costs. So there are many small pools, and whatever is free takes the next request.
    """

    def __init__(self, *, allow_private: bool, connections: int = CONNECTIONS_PER_POOL) -> None:
        assert connections >= 1, "at least one message at a time"
        self._allow_private = allow_private
        # No proxy and no certificates from the environment: where a message goes is for the configuration to say.
        context = httpx2.create_ssl_context(trust_env=False)
        limits = httpx2.Limits(
            max_connections=CONNECTIONS_PER_POOL,
            max_keepalive_connections=CONNECTIONS_PER_POOL,
            keepalive_expiry=KEEP_ALIVE_S,
        )
        self._pools = [
            httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
            for _ in range(-(-connections // CONNECTIONS_PER_POOL))
        ]
        self._free = [pool for pool in self._pools for _ in range(CONNECTIONS_PER_POOL)]
        self._resolved: dict[tuple[str, int], tuple[float, str]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to a checked address of its host and read the answer.

        Raises ForbiddenAddress, or OSError for an unknown host.
        """
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        address = await self._checked(host, port)
        if address != host:
            # The header Host stays as it is, and the certificate is checked against the name.
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=address)
        # The one that was used last: its connection is open. More requests than expected wait in a pool.
        pool = self._free.pop() if self._free else self._pools[0]
        try:
            return await _whole(await pool.handle_async_request(request))
        finally:
            self._free.append(pool)

    async def aclose(self) -> None:
        """Close the connections."""
        for pool in self._pools:
            await pool.aclose()

    async def _checked(self, host: str, port: int) -> str:
        known = self._resolved.get((host, port))
        if known is not None and known[0] > time.monotonic():
            return known[1]
        addresses = await resolve(host, port)
        for address in addresses:
            check_address_allowed(host, address, allow_private=self._allow_private)
        self._resolved = {(host, port): (time.monotonic() + RESOLVED_FOR_S, addresses[0])}
        return addresses[0]


async def _whole(answer: httpx2.Response) -> httpx2.Response:
    """Return an answer that has been read. Raises ReadError when it is longer than any answer has to be.

    Nothing in it is unpacked: a small answer could become a very large one.
    """
    assert isinstance(answer.stream, httpx2.AsyncByteStream), "an asynchronous transport gives such a stream"
    body = bytearray()
    try:
        async for chunk in answer.stream:
            body += chunk
            if len(body) > ANSWER_MAX_BYTES:
                raise httpx2.ReadError(f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
    finally:
        await answer.stream.aclose()
    headers = [(name, value) for name, value in answer.headers.raw if name.lower() != b"content-encoding"]
    return httpx2.Response(answer.status_code, headers=headers, stream=httpx2.ByteStream(bytes(body)))


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
