"""Where a contestant runs: its port, its folder, and the account that it serves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES

ACCOUNT_SID = "AC" + "b" * 32
AUTH_TOKEN = "bench-token-that-opens-nothing"
SERVICE_SID = "MG" + "b" * 32
SHORT_CODE = "12345"
CLOSED_PORT = 9
"""Nobody listens on *discard*: Twilio's API is out of reach, as it may be in life."""


@dataclass(frozen=True, slots=True)
class Site:
    """One loopback port and one temporary folder, used by the contestants in turn."""

    port: int
    folder: Path
    workers: int = 1
    """The router's; the others have one."""

    @property
    def base_url(self) -> str:
        """What Twilio would be configured with, without the path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sms_url(self) -> str:
        """The URL that signatures are computed over."""
        return f"{self.base_url}/sms"

    @property
    def store_socket(self) -> Path:
        """The unix socket of the Valkey that serves this site."""
        return self.folder / "valkey.sock"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every contestant; each takes the ones it knows."""
        return {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_MESSAGING_SERVICE_SID": SERVICE_SID,
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{CLOSED_PORT}",
            "PUBLIC_URL": self.base_url,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WORKERS": str(self.workers),
            "REDIS_URL": f"unix://{self.store_socket}",
            "SMS_ROUTER_CONFIG": str(self.folder / "config"),
            "BENCH_REPLIES": json.dumps({"replies": REPLIES, "defaultReply": DEFAULT_REPLY}),
            "NODE_ENV": "production",
        }
