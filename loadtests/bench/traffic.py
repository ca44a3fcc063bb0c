"""The messages, signed and serialized before anything is measured."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES
from loadtests.bench.setup import ACCOUNT_SID, AUTH_TOKEN, SERVICE_SID, SHORT_CODE, BenchSetup

CONTACTS = 200_000
"""Contacts; few of them send a second message within a run."""

SEED = 12345
"""The same messages in every run."""

RECENT = 64
"""Duplicates are taken from so many of the last messages."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One serialized request, and the text that its answer must contain."""

    wire: bytes
    expected: bytes


@dataclass(frozen=True, slots=True)
class City:
    """Where a number is from, as Twilio's parameters name it."""

    area_code: str
    name: str
    state: str
    postcode: str


CITIES = (
    City("206", "SEATTLE", "WA", "98101"),
    City("212", "NEW YORK", "NY", "10001"),
    City("312", "CHICAGO", "IL", "60601"),
    City("415", "SAN FRANCISCO", "CA", "94103"),
    City("512", "AUSTIN", "TX", "78701"),
    City("617", "BOSTON", "MA", "02108"),
    City("702", "LAS VEGAS", "NV", "89101"),
    City("801", "SALT LAKE CITY", "UT", "84101"),
)

TEXTS = (
    *(("HOURS", "HOURS"),) * 8,
    *(("hours", "HOURS"),) * 4,
    *(("Hours tomorrow please", "HOURS"),) * 2,
    *(("MENU", "MENU"),) * 5,
    *(("Menu for two & a child?", "MENU"),) * 2,
    *(("VOTE 7", "VOTE"),) * 4,
    *(("Open", "OPEN"),) * 2,
    *(("BALANCE", "BALANCE"),) * 3,
    *(("where are you", "WHERE"),) * 2,
    *(("JOBS", "JOBS"),) * 2,
    *(("wifi", "WIFI"),) * 2,
    *(("Good morning, is anybody there?", None),) * 2,
    *(("Thanks, it was très bon 👍", None),) * 2,
)
"""The texts, each as often as it stands here, with their keywords (None: the default)."""


def make_webhooks(setup: BenchSetup, count: int) -> list[Webhook]:
    """Return ``count`` signed requests of different messages."""
    return list(islice(iterate_webhooks(setup), count))


def iterate_webhooks(setup: BenchSetup) -> Iterator[Webhook]:
    """Yield signed requests without end; each is made when it is requested."""
    sign = RequestValidator(AUTH_TOKEN).compute_signature
    for form, reply in _messages(random.Random(SEED)):
        yield _webhook(setup, sign(setup.sms_url, form), form, reply)


def add_duplicates(signed: Sequence[Webhook], share: float) -> list[Webhook]:
    """Return as many requests, a share of which repeat a recent one.

    Some duplicates arrive before the first request is answered, most after it.
    """
    rng = random.Random(SEED)
    unsent = iter(signed)
    recent: deque[Webhook] = deque(maxlen=RECENT)
    requests = []
    for _ in signed:
        if recent and rng.random() < share:
            requests.append(rng.choice(recent))
        else:
            recent.append(next(unsent))
            requests.append(recent[-1])
    return requests


def make_webhooks_with_text(setup: BenchSetup, count: int, body: str, reply: str) -> list[Webhook]:
    """Return signed requests with one text and different sids."""
    sign = RequestValidator(AUTH_TOKEN).compute_signature
    forms = [form | {"Body": body} for form, _ in islice(_messages(random.Random(SEED + 2)), count)]
    return [_webhook(setup, sign(setup.sms_url, form), form, reply) for form in forms]


def without_expected_text(signed: Iterable[Webhook]) -> list[Webhook]:
    """Return the same requests for a stack without keywords: any TwiML is right."""
    return [replace(webhook, expected=b"") for webhook in signed]


def make_forgery(setup: BenchSetup) -> Webhook:
    """Return a message with a wrong signature."""
    form, reply = next(_messages(random.Random(SEED + 1)))
    signature = RequestValidator("another token").compute_signature(setup.sms_url, form)
    return _webhook(setup, signature, form, reply)


def _messages(rng: random.Random) -> Iterator[tuple[dict[str, str], str]]:
    while True:
        city = rng.choice(CITIES)
        contact = rng.randrange(CONTACTS)
        body, keyword = rng.choice(TEXTS)
        reply = DEFAULT_REPLY if keyword is None else REPLIES[keyword].format(city=city.name)
        yield (
            _form(f"SM{rng.getrandbits(128):032x}", f"+1{city.area_code}{2000000 + contact}", city, body),
            reply,
        )


def _form(sid: str, sender: str, city: City, body: str) -> dict[str, str]:
    """Return the 20 parameters that each message has, and 5 that some have (facts 1.2)."""
    return {
        "ToCountry": "US",
        "ToState": "",
        "SmsMessageSid": sid,
        "NumMedia": "0",
        "ToCity": "",
        "FromZip": city.postcode,
        "SmsSid": sid,
        "FromState": city.state,
        "SmsStatus": "received",
        "FromCity": city.name,
        "Body": body,
        "FromCountry": "US",
        "To": SHORT_CODE,
        "MessagingServiceSid": SERVICE_SID,
        "ToZip": "",
        "NumSegments": "1",
        "MessageSid": sid,
        "AccountSid": ACCOUNT_SID,
        "From": sender,
        "ApiVersion": "2010-04-01",
        "MessageType": "text",
        "ReferralNumMedia": "0",
        "Forwarded": "false",
        "FrequentlyForwarded": "false",
        "AddOns": json.dumps({"status": "successful", "message": None, "code": None, "results": {}}),
    }


def _webhook(setup: BenchSetup, signature: str, form: dict[str, str], reply: str) -> Webhook:
    body = urlencode(form).encode()
    head = (
        "POST /sms HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{setup.port}\r\n"
        "User-Agent: TwilioProxy/1.1\r\n"
        "Accept: */*\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"I-Twilio-Idempotency-Token: {form['MessageSid'][2:]}\r\n"
        f"X-Twilio-Signature: {signature}\r\n"
        "X-Home-Region: us1\r\n"
        "\r\n"
    )
    return Webhook(head.encode() + body, reply.encode())
