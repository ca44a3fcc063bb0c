"""A forward: which application a text is forwarded to, its fallback, and their table in TOML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sms_router.twilio.webhook_url import Method, WebhookUrl

_STANDARD_PORTS = (80, 443)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL and the method with which it is called."""

    url: WebhookUrl
    method: Method = Method.POST


@dataclass(frozen=True, slots=True)
class Forward:
    """An upstream and its fallback; ``str()`` contains no secret of their URLs."""

    primary: Target
    fallback: Target | None = None
    timeout: float | None = None
    """Seconds for each of the two; the deadline of the message may be earlier."""
    redirect_hosts: frozenset[str] = frozenset()
    """Hosts, or ``host:port``, to which redirects are allowed beside those of the two URLs."""
    public_only: bool = False
    """True where the URLs are from Twilio's side: they may not lead into the network of the router."""
    own_url: str = ""
    """With ``public_only``: the router's public URL, below which the URLs may not lead either."""

    def allows(self, url: WebhookUrl) -> bool:
        if self.own_url and is_own(url, self.own_url):
            return False
        targets = [target.url for target in (self.primary, self.fallback) if target is not None]
        # http may redirect to https on the same host
        own = (address for target in targets for address in _with_ports(target.host, target.port))
        configured = (address for host in self.redirect_hosts for address in _addresses_of(host))
        return f"{url.host}:{url.port}" in {*own, *configured}

    def __str__(self) -> str:
        primary = f"{self.primary.url} ({self.primary.method.value})"
        if self.fallback is None:
            return primary
        return f"{primary}, on failure to {self.fallback.url} ({self.fallback.method.value})"


def is_loop(url: WebhookUrl, public_url: str) -> bool:
    """Return whether a URL is one of the router's own webhooks, so that the text would never arrive."""
    own = WebhookUrl.parse(f"{public_url}/sms")
    return (url.host, url.port) == (own.host, own.port) and url.path in (own.path, f"{own.path}/fallback")


def is_own(url: WebhookUrl, public_url: str) -> bool:
    """Return whether a URL is the router's: a webhook, a probe, the metrics or the console."""
    own = WebhookUrl.parse(f"{public_url}/")
    return (url.host, url.port) == (own.host, own.port) and url.path.startswith(own.path)


def _addresses_of(host: str) -> Iterable[str]:
    """Return each ``host:port`` of a configured host; without a port, those of the standard ports.

    Raises:
        ValueError: when the port is invalid.

    """
    parts = urlsplit(f"//{host}")
    name = (parts.hostname or "").lower()
    return _with_ports(name, 443) if parts.port is None else (f"{name}:{parts.port}",)


def _with_ports(host: str, port: int) -> Iterable[str]:
    ports = _STANDARD_PORTS if port in _STANDARD_PORTS else (port,)
    return tuple(f"{host}:{number}" for number in ports)


def _validate_url(text: str) -> str:
    WebhookUrl.parse(text)
    return text


def _validate_host(text: str) -> str:
    try:
        _addresses_of(text)
    except ValueError:
        text = ""
    if not _HOST.fullmatch(text):
        raise ValueError("must be a host like votes.example.com, with :8443 behind it for another port")
    return text.lower()


Url = Annotated[str, AfterValidator(_validate_url)]
Host = Annotated[str, AfterValidator(_validate_host)]


class ForwardModel(BaseModel):
    """``forward = { url = ... }`` of ``keywords.toml``."""

    # built when it is used: every command imports this module for the settings
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    url: Url
    method: Method = Method.POST
    fallback_url: Url | None = None
    fallback_method: Method = Method.POST
    timeout: Annotated[float, Field(ge=0.1, le=15)] | None = None
    redirect_hosts: tuple[Host, ...] = ()

    @model_validator(mode="after")
    def _check_fallback(self) -> Self:
        if self.fallback_url is None and "fallback_method" in self.model_fields_set:
            raise ValueError("has a fallback_method and no fallback_url; add it")
        return self

    def build(self) -> Forward:
        fallback = None
        if self.fallback_url is not None:
            fallback = Target(WebhookUrl.parse(self.fallback_url), self.fallback_method)
        primary = Target(WebhookUrl.parse(self.url), self.method)
        return Forward(primary, fallback, self.timeout, frozenset(self.redirect_hosts))
