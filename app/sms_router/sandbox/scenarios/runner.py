"""A scenario from its file to its verdict: a sandbox, a router, and the play between them."""

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
from sms_router.sandbox.scenarios.player import Played, ScenarioPlayer, StepResult
from sms_router.sandbox.scenarios.router_process import RouterError, end_of, running_router
from sms_router.sandbox.scenarios.scenario import Scenario

LONGEST_PLAY = 300.0
"""Seconds of real time for one scenario, whatever its steps may take."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """How a scenario went. ``trouble`` says why it could not be played; ``log`` is the router's."""

    played: tuple[Played, ...] = ()
    trouble: str = ""
    log: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when every step was as expected."""
        return not self.trouble and all(step.verdict is StepResult.PASSED for step in self.played)


@dataclass(frozen=True, slots=True)
class OwnRouter:
    """A router is started for the scenario, with this configuration folder."""

    folder: Path
    port: int


@dataclass(frozen=True, slots=True)
class ScenarioRunner:
    """Where scenarios are played. ``router`` is None when one runs already; ``port`` 0 is any port."""

    router: OwnRouter | None = None
    port: int = 0

    async def play(self, scenario: Scenario, watch: Callable[[Played], None]) -> ScenarioResult:
        """Play a scenario, and show each step to ``watch`` when it has ended; nothing is left running."""
        played: list[Played] = []
        try:
            async with asyncio.timeout(LONGEST_PLAY), self._running(scenario) as (platform, log):
                async for step in ScenarioPlayer(scenario, platform).play():
                    played.append(step)
                    watch(step)
                failed = any(step.verdict is StepResult.FAILED for step in played)
                return ScenarioResult(tuple(played), log=end_of(log) if failed and log else ())
        except (HostingError, RouterError) as error:
            return ScenarioResult(tuple(played), str(error))
        except TimeoutError:
            return ScenarioResult(tuple(played), f"The scenario took longer than {LONGEST_PLAY:g} s.")

    @contextlib.asynccontextmanager
    async def _running(self, scenario: Scenario) -> AsyncIterator[tuple[Platform, Path | None]]:
        sandbox = create_sandbox(scenario.world, clock=ManualClock(), seed=1)
        async with serve(sandbox, self.port) as url, contextlib.AsyncExitStack() as beside:
            log = None
            if self.router:
                scenario = await beside.enter_async_context(with_upstream(scenario))
                router = running_router(scenario, self.router.folder, self.router.port, url)
                log = await beside.enter_async_context(router)
            yield sandbox.state.platform, log
