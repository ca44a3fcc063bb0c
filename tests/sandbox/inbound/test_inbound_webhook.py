from dataclasses import replace

from twilio.request_validator import RequestValidator

from tests.sandbox.bench import CANADIAN_PHONE, NEW_YORK, PHONE, SAN_FRANCISCO, SERVICE, SHORT_CODE, Bench

NEW_YORK_SID = "PN00000000000000000000000000000002"


async def test_the_application_is_asked_as_twilio_asks(bench: Bench) -> None:
    told = await bench.text("Hours")
    (asked,) = bench.customer.asked
    assert (asked.method, asked.path) == ("POST", "/sms")
    assert asked.form == {
        "MessageSid": told["sid"],
        "SmsSid": told["sid"],
        "SmsMessageSid": told["sid"],
        "AccountSid": bench.world.account_sid,
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
    assert asked.headers["user-agent"] == "TwilioProxy/1.1"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["i-twilio-idempotency-token"]
    assert told["webhook"]["outcome"] == "answered"


async def test_the_signature_is_good(bench: Bench) -> None:
    await bench.text("Grüße & more = 100 % 👍", SAN_FRANCISCO)
    (asked,) = bench.customer.asked
    validator = RequestValidator(bench.world.auth_token)
    assert validator.validate(asked.url, dict(asked.form), asked.headers["x-twilio-signature"])


async def test_get_puts_everything_into_the_query(bench: Bench) -> None:
    url = f"{bench.customer.url}/sms?team=a"
    await bench.twilio(
        lambda c: c.messaging.v1.services(SERVICE).update(inbound_method="GET", inbound_request_url=url)
    )
    await bench.text("Hours")
    (asked,) = bench.customer.asked
    assert (asked.method, asked.form) == ("GET", {})
    assert "/sms?team=a&MessageSid=SM" in asked.url
    validator = RequestValidator(bench.world.auth_token)
    assert validator.validate(asked.url, {}, asked.headers["x-twilio-signature"])


async def test_long_texts_and_pictures_are_counted(bench: Bench) -> None:
    await bench.text("я" * 71)
    told = await bench.text("", media=["https://example.com/a.png", "https://example.com/b"])
    long, picture = (asked.form for asked in bench.customer.asked)
    assert long["NumSegments"] == "2"
    assert told["sid"].startswith("MM")
    assert (picture["NumMedia"], picture["NumSegments"], picture["Body"]) == ("2", "1", "")
    assert (picture["MediaUrl0"], picture["MediaContentType0"]) == ("https://example.com/a.png", "image/png")
    assert picture["MediaContentType1"] == "image/jpeg"


async def test_a_canadian_is_told_from_an_american(bench: Bench) -> None:
    await bench.text("Hours", SAN_FRANCISCO, sender=CANADIAN_PHONE)
    form = bench.customer.asked[0].form
    assert (form["FromCountry"], form["FromState"], form["ToCountry"]) == ("CA", "ON", "US")


async def test_an_inbound_message_is_kept_by_twilio(bench: Bench) -> None:
    told = await bench.text("Hours")
    message = await bench.twilio(lambda c: c.messages(told["sid"]).fetch())
    assert (message.direction, message.status, message.from_) == ("inbound", "received", PHONE)
    assert message.messaging_service_sid == SERVICE


async def test_a_service_may_defer_to_the_numbers_own_url(bench: Bench) -> None:
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(use_inbound_webhook_on_number=True))
    await bench.twilio(
        lambda c: c.api.v2010.account.incoming_phone_numbers(NEW_YORK_SID).update(
            sms_url=f"{bench.customer.url}/new-york"
        )
    )
    await bench.text("Hello", NEW_YORK)
    assert [asked.path for asked in bench.customer.asked] == ["/new-york"]
    told = await bench.text("Hello", SHORT_CODE)
    assert told["webhook"]["outcome"] == "not called: the number has no URL"


async def test_a_number_outside_services_is_asked_at_its_own_url(bench: Bench) -> None:
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(NEW_YORK_SID).delete())
    number = bench.platform.account.number(NEW_YORK_SID)
    assert number
    bench.platform.account.save_number(replace(number, sms_url=f"{bench.customer.url}/new-york"))
    await bench.text("Hello", NEW_YORK)
    (asked,) = bench.customer.asked
    assert asked.path == "/new-york"
    assert "MessagingServiceSid" not in asked.form


async def test_a_service_without_an_inbound_url_drops_the_message(bench: Bench) -> None:
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=""))
    told = await bench.text("Hello")
    assert told["sid"] is None
    assert told["webhook"]["outcome"] == "dropped: the Service has no inbound URL"
    assert await bench.twilio(lambda c: c.messages.list()) == []


async def test_identifiers_never_repeat(bench: Bench) -> None:
    sids = [(await bench.text(str(index)))["sid"] for index in range(5)]
    tokens = [asked.headers["i-twilio-idempotency-token"] for asked in bench.customer.asked]
    assert len({*sids}) == len({*tokens}) == 5
