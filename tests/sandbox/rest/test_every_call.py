"""Each operation of the sandbox, by the official client.

The transport validates the responses against the OpenAPI documents.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from starlette.responses import Response
from starlette.routing import Route
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sms_router.sandbox.application import create_sandbox
from tests.sandbox.openapi import operations
from tests.sandbox.sandbox_fixture import (
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    SHORT_CODE_SID,
    SandboxFixture,
    demo_world,
)

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


def _mms(c: Client) -> str:
    sid = c.messages.create(
        to=PHONE, from_=SAN_FRANCISCO, body="x", media_url=["https://x.example/a.png"]
    ).sid
    while c.messages(str(sid)).fetch().status == "queued":
        continue
    return str(sid)


def _media(c: Client) -> Any:
    sid = _mms(c)
    return c.messages(sid).media(str(c.messages(sid).media.list()[0].sid))


def _alert(c: Client) -> str:
    return str(c.monitor.v1.alerts.list()[0].sid)


_MEDIA = f"{_2010}/Messages/{{Sid}}/Media"
UNDOCUMENTED_CALLS: dict[tuple[str, str], Callable[[Client], object]] = {
    ("GET", "/2010-04-01/Accounts.json"): lambda c: c.api.v2010.accounts.list(),
    ("GET", f"{_2010}.json"): lambda c: c.api.v2010.account.fetch(),
    ("GET", f"{_MEDIA}.json"): lambda c: c.messages(_mms(c)).media.list(),
    ("GET", f"{_MEDIA}/{{Sid}}.json"): lambda c: _media(c).fetch(),
    ("DELETE", f"{_MEDIA}/{{Sid}}.json"): lambda c: _media(c).delete(),
    ("GET", "/v1/Alerts"): lambda c: c.monitor.v1.alerts.list(log_level="error"),
    ("GET", "/v1/Alerts/{Sid}"): lambda c: c.monitor.v1.alerts(_alert(c)).fetch(),
}
"""Those of Twilio's API that are not in the two documents; `test_porting` makes the calls of ports."""

WITHOUT_CLIENT = {("GET", f"{_MEDIA}/{{Sid}}")}
"""The content of media, whose URL is fetched as it is."""


def test_every_operation_of_the_openapi_documents_is_called() -> None:
    assert set(CALLS) == operations()


def test_every_operation_of_the_sandbox_is_called() -> None:
    routes = [route for route in create_sandbox(demo_world()).routes if isinstance(route, Route)]
    sandbox = {
        (method, _normalized(route.path))
        for route in routes
        if route.path != "/" and not route.path.startswith(("/sandbox", "/v1/Porting"))
        for method in (route.methods or set()) - {"HEAD"}
    }
    called = {*CALLS, *UNDOCUMENTED_CALLS, *WITHOUT_CLIENT}
    assert {(method, _normalized(path)) for method, path in called} == sandbox


def _normalized(path: str) -> str:
    return re.sub(r"\{\w+\}|AC[0-9a-f]{32}", "{}", path)


@pytest.mark.parametrize("operation", UNDOCUMENTED_CALLS, ids=" ".join)
async def test_the_official_client_makes_the_undocumented_call(
    sandbox: SandboxFixture, operation: tuple[str, str]
) -> None:
    sandbox.customer.pages["/sms"] = Response("<Response>", media_type="text/xml")
    await sandbox.text("an alert", to=SHORT_CODE)
    assert await sandbox.call(UNDOCUMENTED_CALLS[operation])


async def test_the_account_has_the_token_that_signs(sandbox: SandboxFixture) -> None:
    account = await sandbox.call(lambda c: c.api.v2010.account.fetch())
    assert (account.sid, account.auth_token) == (sandbox.world.account_sid, sandbox.world.auth_token)
    assert (account.status, account.type, account.owner_account_sid) == ("active", "Full", account.sid)
    with pytest.raises(TwilioRestException) as raised:
        await sandbox.call(lambda c: c.api.v2010.accounts("AC" + "9" * 32).fetch())
    assert raised.value.code == 20404


async def test_the_media_of_a_message_are_listed_and_deleted(sandbox: SandboxFixture) -> None:
    urls = ["https://x.example/a.png", "https://x.example/b.pdf"]
    await sandbox.text("a picture", media=urls)
    (message,) = await sandbox.call(lambda c: c.messages.list(to=SHORT_CODE))

    def of_message(c: Client) -> Any:
        return c.messages(str(message.sid)).media

    listed = await sandbox.call(lambda c: of_message(c).list())
    assert [(media.parent_sid, media.content_type) for media in listed] == [
        (message.sid, "image/png"), (message.sid, "application/pdf")
    ]  # fmt: skip
    credentials = aiohttp.encode_basic_auth(sandbox.world.account_sid, sandbox.world.auth_token)
    headers = {"Authorization": credentials}
    path = str(listed[1].uri).removesuffix(".json")
    async with sandbox.session.get(sandbox.url + path, headers=headers, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, urls[1])
    assert await sandbox.call(lambda c: of_message(c)(str(listed[0].sid)).delete())
    assert [media.sid for media in await sandbox.call(lambda c: of_message(c).list())] == [listed[1].sid]
    assert (await sandbox.call(lambda c: c.messages(str(message.sid)).fetch())).num_media == "1"


async def test_the_alerts_are_filtered_by_level_and_date(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = Response("<Response>", media_type="text/xml")
    await sandbox.text("an alert")
    alerts = await sandbox.call(lambda c: c.monitor.v1.alerts.list())
    assert {(alert.error_code, alert.log_level) for alert in alerts} >= {("12100", "error")}
    assert await sandbox.call(lambda c: c.monitor.v1.alerts.list(log_level="warning")) == []
    now = sandbox.clock.now()
    assert await sandbox.call(lambda c: c.monitor.v1.alerts.list(start_date=now + timedelta(hours=1))) == []
    assert await sandbox.call(lambda c: c.monitor.v1.alerts.list(end_date=now - timedelta(hours=1))) == []
    assert len(await sandbox.call(lambda c: c.monitor.v1.alerts.list(start_date=now.date()))) == len(alerts)


async def test_the_api_version_of_a_number_is_kept(sandbox: SandboxFixture) -> None:
    await sandbox.call(lambda c: c.short_codes(SHORT_CODE_SID).update(api_version="2008-08-01"))
    assert (await sandbox.call(lambda c: c.short_codes(SHORT_CODE_SID).fetch())).api_version == "2008-08-01"
    with pytest.raises(TwilioRestException) as raised:
        await sandbox.call(lambda c: c.short_codes(SHORT_CODE_SID).update(api_version="2020-01-01"))
    assert raised.value.code == 20001


@pytest.mark.parametrize("operation", CALLS, ids=" ".join)
async def test_the_official_client_makes_the_call(
    sandbox: SandboxFixture, operation: tuple[str, str]
) -> None:
    assert await sandbox.call(CALLS[operation])
    assert operation in sandbox.transport.validated
