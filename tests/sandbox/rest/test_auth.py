import base64

import pytest

from tests.sandbox.openapi import validate_response
from tests.sandbox.sandbox_fixture import SandboxFixture

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
