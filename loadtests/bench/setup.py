"""The port, the folder and the account of a stack."""

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
"""The port *discard*, where nothing listens: Twilio's API is not reachable."""


@dataclass(frozen=True, slots=True)
class BenchSetup:
    """One port and one temporary folder, which the stacks use one after the other."""

    port: int
    folder: Path
    workers: int = 1
    """Processes of the router; the other stacks have one."""

    @property
    def base_url(self) -> str:
        """The URL that Twilio would call, without the path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sms_url(self) -> str:
        """The inbound URL, over which signatures are computed."""
        return f"{self.base_url}/sms"

    @property
    def store_socket(self) -> Path:
        """The unix socket of its Valkey."""
        return self.folder / "valkey.sock"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables for every stack."""
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
