"""Single resources ask Twilio for exactly what the official client's own classes ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from sms_router.membership.pages import iter_records
from sms_router.twilio.resource import Resource, account, service

ACCOUNT, SERVICE, TOKEN = "AC" + "a" * 32, "MG" + "b" * 32, "the-token"
PERSON, NUMBER = "+14155550123", "+12125550100"

Asked = tuple[str, str, object, object, object]


class Recorder(HttpClient):  # type: ignore[misc]
    """Answers as it is told, and remembers what it was asked, but for the headers that only say who asks."""

    def __init__(self, *answers: object) -> None:
        super().__init__(None, False, None)
        self._answers: list[Response] = [Response(200, json.dumps(answer)) for answer in answers]
        self.asked: list[Asked] = []

    def request(self, method: str, url: str, **options: Any) -> Response:
        told = {name: value for name, value in options["headers"].items() if name != "Content-Type"}
        data = options["data"] or {}
        self.asked.append((method, url, options["params"] or {}, data, (options["auth"], told)))
        return self._answers.pop(0)


def list_of(key: str, *records: object, following: str | None = None) -> dict[str, object]:
    """Return a page as both APIs have it."""
    return {key: list(records), "meta": {"key": key, "next_page_url": following}}


def older(key: str, *records: object, following: str | None = None) -> dict[str, object]:
    """Return a page of the older API."""
    return {key: list(records), "next_page_uri": following, "page_size": 1000, "uri": "/"}


NEXT_V1 = f"https://messaging.twilio.com/v1/Services/{SERVICE}/ShortCodes?PageSize=1000&Page=1&PageToken=P"
NEXT_2010 = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json?PageSize=1000&Page=1&PageToken=P"
MESSAGE = {
    "To": PERSON,
    "From": NUMBER,
    "StatusCallback": "https://sms.example.com/sms/status",
    "Body": "Hello, ü & you",
    "MediaUrl": ["https://example.com/a.png", "https://example.com/b.png"],
    "MessagingServiceSid": SERVICE,
}

Call = Callable[[Client], object]

CALLS: dict[str, tuple[Call, Call, Sequence[object]]] = {
    "a Service": (
        lambda client: client.messaging.v1.services(SERVICE).fetch(),
        lambda client: service(client, SERVICE).fetch(),
        [{"sid": SERVICE}],
    ),
    "its short codes, on two pages": (
        lambda client: [*iter_records(client.messaging.v1.services(SERVICE).short_codes)],
        lambda client: [*iter_records(service(client, SERVICE).child("ShortCodes"))],
        [
            list_of("short_codes", {"sid": "SC1"}, following=NEXT_V1),
            list_of("short_codes", {"sid": "SC2"}),
        ],
    ),
    "its phone numbers": (
        lambda client: [*iter_records(client.messaging.v1.services(SERVICE).phone_numbers)],
        lambda client: [*iter_records(service(client, SERVICE).child("PhoneNumbers"))],
        [list_of("phone_numbers")],
    ),
    "its alphanumeric senders": (
        lambda client: [*iter_records(client.messaging.v1.services(SERVICE).alpha_senders)],
        lambda client: [*iter_records(service(client, SERVICE).child("AlphaSenders"))],
        [list_of("alpha_senders")],
    ),
    "an account's short codes": (
        lambda client: [*iter_records(client.api.v2010.accounts(ACCOUNT).short_codes)],
        lambda client: [*iter_records(account(client, ACCOUNT).child("SMS/ShortCodes.json"))],
        [older("short_codes")],
    ),
    "an account's numbers, on two pages": (
        lambda client: [*iter_records(client.api.v2010.accounts(ACCOUNT).incoming_phone_numbers)],
        lambda client: [*iter_records(account(client, ACCOUNT).child("IncomingPhoneNumbers.json"))],
        [
            older("incoming_phone_numbers", {"sid": "PN1"}, following=NEXT_2010),
            older("incoming_phone_numbers", {"sid": "PN2"}),
        ],
    ),
    "a message": (
        lambda client: client.messages.create(
            to=PERSON,
            from_=NUMBER,
            status_callback=MESSAGE["StatusCallback"],
            body=MESSAGE["Body"],
            media_url=MESSAGE["MediaUrl"],
            messaging_service_sid=SERVICE,
        ),
        lambda client: messages(client).create(MESSAGE),
        [{"sid": "SM1"}],
    ),
    "a message that says less": (
        lambda client: client.messages.create(to=PERSON, from_=NUMBER, body="Hello"),
        lambda client: messages(client).create(
            {"To": PERSON, "From": NUMBER, "Body": "Hello", "MediaUrl": None}
        ),
        [{"sid": "SM1"}],
    ),
}


def messages(client: Client) -> Resource:
    return account(client, ACCOUNT).child("Messages.json")


def asked(call: Call, answers: Sequence[object]) -> tuple[list[Asked], object]:
    """Return what a call asks Twilio for, and what it makes of the answers: the sids."""
    recorder = Recorder(*answers)
    result = call(Client(ACCOUNT, TOKEN, http_client=recorder))
    sids = [each.sid for each in result] if isinstance(result, list) else result.sid  # type: ignore[attr-defined]
    return recorder.asked, sids


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_the_official_clients(name: str) -> None:
    official, ours, answers = CALLS[name]
    assert asked(ours, answers) == asked(official, answers)
    assert len(asked(ours, answers)[0]) == len(answers)


def test_what_twilio_leaves_out_is_none() -> None:
    found = service(Client(ACCOUNT, TOKEN, http_client=Recorder({"sid": SERVICE})), SERVICE).fetch()
    assert (found.sid, found.friendly_name) == (SERVICE, None)


def test_a_page_that_is_none_is_the_official_clients_exception() -> None:
    with pytest.raises(TwilioException, match="Page Records can not be deserialized"):
        service(Client(ACCOUNT, TOKEN, http_client=Recorder({})), SERVICE).child("ShortCodes").page(
            page_size=1
        )
