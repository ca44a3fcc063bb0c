"""What is read of Twilio's Porting API in each of its spellings, through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from twilio.rest import Client

from sms_router.onboarding.porting_api import PortedNumber, fetch_portability, fetch_ported_numbers
from sms_router.twilio.rest import ApiError, FailureKind, build_client
from tests.membership.recorded import serving
from tests.onboarding.builders import REQUEST

NUMBER = "+14155550100"


@contextmanager
def twilio(answer: Any, status: int = 200) -> Iterator[tuple[Client, list[str]]]:
    """Return the same response to every request; yield a client and the requested paths."""
    requests: list[str] = []

    async def serve(request: Request) -> Response:
        requests.append(request.url.path)
        return JSONResponse(answer, status)

    with serving(Starlette(routes=[Route("/{path:path}", serve)])) as url:
        client = build_client("AC" + "1" * 32, "token", url, 5)
        yield client, requests
        client.http_client.session.close()


def port_in(**line: Any) -> dict[str, Any]:
    return {
        "port_in_request_sid": REQUEST,
        "port_in_request_status": "In progress",
        "phone_numbers": [{"phone_number": "+14155550199"}, {"phone_number": NUMBER, **line}],
    }


@pytest.mark.parametrize(
    ("answer", "status", "day", "reason"),
    [
        (port_in(), "", None, None),
        (port_in(port_in_phone_number_status="port_pending"), "port_pending", None, None),
        (port_in(port_in_phone_number_status="Waiting for Signature"), "waiting_for_signature", None, None),
        (
            port_in(port_in_phone_number_status="PORT_REJECTED", rejection_reason="PIN"),
            "port_rejected",
            None,
            "PIN",
        ),
        (port_in(port_date="2026-12-01T15:00:00Z"), "", date(2026, 12, 1), None),
        (port_in(port_date="2026-12-01"), "", date(2026, 12, 1), None),
        (port_in(port_date="soon"), "", None, None),
        (port_in(not_portability_reason="Locked"), "", None, "Locked"),
        ({**port_in(), "order_cancellation_reason": "asked to"}, "", None, "asked to"),
    ],
)
def test_the_status_of_a_port_is_read(
    answer: dict[str, Any], status: str, day: date | None, reason: str | None
) -> None:
    with twilio(answer) as (client, requests):
        read = fetch_ported_numbers(client, REQUEST)[NUMBER]
    assert read == PortedNumber(REQUEST, "in_progress", status, day, reason)
    assert requests == [f"/v1/Porting/PortIn/{REQUEST}"]


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        ({"phone_numbers": 7}, 200, FailureKind.UNREADABLE),
        ([], 200, FailureKind.UNREADABLE),
        ({"code": 20404, "message": "Not found", "status": 404}, 404, FailureKind.NOT_FOUND),
        ({"code": 20003, "message": "Authenticate", "status": 401}, 401, FailureKind.UNAUTHORIZED),
        ({}, 503, FailureKind.UNAVAILABLE),
    ],
)
def test_another_response_is_an_error_with_its_kind(answer: Any, status: int, kind: FailureKind) -> None:
    with twilio(answer, status) as (client, _), pytest.raises(ApiError) as failed:
        fetch_ported_numbers(client, REQUEST)
    assert failed.value.failure.kind is kind


@pytest.mark.parametrize("numbers", [[], None, [NUMBER], [None], [{"phone_number": None}]])
def test_a_request_without_numbers_has_none(numbers: Any) -> None:
    with twilio({"port_in_request_status": "In review", "phone_numbers": numbers}) as (client, _):
        assert NUMBER not in fetch_ported_numbers(client, REQUEST)


def test_portability_is_fetched_by_number() -> None:
    answer = {
        "phone_number": NUMBER,
        "portable": False,
        "pin_and_account_number_required": True,
        "not_portable_reason": "Locked",
        "not_portable_reason_code": 1,
        "number_type": "MOBILE",
        "country": "US",
    }
    with twilio(answer) as (client, requests):
        read = fetch_portability(client, NUMBER)
    assert (read.portable, read.pin_required, read.reason, read.number_type) == (
        False,
        True,
        "Locked",
        "MOBILE",
    )
    assert requests == [f"/v1/Porting/Portability/PhoneNumber/{NUMBER}"]
