"""The URL of an application that answers Twilio's webhooks, as Twilio calls it (facts 1.1, 1.5, 2.2)."""

from __future__ import annotations

import re
import string
from base64 import b64encode
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

LONGEST_URL = 4000
"""Characters; servers refuse longer ones."""

_STANDARD_PORTS = {"http": 80, "https": 443}
_BRACKETS = re.compile(r"(?:\[[^][]*:[^][]*\]|[^][]*)(?::[0-9]*)?")
"""A host and its port: brackets, if any, are around the whole of an IPv6 address."""
_WRONG_AUTHORITY = "has a wrong port, or brackets without an address"
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


class Method(Enum):
    """How a webhook is called; the values are Twilio's."""

    GET = "GET"
    POST = "POST"


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL that can be called. What may be a secret is in no text that is made of it."""

    called: str = field(repr=False)
    """What is called and signed: without user name, password and fragment, the port kept."""
    origin: str
    """Scheme, host and port, such as ``https://votes.example.com``."""
    host: str
    """The host alone, in lower case; IPv6 without brackets."""
    port: int
    path: str
    credentials: str | None = field(default=None, repr=False)
    """What an ``Authorization`` header says when the server asks for one."""

    @classmethod
    def parse(cls, text: str) -> WebhookUrl:
        """Read a URL.

        Raises:
            ValueError: a sentence that says what to change; it never repeats the URL, which may
                hold a password.

        """
        if not text.isprintable() or " " in text or len(text) > LONGEST_URL:
            raise ValueError(f"must have no blanks (write %20) and at most {LONGEST_URL} characters")
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
        return cls._of(parts, host, port)

    @classmethod
    def _of(cls, parts: SplitResult, host: str, port: int | None) -> WebhookUrl:
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
        """Return what a link of this page leads to; credentials go along on the same origin only.

        Raises:
            ValueError: when that cannot be called.

        """
        found = WebhookUrl.parse(urljoin(self.called, reference))
        if found.credentials is None and found.origin == self.origin:
            return WebhookUrl(
                found.called, found.origin, found.host, found.port, found.path, self.credentials
            )
        return found

    def with_query(self, form: str) -> str:
        """Return the URL of a GET whose parameters are ``form``, behind those it has already."""
        if not form:
            return self.called
        return f"{self.called}{'&' if '?' in self.called else '?'}{form}"

    def __str__(self) -> str:
        """Return host and path, for people: ``votes.example.com/sms``."""
        return f"{self.origin.partition('://')[2]}{self.path}"


def _basic(parts: SplitResult) -> str | None:
    if not parts.username:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
