from dataclasses import replace

from twilio.request_validator import RequestValidator

from tests.sandbox.sandbox_fixture import (
    CANADIAN_PHONE,
    NEW_YORK,
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    SandboxFixture,
)

NEW_YORK_SID = "PN00000000000000000000000000000002"


async def test_the_webhook_has_twilios_parameters(sandbox: SandboxFixture) -> None:
    result = await sandbox.text("Hours")
    (request,) = sandbox.customer.requests
    assert (request.method, request.path) == ("POST", "/sms")
    assert request.form == {
        "MessageSid": result["sid"],
        "SmsSid": result["sid"],
        "SmsMessageSid": result["sid"],
        "AccountSid": sandbox.world.account_sid,
        "MessagingServiceSid": SERVICE,
        "ApiVersion": "2010-04-01",
        "From": PHONE,
        "To": SHORT_CODE,
        "Body": "Hours",
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "FromCity": "SAN FRANCISCO",
        "FromState": "CA",
        "FromZip": "94103",
        "FromCountry": "US",
        "ToCity": "",
        "ToState": "",
        "ToZip": "",
        "ToCountry": "US",
    }
    assert request.headers["user-agent"] == "TwilioProxy/1.1"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["i-twilio-idempotency-token"]
    assert result["webhook"]["outcome"] == "answered"


async def test_the_signature_is_valid(sandbox: SandboxFixture) -> None:
    await sandbox.text("Grüße & more = 100 % 👍", SAN_FRANCISCO)
    (request,) = sandbox.customer.requests
    validator = RequestValidator(sandbox.world.auth_token)
    assert validator.validate(request.url, dict(request.form), request.headers["x-twilio-signature"])


async def test_get_has_all_parameters_in_the_query(sandbox: SandboxFixture) -> None:
    url = f"{sandbox.customer.url}/sms?team=a"
    await sandbox.call(
        lambda c: c.messaging.v1.services(SERVICE).update(inbound_method="GET", inbound_request_url=url)
    )
    await sandbox.text("Hours")
    (request,) = sandbox.customer.requests
    assert (request.method, request.form) == ("GET", {})
    assert "/sms?team=a&MessageSid=SM" in request.url
    validator = RequestValidator(sandbox.world.auth_token)
    assert validator.validate(request.url, {}, request.headers["x-twilio-signature"])


async def test_long_texts_and_pictures_are_counted(sandbox: SandboxFixture) -> None:
    await sandbox.text("я" * 71)
    result = await sandbox.text("", media=["https://example.com/a.png", "https://example.com/b"])
    long, picture = (request.form for request in sandbox.customer.requests)
    assert long["NumSegments"] == "2"
    assert result["sid"].startswith("MM")
    assert (picture["NumMedia"], picture["NumSegments"], picture["Body"]) == ("2", "1", "")
    assert (picture["MediaUrl0"], picture["MediaContentType0"]) == ("https://example.com/a.png", "image/png")
    assert picture["MediaContentType1"] == "image/jpeg"


async def test_canada_and_the_us_are_distinguished(sandbox: SandboxFixture) -> None:
    await sandbox.text("Hours", SAN_FRANCISCO, sender=CANADIAN_PHONE)
    form = sandbox.customer.requests[0].form
    assert (form["FromCountry"], form["FromState"], form["ToCountry"]) == ("CA", "ON", "US")


async def test_an_inbound_message_is_stored(sandbox: SandboxFixture) -> None:
    result = await sandbox.text("Hours")
    message = await sandbox.call(lambda c: c.messages(result["sid"]).fetch())
    assert (message.direction, message.status, message.from_) == ("inbound", "received", PHONE)
    assert message.messaging_service_sid == SERVICE


async def test_a_service_can_use_the_numbers_own_url(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(use_inbound_webhook_on_number=True))
    await sandbox.call(
        lambda c: c.api.v2010.account.incoming_phone_numbers(NEW_YORK_SID).update(
            sms_url=f"{sandbox.customer.url}/new-york"
        )
    )
    await sandbox.text("Hello", NEW_YORK)
    assert [request.path for request in sandbox.customer.requests] == ["/new-york"]
    result = await sandbox.text("Hello", SHORT_CODE)
    assert result["webhook"]["outcome"] == "not called: the number has no URL"


async def test_a_number_outside_of_services_uses_its_own_url(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(NEW_YORK_SID).delete())
    number = sandbox.platform.account.number(NEW_YORK_SID)
    assert number
    sandbox.platform.account.save_number(replace(number, sms_url=f"{sandbox.customer.url}/new-york"))
    await sandbox.text("Hello", NEW_YORK)
    (request,) = sandbox.customer.requests
    assert request.path == "/new-york"
    assert "MessagingServiceSid" not in request.form


async def test_a_service_without_an_inbound_url_drops_the_message(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=""))
    result = await sandbox.text("Hello")
    assert result["sid"] is None
    assert result["webhook"]["outcome"] == "dropped: the Service has no inbound URL"
    assert await sandbox.call(lambda c: c.messages.list()) == []


async def test_identifiers_never_repeat(sandbox: SandboxFixture) -> None:
    sids = [(await sandbox.text(str(index)))["sid"] for index in range(5)]
    tokens = [request.headers["i-twilio-idempotency-token"] for request in sandbox.customer.requests]
    assert len({*sids}) == len({*tokens}) == 5
