"""REST calls that go wrong in less simple ways: slow, broken off, carried out and then refused."""

import asyncio

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.sandbox.bench import PHONE, SERVICE, SHORT_CODE, Bench


def fetch(client: Client) -> str:
    return str(client.messaging.v1.services(SERVICE).fetch().sid)


def send(client: Client) -> str:
    return str(client.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello").sid)


async def test_a_slow_page_comes_late_and_whole(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "slow", "seconds": 0.05, "count": 1}}, 200)
    began = asyncio.get_running_loop().time()
    assert await bench.twilio(fetch) == SERVICE
    assert asyncio.get_running_loop().time() - began >= 0.05
    assert await bench.get("/sandbox/faults") == {}


async def test_a_half_page_breaks_off(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "half", "count": 1}}, 200)
    with pytest.raises(requests.RequestException):
        await bench.twilio(fetch)
    assert await bench.twilio(fetch) == SERVICE


async def test_a_fault_may_be_meant_for_some_paths_only(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "status", "path": "/Messages.json"}}, 200)
    assert await bench.twilio(fetch) == SERVICE
    with pytest.raises(TwilioRestException):
        await bench.twilio(send)


async def test_a_message_may_be_sent_although_twilio_says_it_was_not(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "status", "status": 500, "after": True}}, 200)
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(send)
    assert refused.value.status == 500
    await bench.settle()
    assert [message["body"] for message in (await bench.phone())["messages"]] == ["Hello"]


@pytest.mark.parametrize(("status", "code"), [(401, 20003), (429, 20429), (503, 20503)])
async def test_a_message_that_twilio_refuses_for_now_is_not_sent(
    bench: Bench, status: int, code: int
) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "status", "status": status}}, 200)
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(send)
    assert refused.value.code == code
    await bench.settle()
    assert (await bench.phone())["messages"] == []
