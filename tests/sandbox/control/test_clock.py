"""The clock over HTTP."""

import pytest

from sms_router.sandbox import create_sandbox, load_world
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.world.world import Carrier, Phone
from tests.sandbox.sandbox_fixture import PHONE, SHORT_CODE, WORLD, SandboxFixture, run_sandbox


async def test_advancing_the_clock_delivers_what_is_due_at_its_time() -> None:
    async with run_sandbox(phones={PHONE: Phone(PHONE, Carrier(name="slow", delay=45))}) as sandbox:
        sandbox.customer.set_twiml("/sms", "<Message>Hello</Message>")
        result = await sandbox.text("Hi")
        assert result["messages"] == []
        assert await sandbox.post("/sandbox/clock", {"advance": 30}) == {
            "now": "2026-01-05T09:00:30+00:00",
            "manual": True,
        }
        assert (await sandbox.phone())["messages"] == []
        await sandbox.post("/sandbox/clock", {"advance": 3600}, 200)
        (message,) = (await sandbox.phone())["messages"]
        assert (message["received_at"], message["status"]) == ("2026-01-05T09:00:45+00:00", "delivered")
        assert (await sandbox.get("/sandbox/clock"))["now"] == "2026-01-05T10:00:30+00:00"


@pytest.mark.parametrize("body", [{}, {"advance": 0}, {"advance": -1}, {"advance": "x"}, {"advance": True}])
async def test_an_invalid_step_is_rejected(sandbox: SandboxFixture, body: object) -> None:
    answer = await sandbox.post("/sandbox/clock", body, 400)
    assert answer["error"].startswith("advance: ")


async def test_the_machines_clock_cannot_be_advanced(sandbox: SandboxFixture) -> None:
    async with serve(create_sandbox(load_world(WORLD))) as url:
        async with sandbox.session.get(f"{url}/sandbox/clock") as response:
            assert (await response.json())["manual"] is False
        async with sandbox.session.post(f"{url}/sandbox/clock", json={"advance": 1}) as response:
            assert response.status == 409
            assert "sms-router sandbox --manual-clock" in (await response.json())["error"]
        body = {"to": SHORT_CODE, "body": "Hi"}
        async with sandbox.session.post(f"{url}/sandbox/phones/{PHONE}/messages", json=body) as response:
            assert response.status == 201
