"""The scenarios that come along, played against the router with the configuration that comes along."""

import asyncio
from pathlib import Path

from sms_router.sandbox import load_world
from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.scenarios import loader as reading
from sms_router.sandbox.scenarios.runner import OwnRouter, ScenarioResult, ScenarioRunner
from tests.sandbox.bench import WORLD

SHIPPED = sorted(Path(reading.__file__).parent.glob("*.toml"))


async def _ending(path: Path) -> ScenarioResult:
    port = free_port()
    scenario = reading.read_scenario(path, load_world(WORLD, f"http://127.0.0.1:{port}"))
    return await ScenarioRunner(OwnRouter(WORLD.parent, port)).play(scenario, lambda _: None)


async def test_every_scenario_that_comes_along_passes() -> None:
    assert len(SHIPPED) >= 5
    few = asyncio.Semaphore(5)  # each has a router, and a busy machine must not make phones wait

    async def played(path: Path) -> ScenarioResult:
        async with few:
            return await _ending(path)

    endings = await asyncio.gather(*map(played, SHIPPED))
    assert [
        (path.name, ending) for path, ending in zip(SHIPPED, endings, strict=True) if not ending.passed
    ] == []
