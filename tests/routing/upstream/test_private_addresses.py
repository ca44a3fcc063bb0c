"""URLs from Twilio's side do not lead into the network of the router."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sms_router.routing.handler.reply import ReplyFailed
from sms_router.routing.upstream.http_client import PrivateAddressError, is_private, open_sessions
from sms_router.twilio.webhook_url import WebhookUrl
from tests.routing.upstream.conftest import ForwarderFixture, forward


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("0.0.0.0", True),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("192.168.1.1", True),
        ("169.254.169.254", True),
        ("100.64.0.1", True),
        ("224.0.0.1", True),
        ("255.255.255.255", True),
        ("::1", True),
        ("::", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("64:ff9b::7f00:1", True),
        ("2002:7f00:1::", True),
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
    ],
)
def test_an_address_is_private_unless_it_is_a_public_one(address: str, private: bool) -> None:
    assert is_private(address) is private


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1"])
async def test_a_private_host_is_not_called(forwarding: ForwarderFixture, host: str) -> None:
    result = await forwarding.forward(replace(forward(f"http://{host}:9/metrics"), public_only=True))
    assert isinstance(result, ReplyFailed)
    assert ": 11100 has no public address" in result.cause or ": 11100 cannot be called" in result.cause


async def test_a_listed_host_is_called() -> None:
    sessions = open_sessions(frozenset({"127.0.0.1:8080", "old.internal"}))
    try:
        for url, is_listed in (
            ("http://127.0.0.1:8080/", True),
            ("http://old.internal:81/", True),
            ("http://old.example/", False),
        ):
            session = sessions.session_for(WebhookUrl.parse(url), public_only=True)
            assert (session is sessions.unrestricted) is is_listed
        with pytest.raises(PrivateAddressError):
            sessions.session_for(WebhookUrl.parse("http://127.0.0.1:8081/"), public_only=True)
    finally:
        await sessions.aclose()
