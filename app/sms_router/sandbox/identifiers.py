"""Twilio's identifiers: two letters and 32 hex digits."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from itertools import count
from uuid import UUID


class Identifiers:
    """Generates identifiers that never repeat; with a seed, each run generates the same ones."""

    def __init__(self, seed: int | None = None) -> None:
        self._key = secrets.token_bytes(16) if seed is None else str(seed).encode()
        self._numbers = count(1)

    def sid(self, prefix: str) -> str:
        """Return a new identifier such as ``SM`` and 32 hex digits."""
        return prefix + self._next().hex()

    def idempotency_token(self) -> str:
        return str(UUID(bytes=self._next(), version=4))

    def link(self) -> str:
        """Return a new link of the MMS Converter (facts 5.2)."""
        return f"https://p.twil.io/{self._next().hex()[:7]}"

    def _next(self) -> bytes:
        return blake2b(str(next(self._numbers)).encode(), key=self._key, digest_size=16).digest()
