"""Where a text is forwarded to, and what happens when that fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sms_router.twilio.webhook_url import Method, WebhookUrl

_STANDARD_PORTS = (80, 443)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL to call, and how."""

    url: WebhookUrl
    method: Method = Method.POST


@dataclass(frozen=True, slots=True)
class Forward:
    """An upstream and its fallback; ``str()`` names them without what may be secret."""

    primary: Target
    fallback: Target | None = None
    timeout: float | None = None
    """Seconds that each of the two may take, if the message's deadline leaves as much."""
    redirect_hosts: frozenset[str] = frozenset()
    """Hosts, or ``host:port``, that may be redirected to beside the two's own."""

    def allows(self, url: WebhookUrl) -> bool:
        """Tell whether the upstream may redirect there (design 12)."""
        return f"{url.host}:{url.port}" in _places(self)

    def __str__(self) -> str:
        """Name the upstream and its fallback."""
        told = f"{self.primary.url} ({self.primary.method.value})"
        if self.fallback is None:
            return told
        return f"{told}, on failure to {self.fallback.url} ({self.fallback.method.value})"


def is_loop(url: WebhookUrl, public_url: str) -> bool:
    """Tell whether a URL is the router's own, so that a text would be forwarded in a circle."""
    own = WebhookUrl.parse(f"{public_url}/sms")
    return (url.host, url.port) == (own.host, own.port) and url.path in (own.path, f"{own.path}/fallback")


def _places(forward: Forward) -> frozenset[str]:
    """Return host and port of everywhere that is allowed; http may lead to https on the same host."""
    targets = (forward.primary, *((forward.fallback,) if forward.fallback else ()))
    return frozenset(
        [
            *(place for target in targets for place in _ports(target.url.host, target.url.port)),
            *(place for host in forward.redirect_hosts for place in origins_of(host)),
        ]
    )


def origins_of(host: str) -> Iterable[str]:
    """Return the places that a configured host stands for; without a port, the standard ones."""
    parts = urlsplit(f"//{host}")
    name = (parts.hostname or "").lower()
    return _ports(name, 443) if parts.port is None else (f"{name}:{parts.port}",)


def _ports(host: str, port: int) -> Iterable[str]:
    ports = _STANDARD_PORTS if port in _STANDARD_PORTS else (port,)
    return tuple(f"{host}:{each}" for each in ports)
