"""The clock over HTTP; faults on request, by HTTP and in the configuration."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from starlette.responses import Response
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.world import Carrier, Phone
from tests.sandbox.customer_application import twiml
from tests.sandbox.sandbox_fixture import PHONE, SERVICE, SHORT_CODE, WORLD, SandboxFixture, run_sandbox


def fetch(client: Client) -> str:
    return str(client.messaging.v1.services(SERVICE).fetch().sid)


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (500, 20500), (503, 20503), (502, 20502)])
async def test_rest_calls_fail_with_a_status_as_often_as_the_count(
    sandbox: SandboxFixture, status: int, code: int
) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "status", "status": status, "count": 2}}, 200)
    for _ in range(2):
        with pytest.raises(TwilioRestException) as rejected:
            await sandbox.call(fetch)
        assert (rejected.value.status, rejected.value.code) == (status, code)
    assert await sandbox.call(fetch) == SERVICE


async def test_rest_calls_return_garbage_until_the_fault_is_cleared(sandbox: SandboxFixture) -> None:
    assert await sandbox.post("/sandbox/faults", {"rest": {"kind": "garbage"}}) == {
        "rest": {"kind": "garbage", "path": "", "after": False}
    }
    for _ in range(3):
        with pytest.raises(ValueError, match="Expecting value"):
            await sandbox.call(fetch)
    async with sandbox.session.delete(f"{sandbox.url}/sandbox/faults") as response:
        assert response.status == 204
    assert await sandbox.get("/sandbox/faults") == {}
    assert await sandbox.call(fetch) == SERVICE


async def test_rest_calls_hang_until_the_fault_is_cleared(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "hang", "count": 1}})
    hanging = asyncio.create_task(sandbox.call(fetch))
    while (await sandbox.get("/sandbox/faults")) != {}:
        await asyncio.sleep(0)
    assert not hanging.done()
    async with sandbox.session.delete(f"{sandbox.url}/sandbox/faults"):
        pass
    with pytest.raises(TwilioRestException) as rejected:
        await hanging
    assert rejected.value.status == 503


async def test_a_caller_that_disconnects_ends_a_hanging_call(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "hang"}})
    timeout = aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(TimeoutError):
        await sandbox.session.get(f"{sandbox.url}/v1/Services", timeout=timeout)


async def test_rest_faults_do_not_affect_the_sandboxs_own_paths_and_webhooks(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"rest": {"kind": "status", "status": 500}})
    sandbox.customer.set_twiml("/sms", "<Message>Hello</Message>")
    assert len((await sandbox.text("Hi", SHORT_CODE))["messages"]) == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Name what should fail"),
        ({"reset": {}}, "reset: unknown key; did you mean rest?"),
        ({"rest": 500}, "rest: must be a table"),
        ({"rest": {}}, "rest.kind: is missing"),
        (
            {"rest": {"kind": "flood"}},
            "rest.kind: must be 'status', 'garbage', 'hang', 'slow' or 'half'",
        ),
        ({"rest": {"kind": "status", "stauts": 500}}, "rest.stauts: unknown key; did you mean status?"),
        ({"rest": {"kind": "status", "status": 200}}, "rest.status: must be greater than or equal to 400"),
        ({"rest": {"kind": "hang", "status": 500}}, 'rest.status: goes with kind = "status" only'),
        ({"rest": {"kind": "hang", "seconds": 5}}, 'rest.seconds: goes with kind = "slow" only'),
        ({"rest": {"kind": "hang", "count": 0}}, "rest.count: must be greater than or equal to 1"),
        ({"rest": {"kind": "hang", "count": True}}, "rest.count: must be a whole number"),
        ({"webhooks": {"kind": "thrice"}}, "webhooks.kind: must be 'twice' or 'unheard'"),
        ({"receipts": {"late": -1}}, "receipts.late: must be greater than or equal to 0"),
        ({"receipts": {"late": 604_801}}, "receipts.late: must be less than or equal to 604800"),
    ],
)
async def test_an_invalid_fault_is_rejected_with_the_reason(
    sandbox: SandboxFixture, body: object, sentence: str
) -> None:
    answer = await sandbox.post("/sandbox/faults", body, 400)
    assert sentence in answer["error"]
    assert await sandbox.get("/sandbox/faults") == {}


async def test_a_webhook_is_delivered_twice_at_once_and_the_later_response_counts(
    sandbox: SandboxFixture,
) -> None:
    await sandbox.post("/sandbox/faults", {"webhooks": {"kind": "twice", "count": 1}}, 200)
    both = asyncio.Barrier(2)

    async def page() -> Response:
        await both.wait()
        return twiml("<Message>Hello</Message>")

    sandbox.customer.pages["/sms"] = page
    result = await sandbox.text("Hi")
    first, second = sandbox.customer.requests
    assert first == second
    assert [message["body"] for message in result["messages"]] == ["Hello"]
    assert [request["reason"] for request in result["webhook"]["requests"]] == [
        "this response was lost, as a fault requires",
        "",
    ]
    assert await sandbox.get("/sandbox/faults") == {}


async def test_a_lost_response_leads_to_the_fallback(sandbox: SandboxFixture) -> None:
    await sandbox.post("/sandbox/faults", {"webhooks": {"kind": "unheard", "count": 1}}, 200)
    sandbox.customer.set_twiml("/sms", "<Message>lost</Message>")
    sandbox.customer.set_twiml("/sms/fallback", "<Message>kept</Message>")
    result = await sandbox.text("Hi")
    assert [message["body"] for message in result["messages"]] == ["kept"]
    assert sandbox.customer.requests[1].form["ErrorCode"] == "11200"


async def _receipts(sandbox: SandboxFixture, fault: dict[str, object]) -> list[str]:
    await sandbox.post("/sandbox/faults", {"receipts": fault}, 200)
    await sandbox.call(lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hi"))
    await sandbox.platform.time_control.wait_until_idle()
    return [request.form["MessageStatus"] for request in sandbox.customer.requests_to("/sms/status")]


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ({}, ["queued", "sent", "delivered"]),
        ({"lost": True}, []),
        ({"lost": True, "count": 2}, ["delivered"]),
        ({"twice": True}, ["queued", "queued", "sent", "sent", "delivered", "delivered"]),
        ({"backwards": True}, ["delivered", "sent", "queued"]),
        ({"backwards": True, "count": 1}, ["sent", "queued", "delivered"]),
    ],
)
async def test_receipts_are_lost_repeated_or_reordered(
    sandbox: SandboxFixture, fault: dict[str, object], statuses: list[str]
) -> None:
    assert await _receipts(sandbox, fault) == statuses


async def test_receipts_are_late_on_the_sandboxs_clock(sandbox: SandboxFixture) -> None:
    assert await _receipts(sandbox, {"late": 600, "count": 2}) == ["delivered"]
    await sandbox.post("/sandbox/clock", {"advance": 600}, 200)
    assert [request.form["MessageStatus"] for request in sandbox.customer.requests] == [
        "delivered",
        "queued",
        "sent",
    ]


async def test_faults_can_be_on_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.toml"
    path.write_text(
        WORLD.read_text("utf-8") + '\n[faults]\nrest = { kind = "status", status = 503 }\n', "utf-8"
    )
    async with run_sandbox(faults=load_world(path).faults) as sandbox:
        with pytest.raises(TwilioRestException):
            await sandbox.call(fetch)
        faults = await sandbox.get("/sandbox/faults")
        assert faults == {"rest": {"kind": "status", "status": 503, "path": "", "after": False}}


async def test_faults_are_shown_in_the_form_in_which_they_are_set(sandbox: SandboxFixture) -> None:
    faults = {
        "rest": {"kind": "slow", "seconds": 0.5, "path": "/v1/", "after": False, "count": 3},
        "webhooks": {"kind": "twice"},
        "receipts": {"late": 5.0, "twice": True, "backwards": False, "lost": False, "count": 7},
    }
    assert await sandbox.post("/sandbox/faults", faults, 200) == faults
    assert await sandbox.post("/sandbox/faults", {"webhooks": {"kind": "unheard"}}, 200) == {
        **faults,
        "webhooks": {"kind": "unheard"},
    }


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
