"""Each operation of the OpenAPI documents, by the official client; the transport validates the responses."""

from collections.abc import Callable

import pytest
from twilio.rest import Client

from tests.sandbox.openapi import operations
from tests.sandbox.sandbox_fixture import PHONE, SERVICE, SHORT_CODE, SHORT_CODE_SID, SandboxFixture

NUMBER = "PN00000000000000000000000000000001"


def _alpha(c: Client) -> str:
    return str(c.messaging.v1.services(SERVICE).alpha_senders.create("My Shop").sid)


def _message(c: Client) -> str:
    return str(c.messages.create(to=PHONE, from_=SHORT_CODE, body="Hello").sid)


def _add_again(c: Client) -> object:
    pool = c.messaging.v1.services(SERVICE)
    pool.short_codes(SHORT_CODE_SID).delete()
    pool.phone_numbers(NUMBER).delete()
    return pool.short_codes.create(SHORT_CODE_SID), pool.phone_numbers.create(NUMBER)


_V1, _2010 = "/v1/Services", "/2010-04-01/Accounts/{AccountSid}"
CALLS: dict[tuple[str, str], Callable[[Client], object]] = {
    ("GET", _V1): lambda c: c.messaging.v1.services.list(),
    ("POST", _V1): lambda c: c.messaging.v1.services.create(friendly_name="Other"),
    ("GET", f"{_V1}/{{Sid}}"): lambda c: c.messaging.v1.services(SERVICE).fetch(),
    ("POST", f"{_V1}/{{Sid}}"): lambda c: c.messaging.v1.services(SERVICE).update(friendly_name="x"),
    ("DELETE", f"{_V1}/{{Sid}}"): lambda c: c.messaging.v1.services(SERVICE).delete(),
    ("GET", f"{_V1}/{{ServiceSid}}/ShortCodes"): lambda c: c.messaging.v1.services(
        SERVICE
    ).short_codes.list(),
    ("POST", f"{_V1}/{{ServiceSid}}/ShortCodes"): _add_again,
    ("GET", f"{_V1}/{{ServiceSid}}/ShortCodes/{{Sid}}"): lambda c: (
        c.messaging.v1.services(SERVICE).short_codes(SHORT_CODE_SID).fetch()
    ),
    ("DELETE", f"{_V1}/{{ServiceSid}}/ShortCodes/{{Sid}}"): _add_again,
    ("GET", f"{_V1}/{{ServiceSid}}/PhoneNumbers"): lambda c: c.messaging.v1.services(
        SERVICE
    ).phone_numbers.list(page_size=2),
    ("POST", f"{_V1}/{{ServiceSid}}/PhoneNumbers"): _add_again,
    ("GET", f"{_V1}/{{ServiceSid}}/PhoneNumbers/{{Sid}}"): lambda c: (
        c.messaging.v1.services(SERVICE).phone_numbers(NUMBER).fetch()
    ),
    ("DELETE", f"{_V1}/{{ServiceSid}}/PhoneNumbers/{{Sid}}"): _add_again,
    ("GET", f"{_V1}/{{ServiceSid}}/AlphaSenders"): lambda c: [
        _alpha(c),
        c.messaging.v1.services(SERVICE).alpha_senders.list(),
    ],
    ("POST", f"{_V1}/{{ServiceSid}}/AlphaSenders"): _alpha,
    ("GET", f"{_V1}/{{ServiceSid}}/AlphaSenders/{{Sid}}"): lambda c: (
        c.messaging.v1.services(SERVICE).alpha_senders(_alpha(c)).fetch()
    ),
    ("DELETE", f"{_V1}/{{ServiceSid}}/AlphaSenders/{{Sid}}"): lambda c: (
        c.messaging.v1.services(SERVICE).alpha_senders(_alpha(c)).delete()
    ),
    ("GET", f"{_2010}/SMS/ShortCodes.json"): lambda c: c.short_codes.list(),
    ("GET", f"{_2010}/SMS/ShortCodes/{{Sid}}.json"): lambda c: c.short_codes(SHORT_CODE_SID).fetch(),
    ("POST", f"{_2010}/SMS/ShortCodes/{{Sid}}.json"): lambda c: c.short_codes(SHORT_CODE_SID).update(
        sms_url="https://example.com/a"
    ),
    ("GET", f"{_2010}/IncomingPhoneNumbers.json"): lambda c: c.incoming_phone_numbers.list(page_size=1),
    ("POST", f"{_2010}/IncomingPhoneNumbers.json"): lambda c: c.incoming_phone_numbers.create(
        phone_number="+13125550111"
    ),
    ("GET", f"{_2010}/IncomingPhoneNumbers/{{Sid}}.json"): lambda c: c.incoming_phone_numbers(NUMBER).fetch(),
    ("POST", f"{_2010}/IncomingPhoneNumbers/{{Sid}}.json"): lambda c: c.incoming_phone_numbers(NUMBER).update(
        friendly_name="x"
    ),
    ("DELETE", f"{_2010}/IncomingPhoneNumbers/{{Sid}}.json"): lambda c: c.incoming_phone_numbers(
        NUMBER
    ).delete(),
    ("GET", f"{_2010}/Messages.json"): lambda c: [_message(c), c.messages.list()],
    ("POST", f"{_2010}/Messages.json"): _message,
    ("GET", f"{_2010}/Messages/{{Sid}}.json"): lambda c: c.messages(_message(c)).fetch(),
    ("POST", f"{_2010}/Messages/{{Sid}}.json"): lambda c: c.messages(_sent(c)).update(body=""),
    ("DELETE", f"{_2010}/Messages/{{Sid}}.json"): lambda c: c.messages(_sent(c)).delete(),
}


def _sent(c: Client) -> str:
    """Return the sid of a message that was sent."""
    sid = _message(c)
    while c.messages(sid).fetch().status == "queued":
        continue
    return sid


def test_every_operation_of_the_openapi_documents_is_called() -> None:
    assert set(CALLS) == operations()


@pytest.mark.parametrize("operation", CALLS, ids=" ".join)
async def test_the_official_client_makes_the_call(
    sandbox: SandboxFixture, operation: tuple[str, str]
) -> None:
    assert await sandbox.call(CALLS[operation])
    assert operation in sandbox.transport.validated
