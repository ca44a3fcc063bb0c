"""A finding of `sms-router check`, with its severity and its remedy.

- **error**: messages are lost, refused or answered wrongly, now or as soon as the router is down.
- **warning**: some contacts are not reached; the remedy needs a number or a decision.
- **note**: information; nothing has to be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit


class Severity(Enum):
    """The severity of a finding, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fix:
    """A change of the Service, or of a number, that the API can make."""

    name: str
    """The setting, as in Twilio's client."""
    before: object
    after: object
    number_sid: str = ""
    """The sid of the number or short code that has the setting; empty for the Service."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding."""

    severity: Severity
    subject: str
    """The sid of the Service or account, or the name of the setting."""
    sentence: str
    remedy: str
    """What to do; a command where there is one."""
    fixes: tuple[Fix, ...] = ()
    """Empty when the API cannot fix it."""


@dataclass(frozen=True, slots=True)
class ExpectedSettings:
    """The settings of a Service that the router needs."""

    public_url: str
    """Where Twilio reaches the router, without a trailing slash."""
    is_reachable: bool
    """False when Twilio cannot reach that URL, so that it must not be configured."""
    sends_media: bool
    """True when a rule of this Service replies with media."""
    number_urls: bool = False
    """True when messages that match no rule go to the numbers' own URLs."""

    @property
    def inbound(self) -> str:
        return f"{self.public_url}/sms"

    @property
    def fallback(self) -> str:
        return f"{self.public_url}/sms/fallback"

    @property
    def status(self) -> str:
        return f"{self.public_url}/sms/status"


def is_same_endpoint(url: str, other: str) -> bool:
    """Return whether two URLs lead to the same endpoint.

    Queries, fragments (Twilio's connection overrides) and default ports do not matter.
    """
    return _endpoint(url) == _endpoint(other)


def is_same_host(url: str, other: str) -> bool:
    host = _host(url)
    return host is not None and host == _host(other)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _endpoint(url: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return (url,)
    return parts.scheme, parts.hostname, port, parts.path
