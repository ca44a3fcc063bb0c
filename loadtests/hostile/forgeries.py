"""Requests that nobody at Twilio has signed, as strangers write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlencode
from uuid import uuid4

from loadtests.bench.site import ACCOUNT_SID, AUTH_TOKEN, SERVICE_SID, SHORT_CODE, Site
from loadtests.bench.traffic import Webhook
from sms_router.twilio.signature import sign
from tests.end_to_end.running import webhook

GUESSED = "x" * 27 + "="
"""As long as a signature, so that it has to be computed."""

LARGEST = 65_000
"""Bytes of a body that is still read."""


def request(site: Site, form: bytes, signature: str | None, path: str = "/sms") -> bytes:
    """Return a POST as it goes over the wire."""
    signed = f"X-Twilio-Signature: {signature}\r\n" if signature is not None else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n{signed}\r\n"
    )
    return head.encode() + form


def message(body: str, **changed: str) -> dict[str, str]:
    """Return a text to the bench's Service."""
    ours = {"AccountSid": ACCOUNT_SID, "MessagingServiceSid": SERVICE_SID, "To": SHORT_CODE}
    return webhook(body, **{**ours, **changed})


def genuine(site: Site, people: range) -> Iterator[Webhook]:
    """Yield a signed text of each person; no two have a word, a city or anything else in common."""
    for number in people:
        form = message(
            f"word{number} {uuid4().hex}", From=f"+1{2_000_000_000 + number}", FromCity=f"C{number}"
        )
        signature = sign(site.sms_url, list(form.items()), AUTH_TOKEN)
        yield Webhook(request(site, urlencode(form).encode(), signature), b"<Message")


def _usual(**changed: str) -> bytes:
    return urlencode(message("HOURS", **changed)).encode()


def _many() -> bytes:
    return b"&".join([_usual(), *(b"p%d=%s" % (number, b"v" * 55) for number in range(900))])[:LARGEST]


KINDS: dict[str, Callable[[Site], bytes]] = {
    "no signature": lambda site: request(site, _usual(), None),
    "wrong signature": lambda site: request(site, _usual(), GUESSED),
    "unknown account": lambda site: request(site, _usual(AccountSid=f"AC{uuid4().hex}"), GUESSED),
    "status callback": lambda site: request(site, _usual(MessageStatus="sent"), GUESSED, "/sms/status"),
    "64 kB, plain": lambda site: request(site, _usual(Body="a" * (LARGEST - 700)), GUESSED),
    "64 kB, escaped": lambda site: request(site, _usual(Body="\x01" * 21_000), GUESSED),
    "64 kB, 900 fields": lambda site: request(site, _many(), GUESSED),
}
