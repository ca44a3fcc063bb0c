"""Errors of Twilio's REST API in one sentence: the code, its meaning, its remedy."""

from __future__ import annotations

import pytest

from sms_router.checks.error_advice import advise
from sms_router.twilio.rest import ApiFailure, FailureKind


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (
            ApiFailure(
                FailureKind.REFUSED, 21712, 409, "Twilio responded with 409, error 21712 (refused): No."
            ),
            "Twilio returned error 21712: this sender belongs to another Messaging Service; remove"
            " it there first: sms-router senders remove SID --service MG....",
        ),
        (
            ApiFailure(FailureKind.REFUSED, 20001, 400, "-", "SmsUrl is not a valid URL: ftp://a"),
            "Twilio returned error 20001: Twilio does not accept a value (SmsUrl is not a valid"
            " URL: ftp://a); see --help for the values of each option.",
        ),
        (
            ApiFailure(
                FailureKind.REFUSED, 63099, 400, "Twilio responded with 400, error 63099 (refused): Odd."
            ),
            "Twilio responded with 400, error 63099 (refused): Odd; see"
            " https://www.twilio.com/docs/errors/63099",
        ),
        (
            ApiFailure(FailureKind.UNAVAILABLE, None, None, "Twilio's API did not respond in time"),
            "Twilio's API did not respond in time: there was no response; check the network and"
            " https://status.twilio.com, then try again.",
        ),
        (
            ApiFailure(FailureKind.UNREADABLE, None, 200, "Twilio's API answered something else"),
            "Twilio's API answered something else: a proxy or a login page may be in between; check"
            " TWILIO_API_BASE_URL and the network.",
        ),
    ],
)
def test_every_failure_is_one_sentence(failure: ApiFailure, expected: str) -> None:
    assert advise(failure) == expected


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_has_a_remedy_without_a_code(kind: FailureKind) -> None:
    sentence = advise(ApiFailure(kind, None, None, "It failed"))
    assert sentence.startswith("It failed: ")
    assert "; " in sentence


@pytest.mark.parametrize("kind", FailureKind)
def test_only_a_request_without_a_readable_response_may_have_been_processed(kind: FailureKind) -> None:
    unknown = kind in {FailureKind.UNAVAILABLE, FailureKind.UNREADABLE}
    assert ApiFailure(kind, None, None, "").may_have_been_processed is unknown
