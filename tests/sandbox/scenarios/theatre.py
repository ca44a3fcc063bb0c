"""Scenarios played against a small application of the test's own, without a router's process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from twilio.rest import Client

from sms_router.sandbox import create_sandbox, load_world
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.loader import read_scenario
from sms_router.sandbox.scenarios.player import Played, ScenarioPlayer, StepResult
from tests.sandbox.bench import WORLD, LocalHttpClient
from tests.sandbox.customer import Customer


@dataclass
class Theatre:
    """A running sandbox whose texts go to ``customer``, and the scenario that is to be played."""

    customer: Customer
    platform: Platform
    performance: ScenarioPlayer
    transport: LocalHttpClient

    async def played(self) -> list[Played]:
        return [step async for step in self.performance.play()]

    async def passes(self) -> bool:
        """Play it all; what went wrong shows in the assertion's message."""
        wrong = [step for step in await self.played() if step.verdict is not StepResult.PASSED]
        assert wrong == []
        return True

    async def sends(self, sender: str, to: str, body: str) -> None:
        """Send by REST, as the application does."""
        world = self.platform.world
        client = Client(world.account_sid, world.auth_token, http_client=self.transport)
        await asyncio.to_thread(lambda: client.messages.create(from_=sender, to=to, body=body))


@asynccontextmanager
async def theatre(folder: Path, steps: str) -> AsyncIterator[Theatre]:
    """Read a scenario and open the doors."""
    path = folder / "scenario.toml"
    path.write_text('title = "A test"\n' + steps, "utf-8")
    customer = Customer()
    async with serve(customer.app()) as customer.url:
        scenario = read_scenario(path, load_world(WORLD, customer.url))
        app = create_sandbox(scenario.world, clock=ManualClock(), seed=1)
        async with serve(app) as url:
            platform = app.state.platform
            transport = LocalHttpClient(url)
            yield Theatre(customer, platform, ScenarioPlayer(scenario, platform, last_wait=0), transport)
            transport.close()
