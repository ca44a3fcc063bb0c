import tomllib
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES
from loadtests.bench.router_config import write_router_config
from loadtests.bench.setup import AUTH_TOKEN, BenchSetup
from loadtests.bench.traffic import (
    Webhook,
    add_duplicates,
    make_forgery,
    make_webhooks,
    make_webhooks_with_text,
    without_expected_text,
)
from sms_router.twilio.inbound import InboundMessage, parse_inbound

SETUP = BenchSetup(8000, Path())


def form_of(webhook: Webhook) -> dict[str, str]:
    body = webhook.wire.partition(b"\r\n\r\n")[2].decode()
    return dict(parse_qsl(body, keep_blank_values=True))


def signed_by_twilio(webhook: Webhook) -> bool:
    head = webhook.wire.partition(b"\r\n\r\n")[0].decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    validator = RequestValidator(AUTH_TOKEN)
    return bool(validator.validate(SETUP.sms_url, form_of(webhook), headers["X-Twilio-Signature"]))


@pytest.fixture(scope="module")
def traffic() -> list[Webhook]:
    return make_webhooks(SETUP, 300)


def test_each_request_is_another_message_with_25_parameters(traffic: list[Webhook]) -> None:
    forms = [form_of(webhook) for webhook in traffic]
    assert {len(form) for form in forms} == {25}
    assert len({form["MessageSid"] for form in forms}) == len(forms)
    assert all(isinstance(parse_inbound(form), InboundMessage) for form in forms)


def test_every_request_is_signed_and_a_forgery_is_not(traffic: list[Webhook]) -> None:
    assert all(signed_by_twilio(webhook) for webhook in traffic)
    assert not signed_by_twilio(make_forgery(SETUP))


def test_content_length_is_the_length_of_the_body(traffic: list[Webhook]) -> None:
    for webhook in traffic:
        head, _, body = webhook.wire.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head


def test_each_run_has_the_same_messages(traffic: list[Webhook]) -> None:
    assert make_webhooks(SETUP, 300) == traffic


def test_texts_without_a_keyword_expect_the_default(traffic: list[Webhook]) -> None:
    for webhook in traffic:
        first_word = form_of(webhook)["Body"].split()[0].upper()
        reply = REPLIES.get(first_word, DEFAULT_REPLY).format(city=form_of(webhook)["FromCity"])
        assert webhook.expected == reply.encode()
    assert any(webhook.expected == DEFAULT_REPLY.encode() for webhook in traffic)


def test_no_text_is_expected_from_a_stack_without_keywords(traffic: list[Webhook]) -> None:
    assert {webhook.expected for webhook in without_expected_text(traffic)} == {b""}


def test_the_router_gets_the_same_keywords(tmp_path: Path) -> None:
    folder = write_router_config(BenchSetup(8000, tmp_path))
    keywords = tomllib.loads((folder / "keywords.toml").read_text())
    replies = {rule["words"][0]: rule["reply"] for rule in keywords["keyword"]}
    assert replies.keys() == REPLIES.keys()
    assert replies["HOURS"] == "We are open 9 to 5, {{ message.from_city }}."
    assert keywords["default"]["reply"] == DEFAULT_REPLY
    router = tomllib.loads((folder / "router.toml").read_text())["router"]
    assert router["signature"] == "enforce"
    assert router["public_url"] == "http://127.0.0.1:8000"


def test_a_share_of_the_requests_repeats_recent_ones(traffic: list[Webhook]) -> None:
    requests = add_duplicates(traffic, 0.5)
    assert len(requests) == len(traffic)
    distinct = list(dict.fromkeys(requests))
    assert distinct == traffic[: len(distinct)]
    assert 0.4 < 1 - len(distinct) / len(requests) < 0.6
    for place, request in enumerate(requests):
        assert request in list(dict.fromkeys(requests[: place + 1]))[-64:]


def test_without_duplicates_nothing_changes(traffic: list[Webhook]) -> None:
    assert add_duplicates(traffic, 0) == traffic


def test_messages_with_one_text_have_different_sids(traffic: list[Webhook]) -> None:
    messages = make_webhooks_with_text(SETUP, 5, "ticket 2", "Booked.")
    assert {form_of(webhook)["Body"] for webhook in messages} == {"ticket 2"}
    sids = {form_of(webhook)["MessageSid"] for webhook in (*messages, *traffic)}
    assert len(sids) == len(messages) + len(traffic)
    assert all(signed_by_twilio(webhook) and webhook.expected == b"Booked." for webhook in messages)
