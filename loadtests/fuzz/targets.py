"""The targets: each parses any bytes, and raises when it fails."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import unquote_to_bytes

from defusedxml.ElementTree import fromstring
from starlette.types import Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from sms_router.config.settings import load_settings
from sms_router.errors import ConfigurationError
from sms_router.logs import escape_control_chars
from sms_router.privacy import mask_numbers
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.keywords.templates import TemplateError, Templates
from sms_router.server.http_protocol import BoundedHttpProtocol
from sms_router.twilio.form import MalformedFormError, parse_form
from sms_router.twilio.inbound import InboundMessage, InvalidWebhook, parse_inbound
from sms_router.twilio.signature import Credentials, SignatureVerifier, SignedRequest
from sms_router.twilio.status import Receipt, parse_receipt
from sms_router.twilio.twiml import OutboundMessage, render
from sms_router.twilio.twiml_parser import HttpPage, parse_response
from sms_router.twilio.webhook_url import WebhookUrl
from sms_router.web.authentication import WebhookAuthenticator
from sms_router.web.http import Rejection
from sms_router.web.rejections import RejectionLog
from tests.end_to_end.router_process import ACCOUNT, KEYWORDS_TOML, PUBLIC, TOKEN, webhook
from tests.routing.rules import load_dispatcher

FOLDER = Path(mkdtemp(prefix="sms-fuzz-"))


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, and valid inputs."""

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def form(data: bytes) -> None:
    """Parse a form; the result is that of the standard library, or an error."""
    with suppress(MalformedFormError):
        for (name, value), raw in zip(parse_form(data), [f for f in data.split(b"&") if f], strict=True):
            expected = raw.replace(b"+", b" ").partition(b"=")
            assert name.encode() == unquote_to_bytes(expected[0])
            assert value.encode() == unquote_to_bytes(expected[2])


_AUTHENTICATOR = WebhookAuthenticator(
    SignatureVerifier(PUBLIC, {ACCOUNT: Credentials(ACCOUNT, (TOKEN,))}),
    RejectionLog(lambda: 0.0),
    enforce=True,
)


def gate(data: bytes) -> None:
    """Authenticate a request of any path, query, headers and body; it is refused, since it is not signed."""
    head, _, body = data.partition(b"\n\n")
    target, *lines = head.split(b"\n")
    path, _, query = target.partition(b"?")
    headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    scope = {"method": "POST" if body else "GET", "path": "/sms", "raw_path": path, "query_string": query}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    result = asyncio.run(_AUTHENTICATOR.authenticate({**scope, "headers": headers}, receive))
    assert isinstance(result, Rejection)


def message(data: bytes) -> None:
    """Parse the parameters as a message and as a status callback, and find the rule."""
    with suppress(MalformedFormError):
        parameters = {**webhook(), **dict(parse_form(data))}
        assert isinstance(parse_receipt(parameters, data.decode("latin-1")), Receipt | InvalidWebhook)
        inbound = parse_inbound(parameters)
        if isinstance(inbound, InboundMessage):
            assert inbound.segments > 0
            assert len(inbound.media) <= 10
            assert _DISPATCHER.resolve(inbound).rule


def _dispatcher() -> Dispatcher:
    more = '[[keyword]]\nwords = ["^(a+)+ (?P<n>[0-9]*)$"]\nmatch = "pattern"\nreply = "ok"\n'
    (FOLDER / "keywords.toml").write_text(more + KEYWORDS_TOML)
    return load_dispatcher(FOLDER, (), HandlerThreadPool(1))


_DISPATCHER = _dispatcher()


def twiml(data: bytes) -> None:
    """Parse the response of an upstream: its Content-Type, charset and body."""
    first, _, body = data.partition(b"\n")
    media_type, _, charset = first.decode("latin-1").partition(" ")
    parse_response(HttpPage(200, media_type, charset or None, body[:65_536]))


def answer(data: bytes) -> None:
    """Render any text as TwiML, and parse the result."""
    text = data.decode("utf-8", "surrogatepass") if _is_utf8(data) else data.decode("latin-1")
    written = render([OutboundMessage(text, (text[:50],), text[:20], text[:20], text[:20])])
    assert len(written) <= 64_000
    fromstring(written)
    assert "\x1b" not in escape_control_chars(text)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def url(data: bytes) -> None:
    """Parse a URL, and resolve a second one against it."""
    first, _, second = data.decode("utf-8", "replace").partition("\n")
    with suppress(ValueError):
        WebhookUrl.parse(first).join(second).called.encode("ascii")


def signature(data: bytes) -> None:
    """Verify any signature of any request: no exception, and never valid."""
    parts = data.split(b"\n")
    texts: list[Any] = [part.decode("latin-1") for part in parts]
    pairs = list(zip(texts[3::2], texts[4::2], strict=False))
    path, query = (*parts, b"", b"")[:2]
    request = SignedRequest(path, query, pairs, texts[2] if len(texts) > 2 else None, settings=texts[0])
    assert not _AUTHENTICATOR._verifier.verify(request, ACCOUNT).is_valid


def keywords(data: bytes) -> None:
    """Load keywords.toml; errors are reported."""
    (FOLDER / "fuzzed").mkdir(exist_ok=True)
    (FOLDER / "fuzzed" / "keywords.toml").write_bytes(data)
    with suppress(ConfigurationError):
        load_dispatcher(FOLDER / "fuzzed", (), HandlerThreadPool(1))


def settings(data: bytes) -> None:
    """Load router.toml; errors are reported."""
    (FOLDER / "settings").mkdir(exist_ok=True)
    (FOLDER / "settings" / "router.toml").write_bytes(data)
    with suppress(ConfigurationError):
        load_settings({"SMS_ROUTER_CONFIG": str(FOLDER / "settings"), "TWILIO_ACCOUNT_SID": ACCOUNT})


class _Client(asyncio.Transport):
    """A connection whose client reads nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Accept any limits."""

    def write(self, data: object) -> None:
        """Drop what is written."""

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        self._is_closed = True

    abort = close
    _is_closed = False

    def pause_reading(self) -> None:
        """Do nothing: the data are sent all the same."""

    resume_reading = pause_reading


async def _wait(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    await asyncio.Event().wait()


_UVICORN = Config(_wait, http=BoundedHttpProtocol, lifespan="off", log_config=None, limit_concurrency=4096)
_UVICORN.load()


def connection(data: bytes) -> None:
    """Send any bytes, in parts, on a connection whose requests take long: what it holds is bounded."""

    async def send() -> None:
        protocol, client = BoundedHttpProtocol(_UVICORN, ServerState(), {}), _Client()
        protocol.connection_made(client)
        part = 1 + data[:1].count(b"\n") * 7 + len(data) // 8
        for start in range(0, len(data), part):
            if not client.is_closing():
                protocol.data_received(data[start : start + part])
        assert len(protocol.pipeline) <= 4
        assert len(protocol.headers or ()) <= 129
        protocol.connection_lost(None)
        for task in protocol.tasks:
            task.cancel()

    asyncio.run(send())


def template(data: bytes) -> None:
    """Compile a template and render it for a text: its output, steps and time are bounded."""
    source, _, text = data.decode("utf-8", "replace").partition("\0")
    with suppress(TemplateError):
        inbound = InboundMessage("SM0", "AC0", None, "+14155550123", "12345", text, {})
        reply = Templates(FOLDER / "none").of_text(source, "fuzzed").reply(inbound, text, "K")
        assert sum(map(len, reply.texts)) <= 40_000


def masking(data: bytes) -> None:
    """Mask the numbers of any text: none that has ten digits and a plus is left."""
    masked = mask_numbers(data.decode("utf-8", "replace"))
    assert not re.search(r"\+\d{10,15}(?!\d)", masked)


logging.disable(logging.CRITICAL)

_FORM = b"MessageSid=SM" + b"0" * 32 + b"&From=%2B14155550123&To=12345&Body=HOURS+%F0%9F%8E%88%0A&NumMedia=1"
_CONFIG = Path(__file__).resolve().parents[2] / "config"

TARGETS: Mapping[str, Target] = {
    "form": Target(form, (_FORM, b"a=%&b=%zz&c=%%41%4")),
    "gate": Target(
        gate,
        (
            b"/sms?a=b\nContent-Type: application/x-www-form-urlencoded\nX-Twilio-Signature: "
            + b"x" * 28 + b"\n\n" + _FORM + b"&AccountSid=" + ACCOUNT.encode(),
        ),
    ),
    "message": Target(message, (_FORM, b"Body=aaa+7&FromCountry=US", b"ErrorCode=30003&MessageStatus=sent")),
    "twiml": Target(
        twiml,
        (
            b"text/xml utf-8\n<?xml version='1.0'?><Response><Message to='a'>b</Message></Response>",
            b"text/plain idna\nok",
            b"text/xml \n<!DOCTYPE a [<!ENTITY b 'c'>]><Response><Redirect>x</Redirect></Response>",
        ),
    ),
    "connection": Target(
        connection,
        (
            b"GET / HTTP/1.1\r\n\r\n" * 9,
            b"POST /sms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n",
            b"POST /sms HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nGET /",
        ),
    ),
    "template": Target(
        template,
        (
            b"{{ 'x' * (argument | int) }}\x001500000000",
            b"{% for a in range(9**9) %}{% for b in words %}{{ a ~ b }}{% endfor %}{% endfor %}\0a b",
            b"{{ message.body.__class__ }}{{ '%9999999999d' | format(1) }}\0x",
        ),
    ),
    "masking": Target(masking, (b"(415) 555-7788, +1.415.555.7788", "٤١٥\u200b555-7788 00 44".encode())),
    "answer": Target(answer, ("é🎈\u202e\x1b & <Body>".encode(), b"a " * 2000)),
    "url": Target(url, (b"https://a:b@example.com:8443/x?y=z#rc=2\n//other/../%2e", b"http://[::1]:1/\nhttp:")),
    "signature": Target(signature, (b"/sms\na=b\nabc\nBody\nx",)),
    "keywords": Target(keywords, ((_CONFIG / "keywords.toml").read_bytes(), b"a=" + b"[" * 50)),
    "settings": Target(settings, ((_CONFIG / "router.toml").read_bytes(), b"a=" + b"9" * 400)),
}  # fmt: skip
