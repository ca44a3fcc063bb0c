"""Single resources send exactly the requests of the official client's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from sms_router.membership.source import iter_records
from sms_router.twilio.rest import ApiResource, account_resource, service_resource

ACCOUNT, SERVICE, TOKEN = "AC" + "a" * 32, "MG" + "b" * 32, "the-token"
CONTACT, NUMBER = "+14155550123", "+12125550100"

SentRequest = tuple[str, str, object, object, object]


class Recorder(HttpClient):  # type: ignore[misc]
    """Returns the given bodies, and records the requests without the headers that name the client."""

    def __init__(self, *answers: object) -> None:
        super().__init__(None, False, None)
        self._answers: list[Response] = [Response(200, json.dumps(answer)) for answer in answers]
        self.requests: list[SentRequest] = []

    def request(self, method: str, url: str, **options: Any) -> Response:
        headers = {name: value for name, value in options["headers"].items() if name != "Content-Type"}
        data = options["data"] or {}
        self.requests.append((method, url, options["params"] or {}, data, (options["auth"], headers)))
        return self._answers.pop(0)


def page_v1(key: str, *records: object, next_page: str | None = None) -> dict[str, object]:
    """Return a page of the messaging API."""
    return {key: list(records), "meta": {"key": key, "next_page_url": next_page}}


def page_2010(key: str, *records: object, next_page: str | None = None) -> dict[str, object]:
    """Return a page of the 2010 API."""
    return {key: list(records), "next_page_uri": next_page, "page_size": 1000, "uri": "/"}


NEXT_V1 = f"https://messaging.twilio.com/v1/Services/{SERVICE}/ShortCodes?PageSize=1000&Page=1&PageToken=P"
NEXT_2010 = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json?PageSize=1000&Page=1&PageToken=P"
MESSAGE = {
    "To": CONTACT,
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
        lambda client: service_resource(client, SERVICE).fetch(),
        [{"sid": SERVICE}],
    ),
    "its short codes, on two pages": (
        lambda client: [*iter_records(client.messaging.v1.services(SERVICE).short_codes)],
        lambda client: [*iter_records(service_resource(client, SERVICE).child("ShortCodes"))],
        [
            page_v1("short_codes", {"sid": "SC1"}, next_page=NEXT_V1),
            page_v1("short_codes", {"sid": "SC2"}),
        ],
    ),
    "its phone numbers": (
        lambda client: [*iter_records(client.messaging.v1.services(SERVICE).phone_numbers)],
        lambda client: [*iter_records(service_resource(client, SERVICE).child("PhoneNumbers"))],
        [page_v1("phone_numbers")],
    ),
    "its alphanumeric senders": (
        lambda client: [*iter_records(client.messaging.v1.services(SERVICE).alpha_senders)],
        lambda client: [*iter_records(service_resource(client, SERVICE).child("AlphaSenders"))],
        [page_v1("alpha_senders")],
    ),
    "an account's short codes": (
        lambda client: [*iter_records(client.api.v2010.accounts(ACCOUNT).short_codes)],
        lambda client: [*iter_records(account_resource(client, ACCOUNT).child("SMS/ShortCodes.json"))],
        [page_2010("short_codes")],
    ),
    "an account's numbers, on two pages": (
        lambda client: [*iter_records(client.api.v2010.accounts(ACCOUNT).incoming_phone_numbers)],
        lambda client: [*iter_records(account_resource(client, ACCOUNT).child("IncomingPhoneNumbers.json"))],
        [
            page_2010("incoming_phone_numbers", {"sid": "PN1"}, next_page=NEXT_2010),
            page_2010("incoming_phone_numbers", {"sid": "PN2"}),
        ],
    ),
    "a message": (
        lambda client: client.messages.create(
            to=CONTACT,
            from_=NUMBER,
            status_callback=MESSAGE["StatusCallback"],
            body=MESSAGE["Body"],
            media_url=MESSAGE["MediaUrl"],
            messaging_service_sid=SERVICE,
        ),
        lambda client: messages(client).create(MESSAGE),
        [{"sid": "SM1"}],
    ),
    "a message with fewer parameters": (
        lambda client: client.messages.create(to=CONTACT, from_=NUMBER, body="Hello"),
        lambda client: messages(client).create(
            {"To": CONTACT, "From": NUMBER, "Body": "Hello", "MediaUrl": None}
        ),
        [{"sid": "SM1"}],
    ),
}


def messages(client: Client) -> ApiResource:
    return account_resource(client, ACCOUNT).child("Messages.json")


def perform(call: Call, answers: Sequence[object]) -> tuple[list[SentRequest], object]:
    """Return the requests of a call, and the sids that it returns."""
    recorder = Recorder(*answers)
    result = call(Client(ACCOUNT, TOKEN, http_client=recorder))
    sids = [record.sid for record in result] if isinstance(result, list) else result.sid  # type: ignore[attr-defined]
    return recorder.requests, sids


@pytest.mark.parametrize("name", CALLS)
def test_a_call_sends_the_requests_of_the_official_client(name: str) -> None:
    official, ours, answers = CALLS[name]
    assert perform(ours, answers) == perform(official, answers)
    assert len(perform(ours, answers)[0]) == len(answers)


def test_a_missing_field_is_none() -> None:
    record = service_resource(Client(ACCOUNT, TOKEN, http_client=Recorder({"sid": SERVICE})), SERVICE).fetch()
    assert (record.sid, record.friendly_name) == (SERVICE, None)


def test_an_invalid_page_raises_the_official_clients_exception() -> None:
    with pytest.raises(TwilioException, match="Page Records can not be deserialized"):
        service_resource(Client(ACCOUNT, TOKEN, http_client=Recorder({})), SERVICE).child("ShortCodes").page(
            page_size=1
        )
