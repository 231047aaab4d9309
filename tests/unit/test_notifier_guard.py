"""Where webhooks may go: what was checked is what is connected to, whatever the name says next."""

import httpx2
import pytest

from services.notifier.channels import guard
from services.notifier.channels.guard import ForbiddenAddress, GuardedTransport, check_address_allowed

PUBLIC = "93.184.215.14"
PRIVATE = (
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "::1",
    "fe80::1",
    "fd00::1",
)
NEVER = ("0.0.0.0", "224.0.0.1", "::", "ff02::1")


class Pool(httpx2.AsyncBaseTransport):
    """Notes where it was to connect, and answers."""

    def __init__(self) -> None:
        self.connected: list[tuple[str, str, object]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.connected.append((request.url.host, request.headers["host"], request.extensions.get("sni_hostname")))
        return httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(b"no gzip"))


def transport_with(
    answers: list[str], monkeypatch: pytest.MonkeyPatch, **settings: bool
) -> tuple[GuardedTransport, Pool]:
    async def resolve(host: str, port: int) -> list[str]:
        return [answers.pop(0)]

    monkeypatch.setattr(guard, "resolve", resolve)
    transport, pool = GuardedTransport(allow_private=False, connections=1), Pool()
    transport._free = [pool]  # type: ignore[list-item]
    return transport, pool


async def get(transport: GuardedTransport, url: str = "https://shop.example/hook") -> httpx2.Response:
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
        return await client.get(url)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_link_local_addresses_are_refused_unless_allowed(address: str) -> None:
    with pytest.raises(ForbiddenAddress, match="nothing is sent there unless"):
        check_address_allowed("shop.example", address, allow_private=False)
    check_address_allowed("shop.example", address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_what_is_no_host_is_refused_always(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_address_allowed("shop.example", address, allow_private=True)


@pytest.mark.parametrize("address", ["::ffff:10.0.0.1", "::ffff:127.0.0.1"])
def test_a_private_address_in_another_form_is_one(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_address_allowed("shop.example", address, allow_private=False)


async def test_a_name_that_is_private_after_all_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport, pool = transport_with(["10.0.0.1"], monkeypatch)
    with pytest.raises(ForbiddenAddress, match=r"shop\.example is 10\.0\.0\.1"):
        await get(transport)
    assert pool.connected == []


async def test_a_name_that_changes_its_answer_after_the_check_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, pool = transport_with([PUBLIC, "127.0.0.1"], monkeypatch)
    await get(transport)
    await get(transport)
    assert pool.connected == [(PUBLIC, "shop.example", "shop.example")] * 2
    transport._resolved.clear()
    with pytest.raises(ForbiddenAddress):
        await get(transport)


async def test_an_answer_is_not_unpacked_and_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, pool = transport_with([PUBLIC], monkeypatch)
    assert (await get(transport)).content == b"no gzip"

    async def endless(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=httpx2.ByteStream(b"x" * (guard.ANSWER_MAX_BYTES + 1)))

    monkeypatch.setattr(pool, "handle_async_request", endless)
    with pytest.raises(httpx2.ReadError, match="longer than"):
        await get(transport)
