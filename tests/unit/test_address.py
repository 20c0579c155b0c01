"""What is known of the other end."""

from __future__ import annotations

import pytest

from aiocoap.address import EndpointAddress, UndecidedRemote


@pytest.mark.parametrize(
    "name",
    [
        "hostinfo",
        "hostinfo_local",
        "uri_base",
        "uri",
        "uri_base_local",
        "scheme",
        "is_multicast",
        "is_multicast_locally",
    ],
)
def test_what_a_transport_has_to_say(name: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(EndpointAddress(), name)


def test_what_holds_unless_a_transport_says_otherwise() -> None:
    address = EndpointAddress()
    assert address.as_response_address() is address
    assert address.blockwise_key is address
    assert tuple(address.authenticated_claims) == ()
    assert address.maximum_block_size_exp == 6
    assert address.maximum_payload_size == 1024


def test_undecided_remote() -> None:
    remote = UndecidedRemote("coap", "[fe80::1%eth0]:1234")
    assert remote.scheme == "coap"
    assert remote.hostinfo == "[fe80::1%eth0]:1234"
    assert remote.uri_base == "coap://[fe80::1%eth0]:1234"
    assert remote.uri == remote.uri_base
    assert remote.is_multicast is False
    assert remote.is_multicast_locally is False
    assert repr(remote) == "<UndecidedRemote coap://[fe80::1%eth0]:1234>"


def test_undecided_remotes_are_equal_by_what_they_say() -> None:
    one = UndecidedRemote("coap", "h")
    assert one == UndecidedRemote("coap", "h")
    assert hash(one) == hash(UndecidedRemote("coap", "h"))
    assert one != UndecidedRemote("coaps", "h")
    assert one != UndecidedRemote("coap", "h:1")
    assert one != "coap://h"
