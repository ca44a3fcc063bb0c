"""Statuses, receipts and carriers (facts 7)."""

from collections.abc import AsyncIterator

import pytest
from starlette.responses import Response
from twilio.request_validator import RequestValidator

from sms_router.sandbox.world.world import Carrier, Phone
from tests.sandbox.customer_application import twiml
from tests.sandbox.sandbox_fixture import (
    PHONE,
    PRAIRIE_PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    SandboxFixture,
    run_sandbox,
)

IMAGE = "https://example.com/menu.png"
SLOW, PLAIN = "+13125550101", "+13125550102"


@pytest.fixture
async def bench_with_carriers() -> AsyncIterator[SandboxFixture]:
    phones = {
        SLOW: Phone(SLOW, Carrier(name="slow", delay=30)),
        PLAIN: Phone(PLAIN, Carrier(name="plain", mms=False)),
    }
    async with run_sandbox(phones=phones) as sandbox:
        yield sandbox


async def test_each_change_of_status_is_posted_with_a_signature(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(
        lambda c: c.messages.create(
            to=PHONE, from_=SHORT_CODE, body="Hi", status_callback=f"{sandbox.customer.url}/mine"
        )
    )
    await sandbox.wait_until_idle()
    sent, delivered = sandbox.customer.requests
    assert sent.path == delivered.path == "/mine"
    assert sent.form == {
        "MessageSid": created.sid,
        "SmsSid": created.sid,
        "AccountSid": sandbox.world.account_sid,
        "From": SHORT_CODE,
        "To": PHONE,
        "MessageStatus": "sent",
        "SmsStatus": "sent",
        "ApiVersion": "2010-04-01",
    }
    assert delivered.form["MessageStatus"] == "delivered"
    assert delivered.form["RawDlrDoneDate"] == "2601050900"
    validator = RequestValidator(sandbox.world.auth_token)
    assert validator.validate(sent.url, dict(sent.form), sent.headers["x-twilio-signature"])


async def test_a_message_of_a_service_is_posted_to_the_services_callback(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hi"))
    await sandbox.wait_until_idle()
    forms = [request.form for request in sandbox.customer.requests_to("/sms/status")]
    assert [form["MessageStatus"] for form in forms] == ["queued", "sent", "delivered"]
    assert {form["MessagingServiceSid"] for form in forms} == {SERVICE}


async def test_a_messages_own_callback_replaces_the_services(sandbox: SandboxFixture) -> None:
    own = f"{sandbox.customer.url}/mine"
    await sandbox.call(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hi", status_callback=own)
    )
    await sandbox.wait_until_idle()
    assert {request.path for request in sandbox.customer.requests} == {"/mine"}


async def test_a_carrier_without_short_codes_ends_messages_with_30006(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml(
        "/sms",
        f'<Message from="{SHORT_CODE}" statusCallback="/sms/status?reply=1">Hi</Message>'
        f'<Message from="{SAN_FRANCISCO}">Hello</Message>',
    )
    result = await sandbox.text("Hours", SAN_FRANCISCO, sender=PRAIRIE_PHONE)
    assert [(m["from"], m["body"]) for m in result["messages"]] == [(SAN_FRANCISCO, "Hello")]
    (missed,) = result["undelivered"]
    assert (missed["from"], missed["status"], missed["error_code"]) == (SHORT_CODE, "undelivered", 30006)
    await sandbox.wait_until_idle()
    last = sandbox.customer.requests_to("/sms/status")[-1]
    assert last.url.endswith("/sms/status?reply=1")
    assert (last.form["MessageStatus"], last.form["ErrorCode"]) == ("undelivered", "30006")
    fetched = await sandbox.call(lambda c: c.messages(missed["sid"]).fetch())
    assert (fetched.error_code, fetched.error_message) == (30006, "Landline or unreachable carrier")


async def test_a_carrier_without_mms_ends_messages_with_30011(bench_with_carriers: SandboxFixture) -> None:
    sandbox = bench_with_carriers
    created = await sandbox.call(
        lambda c: c.messages.create(to=PLAIN, from_=SAN_FRANCISCO, body="Menu", media_url=[IMAGE])
    )
    await sandbox.wait_until_idle()
    fetched = await sandbox.call(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.error_code, fetched.num_media) == ("undelivered", 30011, "1")


async def test_a_slow_carrier_delays_messages_on_the_sandboxs_clock(
    bench_with_carriers: SandboxFixture,
) -> None:
    sandbox = bench_with_carriers
    created = await sandbox.call(lambda c: c.messages.create(to=SLOW, from_=SAN_FRANCISCO, body="Hi"))
    sandbox.clock.advance(29)
    assert (await sandbox.call(lambda c: c.messages(created.sid).fetch())).status == "sent"
    assert (await sandbox.phone(SLOW))["messages"] == []
    sandbox.clock.advance(1)
    await sandbox.wait_until_idle()
    (message,) = (await sandbox.phone(SLOW))["messages"]
    assert (message["status"], message["received_at"]) == ("delivered", "2026-01-05T09:00:30+00:00")


@pytest.mark.parametrize(
    ("page", "codes"),
    [
        (Response(status_code=204), []),
        (Response(status_code=200), [11770, 11770]),
        (Response("<Response/>", media_type="text/xml"), []),
        (Response("<Response>", media_type="text/xml"), [12100, 12100]),
        (twiml("<Message>Hello</Message>"), [12300, 12300]),
        (Response("ok", media_type="text/plain"), [12300, 12300]),
        (Response(status_code=500), [11200, 11200]),
    ],
)
async def test_a_wrong_response_to_a_callback_is_only_an_alert(
    sandbox: SandboxFixture, page: Response, codes: list[int]
) -> None:
    sandbox.customer.pages["/mine"] = page
    callback = f"{sandbox.customer.url}/mine"
    await sandbox.call(
        lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hi", status_callback=callback)
    )
    await sandbox.wait_until_idle()
    assert await sandbox.alert_codes() == codes
    levels = {alert["log_level"] for alert in (await sandbox.get("/sandbox/alerts"))["alerts"]}
    assert levels <= ({"error"} if page.status_code == 500 else {"warning"})
    assert len(sandbox.customer.requests) == 2
    assert len((await sandbox.phone())["messages"]) == 1
