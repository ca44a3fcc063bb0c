"""The included scenarios, played against the router with the included configuration."""

import asyncio
from pathlib import Path

import pytest

from sms_router.sandbox import scenarios
from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.scenarios.runner import OwnRouter, ScenarioResult, ScenarioRunner
from sms_router.sandbox.scenarios.scenario import load_scenario
from sms_router.sandbox.world.loader import load_world
from tests.sandbox.sandbox_fixture import WORLD

INCLUDED = sorted(Path(scenarios.__file__).parent.glob("*.toml"))
PORT = Path(scenarios.__file__).with_name("port.toml")


async def _play(path: Path) -> ScenarioResult:
    port = free_port()
    scenario = load_scenario(path, load_world(WORLD, f"http://127.0.0.1:{port}"))
    return await ScenarioRunner(OwnRouter(WORLD.parent, port)).play(scenario, lambda _: None)


@pytest.mark.slow
async def test_a_whole_port_passes() -> None:
    result = await _play(PORT)
    assert result.passed, result


@pytest.mark.slow
async def test_every_included_scenario_passes() -> None:
    assert len(INCLUDED) >= 5
    conversations = [path for path in INCLUDED if path != PORT]  # its commands take ten seconds
    limit = asyncio.Semaphore(5)  # each has a router, and a busy machine must not delay the replies

    async def played(path: Path) -> ScenarioResult:
        async with limit:
            return await _play(path)

    results = await asyncio.gather(*map(played, conversations))
    assert [
        (path.name, result) for path, result in zip(conversations, results, strict=True) if not result.passed
    ] == []
