"""Reading a Service from Twilio: complete, or an error."""

from collections.abc import Callable

import pytest
from starlette.requests import Request
from starlette.responses import Response

from sms_router.membership.snapshot import ServiceProperties
from sms_router.membership.source import PoolReadError, ServiceSource, twilio_source
from sms_router.sandbox.hosting import free_port
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.rest import FailureKind, build_client
from sms_router.twilio.webhook_url import NumberUrls
from tests.membership.recorded import (
    ACCOUNT,
    TOKEN,
    Fault,
    RecordedTwilio,
    answering,
    failing,
    page_two,
)

BOTH = Capability.SMS | Capability.MMS


def test_all_pages_of_all_kinds_make_one_snapshot(twilio: RecordedTwilio, source: ServiceSource) -> None:
    for index in range(5):
        twilio.add_short_code(f"6789{index}", "CA", ("SMS",))
        twilio.add_number(f"+1212555000{index}")
    toll_free = twilio.add_number("+18885550123", "US", ("SMS", "MMS", "Voice"))
    british = twilio.add_number("+447400123456", None)
    name = twilio.add_name("ACME")
    snapshot = source.read(1000.5)
    senders = {sender.sid: sender for sender in snapshot.senders}
    assert len(senders) == 15
    assert senders["SC" + "0" * 32] == Sender("SC" + "0" * 32, "12345", SenderKind.SHORT_CODE, "US", BOTH)
    assert senders[toll_free] == Sender(toll_free, "+18885550123", SenderKind.TOLL_FREE, "US", BOTH)
    assert senders[british] == Sender(british, "+447400123456", SenderKind.LONG_CODE, "GB", Capability.SMS)
    assert senders[name] == Sender(name, "ACME", SenderKind.ALPHANUMERIC, None, Capability.SMS)
    assert (snapshot.account_sid, snapshot.service_sid) == (ACCOUNT, twilio.service_sid)
    assert (snapshot.read_at, snapshot.version) == (1000.5, 1000500)
    assert snapshot.pool().find("67890", "CA") is not None


def test_the_snapshot_has_the_settings_and_the_urls_of_the_numbers(
    twilio: RecordedTwilio, source: ServiceSource
) -> None:
    twilio.settings = {"use_inbound_webhook_on_number": True, "fallback_url": "https://sms.example.com/f"}
    sid = twilio.add_number("+12125550001")
    twilio.own[sid] |= {"sms_url": "https://old.example.com/in", "sms_method": "GET", "sms_fallback_url": ""}
    twilio.own["PN" + "f" * 32] = {"sid": "PN" + "f" * 32, "friendly_name": "of no Service"}
    snapshot = source.read(1.0)
    assert snapshot.settings == ServiceProperties(
        friendly_name="Shop",
        inbound_request_url="https://sms.example.com/sms",
        fallback_url="https://sms.example.com/f",
        use_inbound_webhook_on_number=True,
    )
    assert snapshot.number_urls[sid] == NumberUrls(
        friendly_name="Number +12125550001", sms_url="https://old.example.com/in", sms_method="GET"
    )
    assert set(snapshot.number_urls) == {sender.sid for sender in snapshot.senders}


def test_capabilities_that_the_service_leaves_out_come_from_the_number(
    twilio: RecordedTwilio, source: ServiceSource
) -> None:
    sid = twilio.add_number("+12125550001", can=())
    assert {sender.sid: sender for sender in source.read(1.0).senders}[sid].capabilities is Capability.SMS


def test_an_empty_service_is_a_valid_snapshot(twilio: RecordedTwilio, source: ServiceSource) -> None:
    twilio.codes, twilio.numbers = [], []
    assert source.read(1.0).senders == ()
    assert not any("2010-04-01" in path for path in twilio.requests)


def cut_short(request: Request) -> Response | None:
    return Response('{"meta": {"key": "short_codes"}, "short_', media_type="application/json")


def without_address(twilio: RecordedTwilio) -> Fault | None:
    twilio.codes[0]["short_code"] = None
    return None


def endless(twilio: RecordedTwilio) -> Fault | None:
    twilio.codes = twilio.codes * 1000
    return None


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (failing(404, 20404), FailureKind.NOT_FOUND, "Twilio responded with 404, error 20404 (not found)"),
        (failing(401, 20003), FailureKind.UNAUTHORIZED, "401, error 20003 (unauthorized)"),
        (
            failing(429, 20429, where="ShortCodes"),
            FailureKind.RATE_LIMITED,
            "429, error 20429 (rate limited)",
        ),
        (failing(500, 20500, where="AlphaSenders"), FailureKind.UNAVAILABLE, "500, error 20500"),
        (failing(503, 20503, where="IncomingPhone"), FailureKind.UNAVAILABLE, "503, error 20503"),
        (page_two(failing(500, 20500)), FailureKind.UNAVAILABLE, "500, error 20500"),
        (page_two(cut_short), FailureKind.UNREADABLE, "not the expected JSON"),
        (answering("<html>Log in</html>"), FailureKind.UNREADABLE, "not the expected JSON"),
        (answering("<html>Bad gateway</html>", 502), FailureKind.UNAVAILABLE, "Twilio responded with 502"),
        (answering("{}", where="ShortCodes"), FailureKind.UNREADABLE, "not the expected JSON"),
        (answering("[]", where="PhoneNumbers"), FailureKind.UNREADABLE, "not the expected JSON"),
    ],
)
def test_a_failed_page_is_an_error(
    twilio: RecordedTwilio, source: ServiceSource, fault: Fault, kind: FailureKind, words: str
) -> None:
    for index in range(3):
        twilio.add_short_code(f"6789{index}")
    twilio.fault = fault
    with pytest.raises(PoolReadError) as caught:
        source.read(1.0)
    assert caught.value.failure.kind is kind
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"the senders of {twilio.service_sid} could not be read: ")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(without_address, "a short code without its sid or its address"), (endless, "more than 200 pages")],
)
def test_an_incomplete_list_is_an_error(
    twilio: RecordedTwilio,
    source: ServiceSource,
    spoil: Callable[[RecordedTwilio], Fault | None],
    words: str,
) -> None:
    spoil(twilio)
    with pytest.raises(PoolReadError, match=words):
        source.read(1.0)


def test_a_refused_connection_is_an_error_in_one_sentence(twilio: RecordedTwilio) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    away = twilio_source(lambda: build_client(ACCOUNT, TOKEN, nobody, 1), ACCOUNT, twilio.service_sid)
    with pytest.raises(PoolReadError, match="the connection to Twilio's API failed"):
        away.read(1.0)
