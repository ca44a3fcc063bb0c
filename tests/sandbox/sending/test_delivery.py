"""Statuses, receipts and carriers (facts 7)."""

from collections.abc import AsyncIterator

import pytest
from starlette.responses import Response
from twilio.request_validator import RequestValidator

from sms_router.sandbox.world.world import Carrier, Phone
from tests.sandbox.bench import (
    PHONE,
    PRAIRIE_PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    Bench,
    running,
)
from tests.sandbox.customer import twiml

IMAGE = "https://example.com/menu.png"
SLOW, PLAIN = "+13125550101", "+13125550102"


@pytest.fixture
async def bench_with_carriers() -> AsyncIterator[Bench]:
    phones = {
        SLOW: Phone(SLOW, Carrier("slow", delay=30)),
        PLAIN: Phone(PLAIN, Carrier("plain", mms=False)),
    }
    async with running(phones=phones) as bench:
        yield bench


async def test_each_change_of_status_is_reported_signed(bench: Bench) -> None:
    created = await bench.twilio(
        lambda c: c.messages.create(
            to=PHONE, from_=SHORT_CODE, body="Hi", status_callback=f"{bench.customer.url}/mine"
        )
    )
    await bench.settle()
    sent, delivered = bench.customer.asked
    assert sent.path == delivered.path == "/mine"
    assert sent.form == {
        "MessageSid": created.sid,
        "SmsSid": created.sid,
        "AccountSid": bench.world.account_sid,
        "From": SHORT_CODE,
        "To": PHONE,
        "MessageStatus": "sent",
        "SmsStatus": "sent",
        "ApiVersion": "2010-04-01",
    }
    assert delivered.form["MessageStatus"] == "delivered"
    assert delivered.form["RawDlrDoneDate"] == "2601050900"
    validator = RequestValidator(bench.world.auth_token)
    assert validator.validate(sent.url, dict(sent.form), sent.headers["x-twilio-signature"])


async def test_a_message_of_a_service_is_reported_to_the_service(bench: Bench) -> None:
    await bench.twilio(lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hi"))
    await bench.settle()
    forms = [asked.form for asked in bench.customer.asked_at("/sms/status")]
    assert [form["MessageStatus"] for form in forms] == ["queued", "sent", "delivered"]
    assert {form["MessagingServiceSid"] for form in forms} == {SERVICE}


async def test_the_messages_own_callback_beats_the_services(bench: Bench) -> None:
    own = f"{bench.customer.url}/mine"
    await bench.twilio(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hi", status_callback=own)
    )
    await bench.settle()
    assert {asked.path for asked in bench.customer.asked} == {"/mine"}


async def test_a_carrier_without_short_codes_ends_with_30006(bench: Bench) -> None:
    bench.customer.says(
        "/sms",
        f'<Message from="{SHORT_CODE}" statusCallback="/sms/status?reply=1">Hi</Message>'
        f'<Message from="{SAN_FRANCISCO}">Hello</Message>',
    )
    told = await bench.text("Hours", SAN_FRANCISCO, sender=PRAIRIE_PHONE)
    assert [(m["from"], m["body"]) for m in told["messages"]] == [(SAN_FRANCISCO, "Hello")]
    (missed,) = told["undelivered"]
    assert (missed["from"], missed["status"], missed["error_code"]) == (SHORT_CODE, "undelivered", 30006)
    await bench.settle()
    last = bench.customer.asked_at("/sms/status")[-1]
    assert last.url.endswith("/sms/status?reply=1")
    assert (last.form["MessageStatus"], last.form["ErrorCode"]) == ("undelivered", "30006")
    fetched = await bench.twilio(lambda c: c.messages(missed["sid"]).fetch())
    assert (fetched.error_code, fetched.error_message) == (30006, "Landline or unreachable carrier")


async def test_a_carrier_without_pictures_ends_with_30011(bench_with_carriers: Bench) -> None:
    bench = bench_with_carriers
    created = await bench.twilio(
        lambda c: c.messages.create(to=PLAIN, from_=SAN_FRANCISCO, body="Menu", media_url=[IMAGE])
    )
    await bench.settle()
    fetched = await bench.twilio(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.error_code, fetched.num_media) == ("undelivered", 30011, "1")


async def test_a_slow_carrier_takes_its_time_on_the_sandboxs_clock(bench_with_carriers: Bench) -> None:
    bench = bench_with_carriers
    created = await bench.twilio(lambda c: c.messages.create(to=SLOW, from_=SAN_FRANCISCO, body="Hi"))
    bench.clock.advance(29)
    assert (await bench.twilio(lambda c: c.messages(created.sid).fetch())).status == "sent"
    assert (await bench.phone(SLOW))["messages"] == []
    bench.clock.advance(1)
    await bench.settle()
    (message,) = (await bench.phone(SLOW))["messages"]
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
async def test_a_callback_that_is_answered_badly_is_an_alert_and_no_more(
    bench: Bench, page: Response, codes: list[int]
) -> None:
    bench.customer.pages["/mine"] = page
    callback = f"{bench.customer.url}/mine"
    await bench.twilio(
        lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hi", status_callback=callback)
    )
    await bench.settle()
    assert await bench.alert_codes() == codes
    levels = {alert["log_level"] for alert in (await bench.get("/sandbox/alerts"))["alerts"]}
    assert levels <= ({"error"} if page.status_code == 500 else {"warning"})
    assert len(bench.customer.asked) == 2
    assert len((await bench.phone())["messages"]) == 1
