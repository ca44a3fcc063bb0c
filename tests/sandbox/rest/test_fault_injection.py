"""REST calls that are slow, incomplete, or carried out although they fail."""

import asyncio

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.sandbox.sandbox_fixture import PHONE, SERVICE, SHORT_CODE, SandboxFixture


def fetch(client: Client) -> str:
    return str(client.messaging.v1.services(SERVICE).fetch().sid)


def send(client: Client) -> str:
    return str(client.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello").sid)


async def test_a_slow_response_is_late_and_complete(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "slow", "seconds": 0.05, "count": 1}}, 200)
    start = asyncio.get_running_loop().time()
    assert await sandbox.call(fetch) == SERVICE
    assert asyncio.get_running_loop().time() - start >= 0.05
    assert await sandbox.get("/sandbox/faults") == {}


async def test_a_half_response_ends_with_a_closed_connection(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "half", "count": 1}}, 200)
    with pytest.raises(requests.RequestException):
        await sandbox.call(fetch)
    assert await sandbox.call(fetch) == SERVICE


async def test_a_fault_can_affect_some_paths_only(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "status", "path": "/Messages.json"}}, 200)
    assert await sandbox.call(fetch) == SERVICE
    with pytest.raises(TwilioRestException):
        await sandbox.call(send)


async def test_a_message_can_be_sent_although_the_call_fails(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "status", "status": 500, "after": True}}, 200)
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(send)
    assert rejected.value.status == 500
    await sandbox.wait_until_idle()
    assert [message["body"] for message in (await sandbox.phone())["messages"]] == ["Hello"]


@pytest.mark.parametrize(("status", "code"), [(401, 20003), (429, 20429), (503, 20503)])
async def test_a_message_is_not_sent_when_the_call_fails(
    sandbox: SandboxFixture, status: int, code: int
) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "status", "status": status}}, 200)
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(send)
    assert rejected.value.code == code
    await sandbox.wait_until_idle()
    assert (await sandbox.phone())["messages"] == []
