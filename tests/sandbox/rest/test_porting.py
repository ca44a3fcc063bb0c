"""Ports by the official client, with statuses that the sandbox's own API sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.numbers.v1.porting_port_in import PortingPortInList

from sms_router.sandbox.application import create_sandbox
from sms_router.twilio.rest import build_client
from tests.membership.recorded import serving
from tests.sandbox.sandbox_fixture import PHONE, SAN_FRANCISCO, demo_world

NEW = "+13125550111"


class PortingFixture:
    """A running sandbox with its client."""

    def __init__(self, url: str, client: Client) -> None:
        self.url, self.client = url, client

    @property
    def api(self) -> Any:
        return self.client.numbers.v1

    def post(self, path: str, body: object, status: int = 200) -> Any:
        response = requests.post(self.url + path, json=body, timeout=5)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def open(self, *numbers: str) -> str:
        return str(
            self.post("/sandbox/ports", {"phone_numbers": numbers or [NEW]}, 201)["port_in_request_sid"]
        )

    def fetch(self, sid: str) -> Any:
        return self.api.porting_port_ins(sid).fetch()


@pytest.fixture
def porting() -> Iterator[PortingFixture]:
    world = demo_world()
    with serving(create_sandbox(world)) as url:
        yield PortingFixture(url, build_client(world.account_sid, world.auth_token, url, 5))


@pytest.mark.parametrize(
    ("number", "portable", "type_", "country"),
    [
        (NEW, True, "LOCAL", "US"),
        (SAN_FRANCISCO, False, "LOCAL", "US"),
        ("+18335550111", False, "TOLL-FREE", "US"),
        ("+16135550111", False, "LOCAL", "CA"),
        ("+447400123456", False, "LOCAL", "GB"),
    ],
)
def test_portability(porting: PortingFixture, number: str, portable: bool, type_: str, country: str) -> None:
    port = porting.api.porting_portabilities(number).fetch()
    assert (port.portable, port.number_type, port.country) == (portable, type_, country)
    assert (port.not_portable_reason is None) is portable


def test_portability_can_be_set(porting: PortingFixture) -> None:
    porting.post(
        f"/sandbox/portability/{NEW}", {"portable": False, "reason": "Locked", "pin_required": True}, 204
    )
    port = porting.api.porting_portabilities(NEW).fetch()
    assert (port.portable, port.not_portable_reason) == (False, "Locked")
    assert port.pin_and_account_number_required


def test_a_request_is_opened_listed_fetched_and_canceled(porting: PortingFixture) -> None:
    body = PortingPortInList.NumbersV1PortingPortInCreate(
        {
            "documents": ["RD" + "1" * 32],
            "phone_numbers": [{"phone_number": NEW, "pin": "1234"}],
            "losing_carrier_information": {"customer_type": "Business", "customer_name": "Acme"},
        }
    )
    sid = porting.api.porting_port_ins.create(body).port_in_request_sid
    port = porting.fetch(sid)
    assert port.port_in_request_status == "In review"
    (number,) = port.phone_numbers
    one = porting.api.porting_port_in_phone_number(sid, number["port_in_phone_number_sid"]).fetch()
    assert (one.phone_number, one.port_in_phone_number_status) == (NEW, "in_review")
    assert [port.port_in_request_sid for port in porting.api.porting_all_port_ins.list()] == [sid]
    assert porting.api.porting_port_ins(sid).delete()
    assert porting.fetch(sid).port_in_request_status == "Canceled"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"documents": ["RD1"]},
        {"documents": ["RD1"], "losing_carrier_information": {}, "phone_numbers": []},
        {"documents": ["RD1"], "losing_carrier_information": {}, "phone_numbers": [{"phone_number": "x"}]},
        {"documents": ["RD1"], "losing_carrier_information": {}, "phone_numbers": ["x"]},
    ],
)
def test_an_incomplete_request_is_rejected(porting: PortingFixture, body: dict[str, object]) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        porting.api.porting_port_ins.create(
            PortingPortInList.NumbersV1PortingPortInCreate(body) if not body else _RawBody(body)
        )
    assert rejected.value.code == 20001


class _RawBody:
    """A body that the client's own class does not accept."""

    def __init__(self, body: dict[str, object]) -> None:
        self._body = body

    def to_dict(self) -> dict[str, object]:
        return self._body


@pytest.mark.parametrize(
    ("status", "request_status"),
    [
        ("in_review", "In review"),
        ("waiting_for_signature", "Waiting for Signature"),
        ("port_submitted", "In progress"),
        ("port_pending", "In progress"),
        ("port_rejected", "Action Required"),
        ("completed", "Completed"),
        ("canceled", "Canceled"),
    ],
)
def test_the_status_of_a_port_can_be_set(porting: PortingFixture, status: str, request_status: str) -> None:
    sid = porting.open()
    porting.post(f"/sandbox/ports/{sid}", {"status": status, "port_date": "2026-12-01", "reason": "PIN"})
    port = porting.fetch(sid)
    assert port.port_in_request_status == request_status
    (number,) = port.phone_numbers
    assert number["port_in_phone_number_status"] == status
    assert number["port_date"] == "2026-12-01T00:00:00Z"


def test_the_status_of_one_number_can_be_set(porting: PortingFixture) -> None:
    sid = porting.open(NEW, "+13125550112")
    porting.post(f"/sandbox/ports/{sid}", {"status": "completed", "phone_number": NEW})
    port = porting.fetch(sid)
    assert [number["port_in_phone_number_status"] for number in port.phone_numbers] == [
        "completed",
        "in_review",
    ]
    assert port.port_in_request_status == "In review"


def test_one_number_is_canceled_unless_it_is_ported(porting: PortingFixture) -> None:
    sid = porting.open(NEW, "+13125550112")
    porting.post(f"/sandbox/ports/{sid}", {"status": "completed", "phone_number": NEW})
    for number in porting.fetch(sid).phone_numbers:
        assert porting.api.porting_port_in_phone_number(sid, number["port_in_phone_number_sid"]).delete()
    statuses = [number["port_in_phone_number_status"] for number in porting.fetch(sid).phone_numbers]
    assert statuses == ["completed", "canceled"]
    with pytest.raises(TwilioRestException) as rejected:
        porting.api.porting_port_in_phone_number(sid, "PU" + "f" * 32).delete()
    assert rejected.value.code == 20404


def test_a_number_can_be_configured_before_it_is_ported_and_sends_afterwards(porting: PortingFixture) -> None:
    sid = porting.open()
    assert not porting.client.incoming_phone_numbers.list(phone_number=NEW)
    porting.post(f"/sandbox/ports/{sid}", {"status": "port_pending"})
    assert porting.client.incoming_phone_numbers.list(phone_number=NEW)
    with pytest.raises(TwilioRestException) as rejected:
        porting.client.messages.create(to=PHONE, from_=NEW, body="Hello")
    assert rejected.value.code == 21659
    porting.post(f"/sandbox/phones/{PHONE}/messages", {"to": NEW, "body": "HI"}, 409)
    porting.post(f"/sandbox/ports/{sid}", {"status": "completed"})
    assert porting.client.messages.create(to=PHONE, from_=NEW, body="Hello").sid
    other = porting.open("+13125550112")
    porting.post(f"/sandbox/ports/{other}", {"status": "port_pending"})
    porting.post(f"/sandbox/ports/{other}", {"status": "port_rejected", "reason": "PIN"})
    assert not porting.client.incoming_phone_numbers.list(phone_number="+13125550112")


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/sandbox/ports", {"phone_numbers": ["12345"]}, 400, "phone_numbers"),
        ("/sandbox/ports", {"numbers": []}, 400, "phone_numbers"),
        ("/sandbox/ports/KW1", {"status": "completed"}, 404, "GET /sandbox/ports"),
        ("/sandbox/ports/{sid}", {"status": "done"}, 400, "completed"),
        ("/sandbox/ports/{sid}", {"status": "completed", "phone_number": "+1"}, 400, NEW),
        ("/sandbox/ports/{sid}", {"status": "completed", "port_date": "soon"}, 400, "2026-12-01"),
        (
            "/sandbox/ports/{sid}",
            {"status": "completed", "port_date": "0001-01-01T00:00:00+14:00"},
            400,
            "2026-12-01",
        ),
        ("/sandbox/portability/+13125550111", {"portable": "yes"}, 400, "true or false"),
        ("/sandbox/portability/12345", {"portable": True}, 400, "+14155550199"),
    ],
)
def test_an_invalid_request_is_rejected_with_the_reason(
    porting: PortingFixture, path: str, body: object, status: int, sentence: str
) -> None:
    assert sentence in porting.post(path.format(sid=porting.open()), body, status)["error"]
