"""The URL that Twilio calls, as far as it is configured and not on the wire (facts 2.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

_STANDARD_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """The part of the URL that Twilio calls and that this program never sees on the wire."""

    scheme: str
    host: str
    """As it was written, because Twilio signs it so; IPv6 in brackets."""
    port: int | None
    path: str = ""
    """What a proxy may cut off before the request arrives here: empty, or ``/twilio``."""

    @classmethod
    def parse(cls, text: str) -> PublicUrl:
        """Read ``PUBLIC_URL``; a user name and password are dropped, as Twilio signs neither.

        Raises:
            ValueError: a sentence that says what to change. It never repeats the text, which
                may hold a password.

        """
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("PUBLIC_URL may hold only ASCII without blanks: write xn--… and %20")
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in _STANDARD_PORTS:
            raise ValueError("PUBLIC_URL must start with https:// or http://, like https://sms.example.com")
        if "?" in rest or "#" in rest:
            raise ValueError("PUBLIC_URL must not hold a query or fragment: keep it to scheme, host and path")
        authority, slash, path = rest.partition("/")
        host, port = parse_authority(authority.rpartition("@")[2])
        return cls(scheme, host, port, (slash + path).rstrip("/"))

    @property
    def forms(self) -> tuple[str, ...]:
        """The URL as configured, then with its port dropped or the standard one added.

        Twilio says that it signs SMS callbacks with their port; its libraries try both, because
        the signing side is not consistent (facts 2.2).
        """
        port = _STANDARD_PORTS[self.scheme] if self.port is None else self.port
        bare, ported = f"{self.scheme}://{self.host}", f"{self.scheme}://{self.host}:{port}"
        first, second = (bare, ported) if self.port is None else (ported, bare)
        return first + self.path, second + self.path

    def __str__(self) -> str:
        """Return the URL as configured, without a slash at its end."""
        return self.forms[0]


def parse_authority(text: str) -> tuple[str, int | None]:
    """Split ``host:port``.

    Raises:
        ValueError: when it is not a host name or address with a port from 1 to 65535 or none.

    """
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise ValueError(
            "PUBLIC_URL has no host, or a port that is not a number: https://sms.example.com:8443"
        )
    host, port = found["host"], int(found["port"] or 0)
    if host.startswith("["):
        _check_address(host[1:-1])
    if found["port"] and not 0 < port < 65536:
        raise ValueError("PUBLIC_URL has a port outside 1 to 65535: leave it out, or write the real one")
    return host, port or None


def _check_address(text: str) -> None:
    try:
        IPv6Address(text)
    except AddressValueError as error:
        raise ValueError(
            "PUBLIC_URL has brackets without an IPv6 address: write https://[2001:db8::1]"
        ) from error
