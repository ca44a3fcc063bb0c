"""A sandbox over HTTP for the commands that use Twilio, with the real REST client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from twilio.rest import Client

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.numbers import Capabilities, Number
from sms_router.sandbox.world.world import World
from sms_router.twilio.rest import build_client
from tests.membership.recorded import serving

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, CommandResult

PUBLIC = "https://sms.example.com"
DEMO = Path(__file__).parents[2] / "config" / "sandbox.toml"
SPARE = Number(
    "SC" + "0" * 31 + "2", "67890", "CA", Capabilities(sms=True, mms=False, voice=False), "Spare code"
)


def world() -> World:
    """The demo's world, behind a public URL, with a short code that is in no Service."""
    demo = load_world(DEMO, PUBLIC)
    return replace(demo, numbers=(*demo.numbers, SPARE))


WORLD = world()
SERVICE = WORLD.services[0].sid
CODE = "SC" + "0" * 31 + "1"
NEW_YORK = "PN" + "0" * 31 + "2"


@dataclass(frozen=True, slots=True)
class SandboxCli:
    """A sandbox, and commands that use it in place of Twilio."""

    url: str
    cli: Cli
    redis_url: str

    def __call__(self, *words: str, **environment: str) -> CommandResult:
        """Run a command as an operator with credentials would."""
        result = self.cli(*words, **{**self.environment, **environment})
        assert "Traceback" not in result.err
        assert WORLD.auth_token not in result.out + result.err
        return result

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a command uses this sandbox."""
        return {
            "TWILIO_ACCOUNT_SID": WORLD.account_sid,
            "TWILIO_AUTH_TOKEN": WORLD.auth_token,
            "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
            "TWILIO_API_BASE_URL": self.url,
            "PUBLIC_URL": PUBLIC,
            "REDIS_URL": self.redis_url,
        }

    @property
    def client(self) -> Client:
        """The official client."""
        return build_client(WORLD.account_sid, WORLD.auth_token, self.url, 5)

    @property
    def service(self) -> Any:
        """The Service through the official client."""
        return self.client.messaging.v1.services(SERVICE)

    def fault(self, **how: object) -> None:
        """Switch a fault of the REST API on."""
        assert requests.post(f"{self.url}/sandbox/faults", json={"rest": how}, timeout=5).ok

    def mend(self) -> None:
        """Switch faults off."""
        assert requests.delete(f"{self.url}/sandbox/faults", timeout=5).ok


@contextmanager
def sandbox_cli(cli: Cli, redis_url: str) -> Iterator[SandboxCli]:
    """Run a sandbox for as long as a block lasts."""
    with serving(create_sandbox(WORLD)) as url:
        yield SandboxCli(url, cli, redis_url)
