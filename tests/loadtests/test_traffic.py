import tomllib
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES
from loadtests.bench.router_config import write_router_config
from loadtests.bench.site import AUTH_TOKEN, Site
from loadtests.bench.traffic import LATEST, Webhook, forgery, texts, webhooks, with_duplicates, without_reply
from sms_router.twilio.inbound import InboundMessage, read_inbound

SITE = Site(8000, Path())


def form_of(webhook: Webhook) -> dict[str, str]:
    body = webhook.wire.partition(b"\r\n\r\n")[2].decode()
    return dict(parse_qsl(body, keep_blank_values=True))


def signed_by_twilio(webhook: Webhook) -> bool:
    head = webhook.wire.partition(b"\r\n\r\n")[0].decode()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    validator = RequestValidator(AUTH_TOKEN)
    return bool(validator.validate(SITE.sms_url, form_of(webhook), headers["X-Twilio-Signature"]))


@pytest.fixture(scope="module")
def traffic() -> list[Webhook]:
    return webhooks(SITE, 300)


def test_every_request_is_a_message_of_its_own_with_25_parameters(traffic: list[Webhook]) -> None:
    forms = [form_of(webhook) for webhook in traffic]
    assert {len(form) for form in forms} == {25}
    assert len({form["MessageSid"] for form in forms}) == len(forms)
    assert all(isinstance(read_inbound(form), InboundMessage) for form in forms)


def test_every_request_is_signed_and_a_forgery_is_not(traffic: list[Webhook]) -> None:
    assert all(signed_by_twilio(webhook) for webhook in traffic)
    assert not signed_by_twilio(forgery(SITE))


def test_the_length_on_the_wire_is_the_length_of_the_body(traffic: list[Webhook]) -> None:
    for webhook in traffic:
        head, _, body = webhook.wire.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}\r\n".encode() in head


def test_the_same_messages_come_in_every_run(traffic: list[Webhook]) -> None:
    assert webhooks(SITE, 300) == traffic


def test_texts_without_a_keyword_expect_the_default(traffic: list[Webhook]) -> None:
    for webhook in traffic:
        first_word = form_of(webhook)["Body"].split()[0].upper()
        reply = REPLIES.get(first_word, DEFAULT_REPLY).format(city=form_of(webhook)["FromCity"])
        assert webhook.expected == reply.encode()
    assert any(webhook.expected == DEFAULT_REPLY.encode() for webhook in traffic)


def test_a_contestant_that_does_not_reply_owes_no_text(traffic: list[Webhook]) -> None:
    assert {webhook.expected for webhook in without_reply(traffic)} == {b""}


def test_the_router_gets_the_same_keywords(tmp_path: Path) -> None:
    folder = write_router_config(Site(8000, tmp_path))
    keywords = tomllib.loads((folder / "keywords.toml").read_text())
    replies = {rule["words"][0]: rule["reply"] for rule in keywords["keyword"]}
    assert replies.keys() == REPLIES.keys()
    assert replies["HOURS"] == "We are open 9 to 5, {{ message.from_city }}."
    assert keywords["default"]["reply"] == DEFAULT_REPLY
    router = tomllib.loads((folder / "router.toml").read_text())["router"]
    assert router["signature"] == "enforce"
    assert router["public_url"] == "http://127.0.0.1:8000"


def test_a_share_of_the_requests_are_recent_ones_once_more(traffic: list[Webhook]) -> None:
    requests = with_duplicates(traffic, 0.5)
    assert len(requests) == len(traffic)
    fresh = list(dict.fromkeys(requests))
    assert fresh == traffic[: len(fresh)]
    assert 0.4 < 1 - len(fresh) / len(requests) < 0.6
    for place, request in enumerate(requests):
        assert request in list(dict.fromkeys(requests[: place + 1]))[-LATEST:]


def test_without_duplicates_everything_is_as_it_was(traffic: list[Webhook]) -> None:
    assert with_duplicates(traffic, 0) == traffic


def test_texts_that_say_the_same_are_messages_of_their_own(traffic: list[Webhook]) -> None:
    said = texts(SITE, 5, "ticket 2", "Booked.")
    assert {form_of(webhook)["Body"] for webhook in said} == {"ticket 2"}
    sids = {form_of(webhook)["MessageSid"] for webhook in (*said, *traffic)}
    assert len(sids) == len(said) + len(traffic)
    assert all(signed_by_twilio(webhook) and webhook.expected == b"Booked." for webhook in said)
