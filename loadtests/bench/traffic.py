"""The messages: what Twilio would send, signed and on the wire before the clock starts."""

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
from loadtests.bench.site import ACCOUNT_SID, AUTH_TOKEN, SERVICE_SID, SHORT_CODE, Site

PEOPLE = 200_000
"""How many phones text; one that texts again within a run is rare, as it is in life."""

SEED = 12345
"""The same messages in every run."""

LATEST = 64
"""From so many of the latest messages those are taken that come once more."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request, ready for the wire, and the text that its answer must contain."""

    wire: bytes
    expected: bytes


@dataclass(frozen=True, slots=True)
class City:
    """Where a number is from, as Twilio writes it."""

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
"""What people text, as often as it stands here, and the keyword it is (none: the default)."""


def webhooks(site: Site, count: int) -> list[Webhook]:
    """Return ``count`` signed requests, each a message of its own."""
    return list(islice(endless(site), count))


def endless(site: Site) -> Iterator[Webhook]:
    """Yield signed requests as long as somebody asks, made at that moment."""
    sign = RequestValidator(AUTH_TOKEN).compute_signature
    for form, reply in _messages(random.Random(SEED)):
        yield _webhook(site, sign(site.sms_url, form), form, reply)


def with_duplicates(signed: Sequence[Webhook], share: float) -> list[Webhook]:
    """Return as many requests, of which a share are one of the latest once more, as it was.

    Some of these come while the first is still in work, most after it has been answered.
    """
    dice = random.Random(SEED)
    fresh = iter(signed)
    latest: deque[Webhook] = deque(maxlen=LATEST)
    requests = []
    for _ in signed:
        if latest and dice.random() < share:
            requests.append(dice.choice(latest))
        else:
            latest.append(next(fresh))
            requests.append(latest[-1])
    return requests


def texts(site: Site, count: int, body: str, reply: str) -> list[Webhook]:
    """Return signed requests that all say the same; none has the sid of one of the others."""
    sign = RequestValidator(AUTH_TOKEN).compute_signature
    forms = [form | {"Body": body} for form, _ in islice(_messages(random.Random(SEED + 2)), count)]
    return [_webhook(site, sign(site.sms_url, form), form, reply) for form in forms]


def without_reply(signed: Iterable[Webhook]) -> list[Webhook]:
    """Return the same requests for a contestant that answers nothing: any TwiML is right."""
    return [replace(webhook, expected=b"") for webhook in signed]


def forgery(site: Site) -> Webhook:
    """Return a message that somebody else signed; nobody may answer it."""
    form, reply = next(_messages(random.Random(SEED + 1)))
    signature = RequestValidator("another token").compute_signature(site.sms_url, form)
    return _webhook(site, signature, form, reply)


def _messages(dice: random.Random) -> Iterator[tuple[dict[str, str], str]]:
    while True:
        city = dice.choice(CITIES)
        person = dice.randrange(PEOPLE)
        body, keyword = dice.choice(TEXTS)
        reply = DEFAULT_REPLY if keyword is None else REPLIES[keyword].format(city=city.name)
        yield (
            _form(f"SM{dice.getrandbits(128):032x}", f"+1{city.area_code}{2000000 + person}", city, body),
            reply,
        )


def _form(sid: str, sender: str, city: City, body: str) -> dict[str, str]:
    """Twenty parameters that every text of a Service has, and five that some have (facts 1.2)."""
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


def _webhook(site: Site, signature: str, form: dict[str, str], reply: str) -> Webhook:
    body = urlencode(form).encode()
    head = (
        "POST /sms HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{site.port}\r\n"
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
