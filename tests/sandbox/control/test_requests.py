"""A web page in a browser on the same machine cannot use the sandbox's own API."""

from __future__ import annotations

import pytest

from tests.sandbox.sandbox_fixture import PHONE, SandboxFixture


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_post_without_json_is_refused(sandbox: SandboxFixture, media_type: str) -> None:
    async with sandbox.session.post(
        f"{sandbox.url}/sandbox/phones/{PHONE}/messages",
        data=b'{"to": "12345", "body": "Hi"}',
        headers={"Content-Type": media_type},
    ) as response:
        assert response.status == 415
        assert "application/json" in (await response.json())["error"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8900", 200),
        ("localhost", 200),
        ("[::1]:8900", 200),
        ("attacker.example", 403),
        ("localhost.attacker.example:8900", 403),
        ("[::1", 403),
    ],
)
async def test_a_host_that_is_not_local_is_refused(sandbox: SandboxFixture, host: str, status: int) -> None:
    async with sandbox.session.get(f"{sandbox.url}/sandbox/phones", headers={"Host": host}) as response:
        assert response.status == status
