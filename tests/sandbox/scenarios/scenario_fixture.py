"""Scenarios played against a small application of the test's own, without a router's process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from twilio.rest import Client

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.player import CommandRunner, PlayedStep, ScenarioPlayer, StepResult
from sms_router.sandbox.scenarios.scenario import load_scenario
from sms_router.sandbox.world.loader import load_world
from tests.sandbox.customer_application import CustomerApplication
from tests.sandbox.sandbox_fixture import WORLD, LocalHttpClient


@dataclass
class ScenarioFixture:
    """A running sandbox whose webhooks go to ``customer``, and the scenario's player."""

    customer: CustomerApplication
    platform: Platform
    player: ScenarioPlayer
    transport: LocalHttpClient

    async def play(self) -> list[PlayedStep]:
        return [step async for step in self.player.play()]

    async def passes(self) -> bool:
        """Play all steps; those that failed are in the assertion's message."""
        failed = [step for step in await self.play() if step.result is not StepResult.PASSED]
        assert failed == []
        return True

    async def send(self, sender: str, to: str, body: str) -> None:
        """Send by REST, as the application does."""
        world = self.platform.world
        client = Client(world.account_sid, world.auth_token, http_client=self.transport)
        await asyncio.to_thread(lambda: client.messages.create(from_=sender, to=to, body=body))


@asynccontextmanager
async def start_scenario(
    folder: Path, steps: str, run_command: CommandRunner | None = None
) -> AsyncIterator[ScenarioFixture]:
    path = folder / "scenario.toml"
    path.write_text('title = "A test"\n' + steps, "utf-8")
    customer = CustomerApplication()
    async with serve(customer.app()) as customer.url:
        scenario = load_scenario(path, load_world(WORLD, customer.url))
        app = create_sandbox(scenario.world, clock=ManualClock(), seed=1)
        async with serve(app) as url:
            platform = app.state.platform
            transport = LocalHttpClient(url)
            yield ScenarioFixture(
                customer, platform, ScenarioPlayer(scenario, platform, 0, run_command), transport
            )
            transport.close()
