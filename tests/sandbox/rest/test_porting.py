"""Ports through the official client, and moved along by the sandbox's own controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.numbers.v1.porting_port_in import PortingPortInList

from sms_router.sandbox import create_sandbox
from sms_router.twilio.rest import build_client
from tests.membership.recorded import serving
from tests.sandbox.bench import PHONE, SAN_FRANCISCO, demo_world

NEW = "+13125550111"


class Side:
    """A running sandbox with its client."""

    def __init__(self, url: str, client: Client) -> None:
        self.url, self.client = url, client

    @property
    def porting(self) -> Any:
        return self.client.numbers.v1

    def post(self, path: str, body: object, status: int = 200) -> Any:
        answer = requests.post(self.url + path, json=body, timeout=5)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def opened(self, *numbers: str) -> str:
        return str(
            self.post("/sandbox/ports", {"phone_numbers": numbers or [NEW]}, 201)["port_in_request_sid"]
        )

    def shown(self, sid: str) -> Any:
        return self.porting.porting_port_ins(sid).fetch()


@pytest.fixture
def side() -> Iterator[Side]:
    world = demo_world()
    with serving(create_sandbox(world)) as url:
        yield Side(url, build_client(world.account_sid, world.auth_token, url, 5))


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
def test_portability(side: Side, number: str, portable: bool, type_: str, country: str) -> None:
    told = side.porting.porting_portabilities(number).fetch()
    assert (told.portable, told.number_type, told.country) == (portable, type_, country)
    assert (told.not_portable_reason is None) is portable


def test_portability_is_settable(side: Side) -> None:
    side.post(
        f"/sandbox/portability/{NEW}", {"portable": False, "reason": "Locked", "pin_required": True}, 204
    )
    told = side.porting.porting_portabilities(NEW).fetch()
    assert (told.portable, told.not_portable_reason) == (False, "Locked")
    assert told.pin_and_account_number_required


def test_a_request_is_opened_listed_fetched_and_canceled(side: Side) -> None:
    asked = PortingPortInList.NumbersV1PortingPortInCreate(
        {
            "documents": ["RD" + "1" * 32],
            "phone_numbers": [{"phone_number": NEW, "pin": "1234"}],
            "losing_carrier_information": {"customer_type": "Business", "customer_name": "Acme"},
        }
    )
    sid = side.porting.porting_port_ins.create(asked).port_in_request_sid
    told = side.shown(sid)
    assert told.port_in_request_status == "In review"
    (number,) = told.phone_numbers
    one = side.porting.porting_port_in_phone_number(sid, number["port_in_phone_number_sid"]).fetch()
    assert (one.phone_number, one.port_in_phone_number_status) == (NEW, "in_review")
    assert [each.port_in_request_sid for each in side.porting.porting_all_port_ins.list()] == [sid]
    assert side.porting.porting_port_ins(sid).delete()
    assert side.shown(sid).port_in_request_status == "Canceled"


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
def test_a_request_without_its_papers_is_refused(side: Side, body: dict[str, object]) -> None:
    with pytest.raises(TwilioRestException) as refused:
        side.porting.porting_port_ins.create(
            PortingPortInList.NumbersV1PortingPortInCreate(body) if not body else _Told(body)
        )
    assert refused.value.code == 20001


class _Told:
    """A body as it is, where the client's own class would not take it."""

    def __init__(self, told: dict[str, object]) -> None:
        self._told = told

    def to_dict(self) -> dict[str, object]:
        return self._told


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
def test_a_port_is_moved_along(side: Side, status: str, request_status: str) -> None:
    sid = side.opened()
    side.post(f"/sandbox/ports/{sid}", {"status": status, "port_date": "2026-12-01", "reason": "PIN"})
    told = side.shown(sid)
    assert told.port_in_request_status == request_status
    (number,) = told.phone_numbers
    assert number["port_in_phone_number_status"] == status
    assert number["port_date"] == "2026-12-01T00:00:00Z"


def test_one_number_of_several_speaks_for_itself(side: Side) -> None:
    sid = side.opened(NEW, "+13125550112")
    side.post(f"/sandbox/ports/{sid}", {"status": "completed", "phone_number": NEW})
    told = side.shown(sid)
    assert [each["port_in_phone_number_status"] for each in told.phone_numbers] == ["completed", "in_review"]
    assert told.port_in_request_status == "In review"


def test_one_number_of_several_is_canceled_unless_it_is_ported(side: Side) -> None:
    sid = side.opened(NEW, "+13125550112")
    side.post(f"/sandbox/ports/{sid}", {"status": "completed", "phone_number": NEW})
    for each in side.shown(sid).phone_numbers:
        number = side.porting.porting_port_in_phone_number(sid, each["port_in_phone_number_sid"])
        assert number.delete()
    statuses = [each["port_in_phone_number_status"] for each in side.shown(sid).phone_numbers]
    assert statuses == ["completed", "canceled"]
    with pytest.raises(TwilioRestException) as refused:
        side.porting.porting_port_in_phone_number(sid, "PU" + "f" * 32).delete()
    assert refused.value.code == 20404


def test_a_number_may_be_configured_before_its_day_and_sends_after_it(side: Side) -> None:
    sid = side.opened()
    assert not side.client.incoming_phone_numbers.list(phone_number=NEW)
    side.post(f"/sandbox/ports/{sid}", {"status": "port_pending"})
    assert side.client.incoming_phone_numbers.list(phone_number=NEW)
    with pytest.raises(TwilioRestException) as refused:
        side.client.messages.create(to=PHONE, from_=NEW, body="Hello")
    assert refused.value.code == 21659
    side.post(f"/sandbox/phones/{PHONE}/messages", {"to": NEW, "body": "HI"}, 409)
    side.post(f"/sandbox/ports/{sid}", {"status": "completed"})
    assert side.client.messages.create(to=PHONE, from_=NEW, body="Hello").sid
    other = side.opened("+13125550112")
    side.post(f"/sandbox/ports/{other}", {"status": "port_pending"})
    side.post(f"/sandbox/ports/{other}", {"status": "port_rejected", "reason": "PIN"})
    assert not side.client.incoming_phone_numbers.list(phone_number="+13125550112")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/sandbox/ports", {"phone_numbers": ["12345"]}, 400, "phone_numbers"),
        ("/sandbox/ports", {"numbers": []}, 400, "phone_numbers"),
        ("/sandbox/ports/KW1", {"status": "completed"}, 404, "GET /sandbox/ports"),
        ("/sandbox/ports/{sid}", {"status": "done"}, 400, "completed"),
        ("/sandbox/ports/{sid}", {"status": "completed", "phone_number": "+1"}, 400, NEW),
        ("/sandbox/ports/{sid}", {"status": "completed", "port_date": "soon"}, 400, "2026-12-01"),
        ("/sandbox/portability/+13125550111", {"portable": "yes"}, 400, "true or false"),
        ("/sandbox/portability/12345", {"portable": True}, 400, "+14155550199"),
    ],
)
def test_a_mistake_is_told(side: Side, path: str, body: object, status: int, said: str) -> None:
    assert said in side.post(path.format(sid=side.opened()), body, status)["error"]
