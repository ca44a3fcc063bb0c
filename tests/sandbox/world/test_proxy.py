"""The customer's public name, which leads to where the application listens."""

from dataclasses import replace

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

from sms_router.sandbox import create_sandbox, load_world
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.world.proxy import ReverseProxy
from tests.sandbox.bench import PHONE, SHORT_CODE, WORLD
from tests.sandbox.customer import Customer

PUBLIC = "https://sms.example.com:8443/twilio"


@pytest.mark.parametrize(
    ("url", "taken_to"),
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
def test_only_what_is_for_the_public_url_is_taken_along(url: str, taken_to: str) -> None:
    assert ReverseProxy(PUBLIC, "http://[::1]:8000").forward(url) == taken_to


async def test_a_text_is_signed_over_the_public_url_and_delivered_where_the_application_listens() -> None:
    customer = Customer()
    customer.says("/sms", "<Message>Open</Message>")
    async with serve(customer.app()) as customer.url:
        world = replace(load_world(WORLD, PUBLIC), proxy=ReverseProxy(PUBLIC, customer.url))
        async with serve(create_sandbox(world)) as url, aiohttp.ClientSession() as session:
            path = f"{url}/sandbox/phones/{PHONE}/messages"
            async with session.post(path, json={"to": SHORT_CODE, "body": "HOURS"}) as response:
                texted = await response.json()
    assert [each["body"] for each in texted["messages"]] == ["Open"]
    (asked,) = customer.asked_at("/sms")
    signature = asked.headers["x-twilio-signature"]
    assert asked.headers["host"] == "sms.example.com:8443"
    assert RequestValidator(world.auth_token).validate(f"{PUBLIC}/sms", dict(asked.form), signature)


def test_a_path_in_the_public_url_comes_before_those_of_the_services() -> None:
    (service,) = load_world(WORLD, PUBLIC + "/").services
    assert service.inbound_request_url == f"{PUBLIC}/sms"
    assert service.status_callback == f"{PUBLIC}/sms/status"
