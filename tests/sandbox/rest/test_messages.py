from datetime import timedelta

import pytest
from twilio.base.exceptions import TwilioRestException

from sms_router.sandbox.platform import MOST_ON_THE_WAY
from tests.sandbox.bench import (
    CANADIAN_PHONE,
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    TORONTO,
    Bench,
    running,
)


async def test_a_direct_message_is_queued_and_then_delivered(bench: Bench) -> None:
    created = await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello"))
    assert (created.status, created.direction, created.num_segments) == ("queued", "outbound-api", "1")
    await bench.settle()
    fetched = await bench.twilio(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.error_code) == ("delivered", None)
    assert [message["body"] for message in (await bench.phone())["messages"]] == ["Hello"]


async def test_a_service_accepts_first_and_then_chooses_the_short_code(bench: Bench) -> None:
    created = await bench.twilio(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hello")
    )
    assert (created.status, created.from_, created.num_segments) == ("accepted", None, "0")
    await bench.settle()
    fetched = await bench.twilio(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.from_, fetched.num_segments) == ("delivered", SHORT_CODE, "1")


async def test_a_service_sends_to_canada_from_its_toll_free_number(bench: Bench) -> None:
    created = await bench.twilio(
        lambda c: c.messages.create(to=CANADIAN_PHONE, messaging_service_sid=SERVICE, body="Hello")
    )
    await bench.settle()
    assert (await bench.twilio(lambda c: c.messages(created.sid).fetch())).from_ == TOLL_FREE


async def test_a_service_with_no_sender_for_the_recipient_fails(bench: Bench) -> None:
    for member in tuple(bench.platform.account.members(SERVICE)):
        if member.sid.startswith("PN"):
            bench.platform.account.leave(SERVICE, member.sid)
    created = await bench.twilio(
        lambda c: c.messages.create(to=CANADIAN_PHONE, messaging_service_sid=SERVICE, body="Hello")
    )
    await bench.settle()
    fetched = await bench.twilio(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.error_code) == ("failed", 21703)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"to": "", "from_": SHORT_CODE, "body": "x"}, 21604),
        ({"to": "4155550123", "from_": SHORT_CODE, "body": "x"}, 21211),
        ({"to": "+999123456789", "from_": SHORT_CODE, "body": "x"}, 21211),
        ({"to": "54321", "from_": SHORT_CODE, "body": "x"}, 21265),
        ({"to": SAN_FRANCISCO, "from_": SAN_FRANCISCO, "body": "x"}, 21266),
        ({"to": PHONE, "body": "x"}, 21603),
        ({"to": PHONE, "from_": SHORT_CODE}, 21602),
        ({"to": PHONE, "from_": SHORT_CODE, "body": ""}, 21602),
        ({"to": PHONE, "from_": SHORT_CODE, "body": "x" * 1601}, 21617),
        ({"to": PHONE, "from_": SHORT_CODE, "media_url": ["ftp://example.com/a.png"]}, 21620),
        ({"to": PHONE, "from_": SHORT_CODE, "media_url": ["https://example.com/a.png"] * 11}, 21623),
        ({"to": PHONE, "from_": TORONTO, "media_url": ["https://example.com/a.png"]}, 21621),
        ({"to": PHONE, "from_": "+13125550199", "body": "x"}, 21659),
        ({"to": PHONE, "from_": "99999", "body": "x"}, 21659),
        ({"to": CANADIAN_PHONE, "from_": SHORT_CODE, "body": "x"}, 21606),
        ({"to": PHONE, "from_": "My Shop", "body": "x"}, 21612),
        ({"to": PHONE, "messaging_service_sid": "MGnonsense", "body": "x"}, 21705),
        ({"to": PHONE, "messaging_service_sid": "MG" + "f" * 32, "body": "x"}, 21701),
        ({"to": PHONE, "messaging_service_sid": SERVICE, "from_": "Other", "body": "x"}, 21711),
        ({"to": PHONE, "from_": SHORT_CODE, "body": "x", "status_callback": "nowhere"}, 21609),
        (
            {"to": PHONE, "from_": SHORT_CODE, "body": "x", "status_callback": "https://my_host.example/s"},
            21609,
        ),
        ({"to": PHONE, "from_": SHORT_CODE, "body": "x", "validity_period": 36_001}, 20001),
        ({"to": PHONE, "from_": SHORT_CODE, "body": "x", "content_retention": "forget"}, 20001),
        ({"to": PHONE, "from_": SHORT_CODE, "content_sid": "HX" + "0" * 32}, 20001),
        ({"to": PHONE, "from_": SHORT_CODE, "body": "x", "schedule_type": "fixed"}, 20001),
    ],
)
async def test_what_twilio_would_refuse_is_refused_with_its_code(
    bench: Bench, parameters: dict[str, object], code: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages.create(**parameters))
    assert refused.value.code == code
    assert await bench.twilio(lambda c: c.messages.list()) == []


@pytest.mark.parametrize("sender", [{"from_": SAN_FRANCISCO}, {"messaging_service_sid": SERVICE}])
async def test_where_the_account_may_not_send_to_is_refused_with_21408(sender: dict[str, str]) -> None:
    async with running(permitted_countries=frozenset({"US"})) as bench:
        with pytest.raises(TwilioRestException) as refused:
            await bench.twilio(lambda c: c.messages.create(to=CANADIAN_PHONE, body="x", **sender))
        assert refused.value.code == 21408
        bench.customer.says("/sms", "<Message>Hello</Message>")
        assert (await bench.text("Hi", sender=CANADIAN_PHONE))["messages"] == []
        assert await bench.alert_codes() == [21408]
        await bench.text("Hi")
        assert len((await bench.phone())["messages"]) == 1


async def test_a_full_queue_refuses_direct_messages_and_fails_those_of_a_service(bench: Bench) -> None:
    callback = f"{bench.customer.url}/mine"
    for _ in range(MOST_ON_THE_WAY):
        bench.platform.deliveries.start(bench.clock.sleep(60))
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="x"))
    assert refused.value.code == 21611
    created = await bench.twilio(
        lambda c: c.messages.create(
            to=PHONE, messaging_service_sid=SERVICE, body="x", status_callback=callback
        )
    )
    assert created.status == "accepted"
    await bench.platform.callbacks.wait_all()
    (asked,) = bench.customer.asked
    assert (asked.form["MessageStatus"], asked.form["ErrorCode"]) == ("failed", "30001")
    bench.clock.advance(60)


@pytest.mark.parametrize(("asks", "body"), [(True, "it's"), (False, "it\u2019s")])
async def test_a_direct_message_is_smart_encoded_when_it_asks_for_it(
    bench: Bench, asks: bool, body: str
) -> None:
    created = await bench.twilio(
        lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="it\u2019s", smart_encoded=asks)
    )
    assert created.body == body


async def test_a_service_replaces_what_only_looks_like_gsm_7(bench: Bench) -> None:
    body = "\u201cHi\u201d \u2013 it\u2019s 9\u00a0to\u00a05\u2026"
    through = await bench.twilio(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body=body)
    )
    direct = await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body=body))
    assert (through.body, direct.body) == ('"Hi" - it\'s 9 to 5...', body)


async def test_an_empty_pool_is_refused_at_once(bench: Bench) -> None:
    empty = await bench.twilio(lambda c: c.messaging.v1.services.create(friendly_name="Empty"))
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages.create(to=PHONE, messaging_service_sid=empty.sid, body="x"))
    assert refused.value.code == 21704


async def test_an_alphanumeric_sender_reaches_countries_that_know_them(bench: Bench) -> None:
    created = await bench.twilio(
        lambda c: c.messages.create(to="+447700900123", from_="My Shop", body="Hello")
    )
    assert created.from_ == "My Shop"
    await bench.settle()
    assert (await bench.phone("+447700900123"))["messages"][0]["from"] == "My Shop"


async def test_messages_are_listed_newest_first_and_filtered(bench: Bench) -> None:
    async def send(body: str) -> None:
        await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body=body))
        await bench.settle()
        bench.clock.advance(24 * 3600)

    for body in "012":
        await send(body)
    await bench.twilio(lambda c: c.messages.create(to=CANADIAN_PHONE, from_=TOLL_FREE, body="3"))
    await bench.settle()
    now = bench.clock.now()

    async def bodies(**filters: object) -> list[str]:
        return [m.body for m in await bench.twilio(lambda c: c.messages.list(**filters))]

    assert await bodies() == ["3", "2", "1", "0"]
    assert await bodies(to=PHONE) == ["2", "1", "0"]
    assert await bodies(from_=TOLL_FREE) == ["3"]
    assert await bodies(date_sent_after=now - timedelta(days=1)) == ["3", "2"]
    assert await bodies(date_sent_before=now - timedelta(days=2)) == ["1", "0"]
    assert await bodies(date_sent=(now - timedelta(days=1)).date()) == ["2"]


async def test_the_words_can_be_taken_out_and_the_phone_keeps_them(bench: Bench) -> None:
    created = await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Secret"))
    await bench.settle()
    redacted = await bench.twilio(lambda c: c.messages(created.sid).update(body=""))
    assert redacted.body == ""
    assert (await bench.phone())["messages"][0]["body"] == "Secret"
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages(created.sid).update(body="Other words"))
    assert refused.value.code == 20001


async def test_a_message_is_deleted(bench: Bench) -> None:
    created = await bench.twilio(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello"))
    await bench.settle()
    assert await bench.twilio(lambda c: c.messages(created.sid).delete())
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages(created.sid).fetch())
    assert refused.value.status == 404


async def test_a_scheduled_message_leaves_at_its_time(bench: Bench) -> None:
    at = bench.clock.now() + timedelta(minutes=20)
    created = await bench.twilio(
        lambda c: c.messages.create(
            to=PHONE, messaging_service_sid=SERVICE, body="Later", schedule_type="fixed", send_at=at
        )
    )
    assert created.status == "scheduled"
    assert (await bench.phone())["messages"] == []
    bench.clock.advance(1200)
    await bench.settle()
    assert [message["body"] for message in (await bench.phone())["messages"]] == ["Later"]


async def test_a_canceled_message_never_leaves(bench: Bench) -> None:
    at = bench.clock.now() + timedelta(minutes=20)
    created = await bench.twilio(
        lambda c: c.messages.create(
            to=PHONE,
            messaging_service_sid=SERVICE,
            body="Later",
            schedule_type="fixed",
            send_at=at,
            status_callback=f"{bench.customer.url}/mine",
        )
    )
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages(created.sid).delete())
    assert refused.value.code == 20009
    canceled = await bench.twilio(lambda c: c.messages(created.sid).update(status="canceled"))
    assert canceled.status == "canceled"
    bench.clock.advance(1200)
    await bench.settle()
    assert (await bench.phone())["messages"] == []
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messages(created.sid).update(status="canceled"))
    assert refused.value.code == 30409
    assert [asked.form["MessageStatus"] for asked in bench.customer.asked_at("/mine")] == ["canceled"]
