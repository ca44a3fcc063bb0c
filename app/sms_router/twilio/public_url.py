"""``PUBLIC_URL``: the part of the URL that Twilio calls which a request does not contain (facts 2.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

_STANDARD_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """Scheme, host and port of the URL that Twilio calls, and the path prefix that a proxy removes."""

    scheme: str
    host: str
    """As it is configured, because Twilio signs it so; an IPv6 address is in brackets."""
    port: int | None
    path: str = ""
    """Empty, or a prefix such as ``/twilio``, without a slash at its end."""

    @classmethod
    def parse(cls, text: str) -> PublicUrl:
        """Parse ``PUBLIC_URL``; a user name and password are dropped, because Twilio does not sign them.

        Raises:
            ValueError: with the remedy. The text does not repeat the URL, which may contain a password.

        """
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("PUBLIC_URL must be ASCII without blanks: write xn--… and %20")
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in _STANDARD_PORTS:
            raise ValueError("PUBLIC_URL must start with https:// or http://, like https://sms.example.com")
        if "?" in rest or "#" in rest:
            raise ValueError("PUBLIC_URL must not contain a query or fragment: only scheme, host and path")
        authority, slash, path = rest.partition("/")
        host, port = parse_authority(authority.rpartition("@")[2])
        return cls(scheme, host, port, (slash + path).rstrip("/"))

    @property
    def forms(self) -> tuple[str, ...]:
        """The URL as configured, then the same URL without its port or with the standard port.

        Twilio documents that it signs SMS callbacks with their port. Its libraries try both forms,
        because the signing side is not consistent (facts 2.2).
        """
        port = _STANDARD_PORTS[self.scheme] if self.port is None else self.port
        bare, ported = f"{self.scheme}://{self.host}", f"{self.scheme}://{self.host}:{port}"
        first, second = (bare, ported) if self.port is None else (ported, bare)
        return first + self.path, second + self.path

    def __str__(self) -> str:
        return self.forms[0]


def parse_authority(text: str) -> tuple[str, int | None]:
    """Split ``host:port``; the port may be missing.

    Raises:
        ValueError: when the host is invalid, or the port is not from 1 to 65535.

    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError(
            "PUBLIC_URL has no host, or a port that is not a number: https://sms.example.com:8443"
        )
    host, port = match["host"], int(match["port"] or 0)
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError as error:
            raise ValueError(
                "PUBLIC_URL has brackets without an IPv6 address: write https://[2001:db8::1]"
            ) from error
    if match["port"] and not 0 < port < 65536:
        raise ValueError("PUBLIC_URL has a port outside of 1 to 65535: omit it, or write the right one")
    return host, port or None
