"""What is wrong, or worth knowing, about a Service, and what mends it.

- **error**: texts are lost, refused or answered wrongly, now or as soon as the router is away.
- **warning**: some people will not be reached; mending it needs a number or a decision.
- **note**: how things are; nothing needs to be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit


class Severity(Enum):
    """How much a finding matters, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fix:
    """What the API would change about the Service, by the official client's names."""

    name: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    subject: str
    """The sid of the Service or account, or the setting, that it is about."""
    sentence: str
    remedy: str
    """What to do: a command to paste where there is one."""
    mendings: tuple[Fix, ...] = ()
    """Empty when only people can mend it."""


@dataclass(frozen=True, slots=True)
class ExpectedSettings:
    """What the router needs of a Service."""

    public_url: str
    """Where Twilio reaches the router, without a slash at the end."""
    reachable: bool
    """False when Twilio cannot reach that URL, so that it must not be told to."""
    sends_media: bool
    """True when a rule of this Service answers with pictures."""
    number_urls: bool = False
    """True when texts that no rule claims go to the numbers' own URLs."""

    @property
    def inbound(self) -> str:
        """The Service's inbound request URL."""
        return f"{self.public_url}/sms"

    @property
    def fallback(self) -> str:
        """The Service's fallback URL."""
        return f"{self.public_url}/sms/fallback"

    @property
    def status(self) -> str:
        """The Service's status callback."""
        return f"{self.public_url}/sms/status"


def same_place(url: str, other: str) -> bool:
    """Tell whether two URLs are answered by the same endpoint.

    Queries and fragments (connection overrides, facts 1.4) do not matter, nor does a port that
    goes without saying.
    """
    return _place(url) == _place(other)


def _place(url: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return (url,)
    return parts.scheme, parts.hostname, port, parts.path
