"""URLs of webhooks, as Twilio calls and signs them (facts 1.1, 1.5, 2.2)."""

from __future__ import annotations

import re
import string
from base64 import b64encode
from dataclasses import dataclass, field, replace
from enum import Enum
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

MAX_URL_LENGTH = 4000
"""Characters; servers refuse longer URLs."""

_STANDARD_PORTS = {"http": 80, "https": 443}
_BRACKETS = re.compile(r"(?:\[[^][]*:[^][]*\]|[^][]*)(?::[0-9]*)?")
"""A host and its port: brackets, if any, are around the whole of an IPv6 address."""
_WRONG_AUTHORITY = "has a wrong port, or brackets without an address"
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class Method(Enum):
    """The HTTP method of a webhook; the values are Twilio's."""

    GET = "GET"
    POST = "POST"


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL that can be called. ``str()`` and ``repr()`` contain no query and no credentials."""

    called: str = field(repr=False)
    """The URL that is requested and signed: with its port, without user name, password and fragment."""
    origin: str
    """Scheme, host and port, such as ``https://votes.example.com``."""
    host: str
    """In lower case; an IPv6 address without brackets."""
    port: int
    path: str
    credentials: str | None = field(default=None, repr=False)
    """The value of an ``Authorization`` header, which is sent when the server asks for it."""

    @classmethod
    def parse(cls, text: str) -> WebhookUrl:
        """Parse a URL.

        Raises:
            ValueError: with the remedy. The text does not repeat the URL, which may contain a password.

        """
        if not text.isprintable() or " " in text or len(text) > MAX_URL_LENGTH:
            raise ValueError(f"must have no blanks (write %20) and at most {MAX_URL_LENGTH} characters")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ValueError(_WRONG_AUTHORITY) from error
        # Only some patch releases of Python refuse these; the others take a[::1] for ::1.
        if not _BRACKETS.fullmatch(parts.netloc.rpartition("@")[2]):
            raise ValueError(_WRONG_AUTHORITY)
        if parts.scheme not in _STANDARD_PORTS or not parts.netloc:
            raise ValueError(
                "must begin with https:// or http:// and a host, like https://votes.example.com/sms"
            )
        host = (parts.hostname or "").lower()
        if not _HOST.fullmatch(host) or port == 0:
            raise ValueError("has no host that can be called; write an international one as xn--...")
        bracketed = f"[{host}]" if ":" in host else host
        path = quote(parts.path or "/", safe=string.punctuation)
        query = quote(parts.query, safe=string.punctuation)
        netloc = bracketed if port is None else f"{bracketed}:{port}"
        return cls(
            called=urlunsplit((parts.scheme, netloc, path, query, "")),
            origin=f"{parts.scheme}://{netloc}".removesuffix(f":{_STANDARD_PORTS[parts.scheme]}"),
            host=host,
            port=port or _STANDARD_PORTS[parts.scheme],
            path=path,
            credentials=_basic(parts),
        )

    def join(self, reference: str) -> WebhookUrl:
        """Return the URL of a link of this page; on the same origin it has the same credentials.

        Raises:
            ValueError: when the URL is invalid.

        """
        url = WebhookUrl.parse(urljoin(self.called, reference))
        if url.credentials is None and url.origin == self.origin:
            return replace(url, credentials=self.credentials)
        return url

    def with_query(self, form: str) -> str:
        """Return the URL of a GET with the parameters of ``form`` appended to its query."""
        if not form:
            return self.called
        return f"{self.called}{'&' if '?' in self.called else '?'}{form}"

    def __str__(self) -> str:
        """Return host and path: ``votes.example.com/sms``."""
        return f"{self.origin.partition('://')[2]}{self.path}"


def _basic(parts: SplitResult) -> str | None:
    if not parts.username:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class NumberUrls:
    """The URLs of a number or short code (facts 3), which Twilio does not use while it is in a Service."""

    friendly_name: str = ""
    sms_url: str | None = None
    sms_method: str = "POST"
    sms_fallback_url: str | None = None
    sms_fallback_method: str = "POST"
    sms_application_sid: str | None = None
    """When it is set, Twilio calls the application's URLs instead of the number's."""
