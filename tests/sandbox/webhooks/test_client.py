from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sms_router.sandbox.webhooks.client import WebhookSigner, signed_url
from sms_router.sandbox.world.numbers import HttpMethod
from sms_router.twilio.form import parse_form

TOKEN = "12345"
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=8))
def test_the_signature_of_a_posted_form_is_valid(parameters: dict[str, str]) -> None:
    request = WebhookSigner(TOKEN).sign(HttpMethod.POST, "http://127.0.0.1:8000/sms?a=b", parameters, "token")
    received = dict(parse_form(request.body or b""))
    assert received == parameters
    signature = request.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(request.url, received, signature)


@given(st.dictionaries(TEXT.filter(bool), TEXT, min_size=1, max_size=8))
def test_the_signature_of_a_get_covers_its_query(parameters: dict[str, str]) -> None:
    request = WebhookSigner(TOKEN).sign(HttpMethod.GET, "http://127.0.0.1:8000/sms?a=b", parameters, "token")
    query = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    assert query == [("a", "b"), *parameters.items()]
    assert request.body is None
    assert "Content-Type" not in request.headers
    assert RequestValidator(TOKEN).validate(request.url, {}, request.headers["X-Twilio-Signature"])


@pytest.mark.parametrize(
    ("configured", "signed"),
    [
        ("https://example.com:8443/sms?x=1#rc=2", "https://example.com:8443/sms?x=1"),
        ("https://user:pass@example.com/sms", "https://example.com/sms"),
        ("https://example.com:443/sms", "https://example.com:443/sms"),
        ("https://example.com/a%20b's", "https://example.com/a%20b's"),
        ("https://example.com/a b/ü", "https://example.com/a%20b/%C3%BC"),
    ],
)
def test_the_url_is_signed_as_twilio_signs_it(configured: str, signed: str) -> None:
    assert signed_url(configured) == signed


def test_the_headers_are_twilios() -> None:
    headers = (
        WebhookSigner(TOKEN).sign(HttpMethod.POST, "https://example.com/sms", {"Body": "Hi"}, "abc").headers
    )
    assert headers["User-Agent"] == "TwilioProxy/1.1"
    assert headers["I-Twilio-Idempotency-Token"] == "abc"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
