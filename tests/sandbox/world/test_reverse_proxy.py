"""Webhooks for a public URL that are sent to a local one."""

from dataclasses import replace

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.world import ReverseProxy
from tests.sandbox.customer_application import CustomerApplication
from tests.sandbox.sandbox_fixture import PHONE, SHORT_CODE, WORLD

PUBLIC = "https://sms.example.com:8443/twilio"


@pytest.mark.parametrize(
    ("url", "forwarded"),
    [
        (f"{PUBLIC}/sms", "http://[::1]:8000/sms"),
        (f"{PUBLIC}/sms/status?reply=1", "http://[::1]:8000/sms/status?reply=1"),
        (f"{PUBLIC}?a=b", "http://[::1]:8000?a=b"),
        (PUBLIC, "http://[::1]:8000"),
        (f"{PUBLIC}s/sms", f"{PUBLIC}s/sms"),
        ("https://sms.example.com:8443/sms", "https://sms.example.com:8443/sms"),
        ("https://other.example.com/sms", "https://other.example.com/sms"),
    ],
)
def test_only_requests_for_the_public_url_are_forwarded(url: str, forwarded: str) -> None:
    assert ReverseProxy(PUBLIC, "http://[::1]:8000").forward(url) == forwarded


async def test_a_webhook_is_signed_over_the_public_url_and_sent_to_the_local_one() -> None:
    customer = CustomerApplication()
    customer.set_twiml("/sms", "<Message>Open</Message>")
    async with serve(customer.app()) as customer.url:
        world = replace(load_world(WORLD, PUBLIC), proxy=ReverseProxy(PUBLIC, customer.url))
        async with serve(create_sandbox(world)) as url, aiohttp.ClientSession() as session:
            path = f"{url}/sandbox/phones/{PHONE}/messages"
            async with session.post(path, json={"to": SHORT_CODE, "body": "HOURS"}) as response:
                content = await response.json()
    assert [message["body"] for message in content["messages"]] == ["Open"]
    (request,) = customer.requests_to("/sms")
    signature = request.headers["x-twilio-signature"]
    assert request.headers["host"] == "sms.example.com:8443"
    assert RequestValidator(world.auth_token).validate(f"{PUBLIC}/sms", dict(request.form), signature)


def test_a_path_in_the_public_url_is_put_before_those_of_the_services() -> None:
    (service,) = load_world(WORLD, PUBLIC + "/").services
    assert service.inbound_request_url == f"{PUBLIC}/sms"
    assert service.status_callback == f"{PUBLIC}/sms/status"
