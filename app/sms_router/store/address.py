"""Where Redis is, and how a connection to it begins."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.connection import parse_url

Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and how to log in."""

    host: str
    port: int
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str) -> Address:
        """Read ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads them.

        Raises:
            ValueError: when the URL is not one of these.
            OSError: when a certificate that it names cannot be read.

        """
        parts: dict[str, Any] = dict(parse_url(url))
        return cls(
            host=parts.get("host", "localhost"),
            port=int(parts.get("port", 6379)),
            path=parts.get("path"),
            username=parts.get("username"),
            password=parts.get("password"),
            database=int(parts.get("db", 0)),
            tls=_tls(parts) if url.startswith("rediss://") else None,
        )

    def __str__(self) -> str:
        """Return what people know it by."""
        return self.path or (f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}")

    def handshake(self) -> list[Command]:
        """Return the commands that a new connection begins with."""
        commands: list[Command] = []
        if self.password:
            login = (self.username, self.password) if self.username else (self.password,)
            commands.append(("AUTH", *login))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands


def _tls(parts: Mapping[str, Any]) -> ssl.SSLContext:
    """Honour the options that redis-py knows in a ``rediss://`` URL, so that both agree."""
    context = ssl.create_default_context(
        cafile=parts.get("ssl_ca_certs"), capath=parts.get("ssl_ca_path"), cadata=parts.get("ssl_ca_data")
    )
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := parts.get("ssl_certfile"):
        context.load_cert_chain(certificate, parts.get("ssl_keyfile"), parts.get("ssl_password"))
    return context
