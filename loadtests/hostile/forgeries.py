"""Forged requests, and signed ones to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import urlencode
from uuid import uuid4

from loadtests.bench.setup import ACCOUNT_SID, AUTH_TOKEN, SERVICE_SID, SHORT_CODE, BenchSetup
from loadtests.bench.traffic import Webhook
from sms_router.twilio.signature import sign
from tests.end_to_end.router_process import webhook

WRONG_SIGNATURE = "x" * 27 + "="
"""It has the length of a signature, so that the right one is computed."""

MAX_BODY = 65_000
"""Bytes; the router reads up to 64 KB."""


def request(setup: BenchSetup, form: bytes, signature: str | None, path: str = "/sms") -> bytes:
    """Return the bytes of a POST."""
    header = f"X-Twilio-Signature: {signature}\r\n" if signature is not None else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{setup.port}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n{header}\r\n"
    )
    return head.encode() + form


def message(body: str, **changed: str) -> dict[str, str]:
    """Return the parameters of a message to the Service."""
    service = {"AccountSid": ACCOUNT_SID, "MessagingServiceSid": SERVICE_SID, "To": SHORT_CODE}
    return webhook(body, **{**service, **changed})


def sign_messages(setup: BenchSetup) -> Iterator[Webhook]:
    """Yield signed messages without end, each of another contact, with another text and city."""
    for number in count():
        form = message(
            f"word{number} {uuid4().hex}", From=f"+1{2_000_000_000 + number}", FromCity=f"C{number}"
        )
        signature = sign(setup.sms_url, list(form.items()), AUTH_TOKEN)
        yield Webhook(request(setup, urlencode(form).encode(), signature), b"<Message")


def _form(**changed: str) -> bytes:
    return urlencode(message("HOURS", **changed)).encode()


def _form_of_900_fields() -> bytes:
    return b"&".join([_form(), *(b"p%d=%s" % (number, b"v" * 55) for number in range(900))])[:MAX_BODY]


FORGERIES: dict[str, Callable[[BenchSetup], bytes]] = {
    "no signature": lambda setup: request(setup, _form(), None),
    "wrong signature": lambda setup: request(setup, _form(), WRONG_SIGNATURE),
    "unknown account": lambda setup: request(setup, _form(AccountSid=f"AC{uuid4().hex}"), WRONG_SIGNATURE),
    "status callback": lambda setup: request(
        setup, _form(MessageStatus="sent"), WRONG_SIGNATURE, "/sms/status"
    ),
    "64 kB, plain": lambda setup: request(setup, _form(Body="a" * (MAX_BODY - 700)), WRONG_SIGNATURE),
    "64 kB, escaped": lambda setup: request(setup, _form(Body="\x01" * 21_000), WRONG_SIGNATURE),
    "64 kB, 900 fields": lambda setup: request(setup, _form_of_900_fields(), WRONG_SIGNATURE),
}
