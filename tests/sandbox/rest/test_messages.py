from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import encode_basic_auth
from twilio.base.exceptions import TwilioRestException

from sms_router.sandbox.state.messages import SandboxMessageStatus
from tests.sandbox.sandbox_fixture import (
    CANADIAN_PHONE,
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    TORONTO,
    SandboxFixture,
    run_sandbox,
)


async def test_a_direct_message_is_queued_and_then_delivered(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello"))
    assert (created.status, created.direction, created.num_segments) == ("queued", "outbound-api", "1")
    await sandbox.wait_until_idle()
    fetched = await sandbox.call(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.error_code) == ("delivered", None)
    assert [message["body"] for message in (await sandbox.phone())["messages"]] == ["Hello"]


async def test_a_service_accepts_first_and_then_selects_the_short_code(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hello")
    )
    assert (created.status, created.from_, created.num_segments) == ("accepted", None, "0")
    await sandbox.wait_until_idle()
    fetched = await sandbox.call(lambda c: c.messages(created.sid).fetch())
    assert (fetched.status, fetched.from_, fetched.num_segments) == ("delivered", SHORT_CODE, "1")


async def test_a_service_sends_to_canada_from_its_toll_free_number(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(
        lambda c: c.messages.create(to=CANADIAN_PHONE, messaging_service_sid=SERVICE, body="Hello")
    )
    await sandbox.wait_until_idle()
    assert (await sandbox.call(lambda c: c.messages(created.sid).fetch())).from_ == TOLL_FREE


async def test_a_service_with_no_sender_for_the_recipient_fails(sandbox: SandboxFixture) -> None:
    for member in tuple(sandbox.platform.account.members(SERVICE)):
        if member.sid.startswith("PN"):
            sandbox.platform.account.remove_member(SERVICE, member.sid)
    created = await sandbox.call(
        lambda c: c.messages.create(to=CANADIAN_PHONE, messaging_service_sid=SERVICE, body="Hello")
    )
    await sandbox.wait_until_idle()
    fetched = await sandbox.call(lambda c: c.messages(created.sid).fetch())
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
async def test_an_invalid_message_is_rejected_with_twilios_code(
    sandbox: SandboxFixture, parameters: dict[str, object], code: int
) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages.create(**parameters))
    assert rejected.value.code == code
    assert await sandbox.call(lambda c: c.messages.list()) == []


@pytest.mark.parametrize("sender", [{"from_": SAN_FRANCISCO}, {"messaging_service_sid": SERVICE}])
async def test_a_country_without_permission_is_rejected_with_21408(sender: dict[str, str]) -> None:
    async with run_sandbox(permitted_countries=frozenset({"US"})) as sandbox:
        with pytest.raises(TwilioRestException) as rejected:
            await sandbox.call(lambda c: c.messages.create(to=CANADIAN_PHONE, body="x", **sender))
        assert rejected.value.code == 21408
        sandbox.customer.set_twiml("/sms", "<Message>Hello</Message>")
        assert (await sandbox.text("Hi", sender=CANADIAN_PHONE))["messages"] == []
        assert await sandbox.alert_codes() == [21408]
        await sandbox.text("Hi")
        assert len((await sandbox.phone())["messages"]) == 1


async def test_a_full_queue_rejects_direct_messages_and_fails_those_of_a_service(
    sandbox: SandboxFixture,
) -> None:
    callback = f"{sandbox.customer.url}/mine"
    for _ in range(10_000):
        sandbox.platform.deliveries.start(sandbox.clock.sleep(60))
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="x"))
    assert rejected.value.code == 21611
    created = await sandbox.call(
        lambda c: c.messages.create(
            to=PHONE, messaging_service_sid=SERVICE, body="x", status_callback=callback
        )
    )
    assert created.status == "accepted"
    await sandbox.platform.callbacks.wait_all()
    (request,) = sandbox.customer.requests
    assert (request.form["MessageStatus"], request.form["ErrorCode"]) == ("failed", "30001")
    sandbox.clock.advance(60)


@pytest.mark.parametrize(("asks", "body"), [(True, "it's"), (False, "it\u2019s")])
async def test_a_direct_message_is_smart_encoded_on_request(
    sandbox: SandboxFixture, asks: bool, body: str
) -> None:
    created = await sandbox.call(
        lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="it\u2019s", smart_encoded=asks)
    )
    assert created.body == body


async def test_a_service_replaces_characters_that_resemble_gsm_7(sandbox: SandboxFixture) -> None:
    body = "\u201cHi\u201d \u2013 it\u2019s 9\u00a0to\u00a05\u2026"
    through = await sandbox.call(
        lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body=body)
    )
    direct = await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body=body))
    assert (through.body, direct.body) == ('"Hi" - it\'s 9 to 5...', body)


async def test_an_empty_pool_is_rejected_at_once(sandbox: SandboxFixture) -> None:
    empty = await sandbox.call(lambda c: c.messaging.v1.services.create(friendly_name="Empty"))
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages.create(to=PHONE, messaging_service_sid=empty.sid, body="x"))
    assert rejected.value.code == 21704


async def test_an_alphanumeric_sender_reaches_countries_that_support_them(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(
        lambda c: c.messages.create(to="+447700900123", from_="My Shop", body="Hello")
    )
    assert created.from_ == "My Shop"
    await sandbox.wait_until_idle()
    assert (await sandbox.phone("+447700900123"))["messages"][0]["from"] == "My Shop"


async def test_messages_are_listed_newest_first_and_filtered(sandbox: SandboxFixture) -> None:
    async def send(body: str) -> None:
        await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body=body))
        await sandbox.wait_until_idle()
        sandbox.clock.advance(24 * 3600)

    for body in "012":
        await send(body)
    await sandbox.call(lambda c: c.messages.create(to=CANADIAN_PHONE, from_=TOLL_FREE, body="3"))
    await sandbox.wait_until_idle()
    now = sandbox.clock.now()

    async def bodies(**filters: object) -> list[str]:
        return [m.body for m in await sandbox.call(lambda c: c.messages.list(**filters))]

    assert await bodies() == ["3", "2", "1", "0"]
    assert await bodies(to=PHONE) == ["2", "1", "0"]
    assert await bodies(from_=TOLL_FREE) == ["3"]
    assert await bodies(date_sent_after=now - timedelta(days=1)) == ["3", "2"]
    assert await bodies(date_sent_before=now - timedelta(days=2)) == ["1", "0"]
    assert await bodies(date_sent=(now - timedelta(days=1)).date()) == ["2"]


@pytest.mark.parametrize(
    ("date", "status", "bodies"),
    [("9999-12-31", 200, []), ("0001-01-01", 200, []), ("0001-01-01T00:00:00+14:00", 400, None)],
)
async def test_extreme_dates_are_filters_or_rejected(
    sandbox: SandboxFixture, date: str, status: int, bodies: list[str] | None
) -> None:
    await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello"))
    await sandbox.wait_until_idle()
    account_sid, token = sandbox.world.account_sid, sandbox.world.auth_token
    async with sandbox.session.get(
        f"{sandbox.url}/2010-04-01/Accounts/{account_sid}/Messages.json",
        params={"DateSent": date},
        headers={"Authorization": encode_basic_auth(account_sid, token)},
    ) as response:
        assert response.status == status
        content = await response.json()
    assert bodies is None or [message["body"] for message in content["messages"]] == bodies


async def test_a_redacted_message_is_unchanged_on_the_phone(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Secret"))
    await sandbox.wait_until_idle()
    redacted = await sandbox.call(lambda c: c.messages(created.sid).update(body=""))
    assert redacted.body == ""
    assert (await sandbox.phone())["messages"][0]["body"] == "Secret"
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages(created.sid).update(body="Other words"))
    assert rejected.value.code == 20001


async def test_a_message_is_deleted(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello"))
    await sandbox.wait_until_idle()
    assert await sandbox.call(lambda c: c.messages(created.sid).delete())
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages(created.sid).fetch())
    assert rejected.value.status == 404


async def test_a_message_without_a_receipt_is_erased_after_fourteen_days(sandbox: SandboxFixture) -> None:
    created = await sandbox.call(lambda c: c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello"))
    await sandbox.wait_until_idle()
    messages = sandbox.platform.messages
    message = messages.get(created.sid)
    assert message is not None
    messages.put(replace(message, status=SandboxMessageStatus.SENT))
    for erase in (
        lambda c: c.messages(created.sid).delete(),
        lambda c: c.messages(created.sid).update(body=""),
    ):
        with pytest.raises(TwilioRestException) as rejected:
            await sandbox.call(erase)
        assert (rejected.value.status, rejected.value.code) == (409, 20009)
    sandbox.clock.advance(14 * 86_400)
    assert (await sandbox.call(lambda c: c.messages(created.sid).update(body=""))).body == ""
    assert await sandbox.call(lambda c: c.messages(created.sid).delete())


async def test_a_scheduled_message_is_sent_at_its_time(sandbox: SandboxFixture) -> None:
    at = sandbox.clock.now() + timedelta(minutes=20)
    created = await sandbox.call(
        lambda c: c.messages.create(
            to=PHONE, messaging_service_sid=SERVICE, body="Later", schedule_type="fixed", send_at=at
        )
    )
    assert created.status == "scheduled"
    assert (await sandbox.phone())["messages"] == []
    sandbox.clock.advance(1200)
    await sandbox.wait_until_idle()
    assert [message["body"] for message in (await sandbox.phone())["messages"]] == ["Later"]


async def test_a_canceled_message_is_never_sent(sandbox: SandboxFixture) -> None:
    at = sandbox.clock.now() + timedelta(minutes=20)
    created = await sandbox.call(
        lambda c: c.messages.create(
            to=PHONE,
            messaging_service_sid=SERVICE,
            body="Later",
            schedule_type="fixed",
            send_at=at,
            status_callback=f"{sandbox.customer.url}/mine",
        )
    )
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages(created.sid).delete())
    assert rejected.value.code == 20009
    canceled = await sandbox.call(lambda c: c.messages(created.sid).update(status="canceled"))
    assert canceled.status == "canceled"
    sandbox.clock.advance(1200)
    await sandbox.wait_until_idle()
    assert (await sandbox.phone())["messages"] == []
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messages(created.sid).update(status="canceled"))
    assert rejected.value.code == 30409
    assert [request.form["MessageStatus"] for request in sandbox.customer.requests_to("/mine")] == [
        "canceled"
    ]
