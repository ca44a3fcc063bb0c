"""Runs a scenario: starts a sandbox and a router, and plays the steps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import HostingError, serve
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.fake_upstream import with_upstream
from sms_router.sandbox.scenarios.player import PlayedStep, ScenarioPlayer, StepResult
from sms_router.sandbox.scenarios.router_process import RouterError, RunningRouter, last_lines, run_router
from sms_router.sandbox.scenarios.scenario import Scenario

SCENARIO_TIMEOUT = 300.0
"""Seconds of real time for one scenario, whatever its steps allow."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """How a scenario ended."""

    played: tuple[PlayedStep, ...] = ()
    error: str = ""
    """Why it could not be played."""
    log: tuple[str, ...] = ()
    """The end of the router's log, when a step failed."""

    @property
    def passed(self) -> bool:
        return not self.error and all(step.result is StepResult.PASSED for step in self.played)


@dataclass(frozen=True, slots=True)
class OwnRouter:
    """A router is started for the scenario, with the configuration in this folder."""

    folder: Path
    port: int
    handlers: Path | None = None
    """The folder that its handlers are imported from; default: the current one."""


@dataclass(frozen=True, slots=True)
class ScenarioRunner:
    """``router`` is None when one is running already; ``port`` is the sandbox's, 0 for any."""

    router: OwnRouter | None = None
    port: int = 0

    async def play(self, scenario: Scenario, on_step: Callable[[PlayedStep], None]) -> ScenarioResult:
        """Play a scenario, call ``on_step`` when a step has ended, and stop everything that was started."""
        played: list[PlayedStep] = []
        try:
            async with asyncio.timeout(SCENARIO_TIMEOUT), self.start(scenario) as (platform, router):
                run_command = router.run_command if router else None
                async for step in ScenarioPlayer(scenario, platform, run_command=run_command).play():
                    played.append(step)
                    on_step(step)
                failed = any(step.result is StepResult.FAILED for step in played)
                return ScenarioResult(tuple(played), log=last_lines(router.log) if failed and router else ())
        except (HostingError, RouterError) as error:
            return ScenarioResult(tuple(played), str(error))
        except TimeoutError:
            return ScenarioResult(tuple(played), f"The scenario took longer than {SCENARIO_TIMEOUT:g} s.")

    @contextlib.asynccontextmanager
    async def start(self, scenario: Scenario) -> AsyncIterator[tuple[Platform, RunningRouter | None]]:
        """Start a sandbox with the scenario's world, and the router."""
        sandbox = create_sandbox(scenario.world, clock=ManualClock(), seed=1)
        async with serve(sandbox, self.port) as url, contextlib.AsyncExitStack() as stack:
            router = None
            if self.router:
                scenario = await stack.enter_async_context(with_upstream(scenario))
                run = run_router(scenario, self.router.folder, self.router.port, url, self.router.handlers)
                router = await stack.enter_async_context(run)
            yield sandbox.state.platform, router
