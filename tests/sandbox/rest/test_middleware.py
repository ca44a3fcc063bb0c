"""Credentials, and REST calls that are slow, incomplete, or carried out although they fail."""

import asyncio
import base64

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.sandbox.openapi import validate_response
from tests.sandbox.sandbox_fixture import PHONE, SERVICE, SHORT_CODE, SandboxFixture

ACCOUNT = "AC00000000000000000000000000000001"


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic ###",
        "Bearer token",
        _basic(f"{ACCOUNT}:wrong"),
        "the token of this account with another sid",
        _basic(""),
    ],
)
async def test_a_call_without_valid_credentials_is_rejected_with_20003(
    sandbox: SandboxFixture, authorization: str | None
) -> None:
    if authorization == "the token of this account with another sid":
        authorization = _basic(f"AC00000000000000000000000000000002:{sandbox.world.auth_token}")
    headers = {"Authorization": authorization} if authorization is not None else {}
    for path in ("/v1/Services", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", "/v1/Nothing"):
        async with sandbox.session.get(sandbox.url + path, headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["code"] == 20003
            assert response.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/Nothing", 404, 20404),
        ("GET", "/v1/Services/", 404, 20404),
        ("GET", "/2010-04-01/Accounts/AC00000000000000000000000000000002/Messages.json", 404, 20404),
        ("PUT", "/v1/Services", 405, 20004),
        ("DELETE", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", 405, 20004),
    ],
)
async def test_unknown_paths_and_methods_have_twilios_errors(
    sandbox: SandboxFixture, method: str, path: str, status: int, code: int
) -> None:
    headers = {"Authorization": _basic(f"{ACCOUNT}:{sandbox.world.auth_token}")}
    async with sandbox.session.request(method, sandbox.url + path, headers=headers) as response:
        validate_response(method, path, response.status, await response.text())
        assert (response.status, (await response.json())["code"]) == (status, code)


async def test_a_body_that_is_not_a_form_is_rejected(sandbox: SandboxFixture) -> None:
    headers = {"Authorization": _basic(f"{ACCOUNT}:{sandbox.world.auth_token}")}
    for body in (b"FriendlyName=%ff", b"x" * 300_000):
        async with sandbox.session.post(sandbox.url + "/v1/Services", data=body, headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (400, 20001)


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
