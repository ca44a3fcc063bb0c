"""Listing a Service's senders, from recorded responses of Twilio."""

from __future__ import annotations

import pytest

from sms_router.membership.admin import AccountState, NumberFilter, SenderType, ServiceAdmin
from sms_router.senders.models import Capability, SenderKind
from sms_router.twilio.rest import ApiError, FailureKind, build_client
from tests.membership.recorded import ACCOUNT, TOKEN, Fault, RecordedTwilio, answering, failing, page_two


@pytest.fixture
def resources(twilio: RecordedTwilio, base_url: str) -> ServiceAdmin:
    return ServiceAdmin(build_client(ACCOUNT, TOKEN, base_url, 5), ACCOUNT, twilio.service_sid)


def test_all_pages_are_listed_and_both_resources_joined(
    twilio: RecordedTwilio, resources: ServiceAdmin
) -> None:
    for index in range(4):
        twilio.add_short_code(f"6789{index}", "CA", ("SMS",))
    sid = twilio.codes[-1]["sid"]
    twilio.own[sid] |= {"sms_url": "https://a.example.com", "api_version": "2010-04-01"}
    twilio.own["SC" + "f" * 32] = {"sid": "SC" + "f" * 32, "short_code": "99999"}
    listed = resources.list_senders(SenderType.SHORT_CODE, NumberFilter(), everything=False)
    assert [each.address for each in listed] == ["12345", "67890", "67891", "67892", "67893"]
    assert (listed[-1].country, listed[-1].capabilities) == ("CA", Capability.SMS)
    assert listed[-1].own is not None
    assert (listed[-1].own.sms_url, listed[-1].api_version) == ("https://a.example.com", "2010-04-01")
    *_, outside = resources.list_senders(SenderType.SHORT_CODE, NumberFilter(), everything=True)
    assert (outside.address, outside.kind, outside.country) == ("99999", SenderKind.SHORT_CODE, None)
    assert outside.capabilities is None  # Twilio has them on the Service only (facts 6.2)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (page_two(failing(500, 20500)), FailureKind.UNAVAILABLE),
        (answering("<html>"), FailureKind.UNREADABLE),
        (failing(429, 20429), FailureKind.RATE_LIMITED),
    ],
)
def test_an_incomplete_list_is_an_error(
    twilio: RecordedTwilio, resources: ServiceAdmin, fault: Fault, kind: FailureKind
) -> None:
    for index in range(3):
        twilio.add_short_code(f"6789{index}")
    twilio.fault = fault
    with pytest.raises(ApiError) as caught:
        resources.list_senders(SenderType.SHORT_CODE, NumberFilter(), everything=False)
    assert caught.value.failure.kind is kind


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({}, AccountState("active", TOKEN)),
        ({"auth_token": "another"}, AccountState("active", "another")),
        ({"auth_token": None, "status": "suspended"}, AccountState("suspended", None)),
    ],
)
def test_the_account_has_its_status_and_the_token_that_signs(
    twilio: RecordedTwilio, resources: ServiceAdmin, account: dict[str, object], expected: AccountState
) -> None:
    twilio.account = account
    assert resources.account_state() == expected
