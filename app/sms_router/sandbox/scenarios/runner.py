"""Runs a scenario: starts a sandbox and a router, and plays the steps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import HostingError, serve
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.player import PlayedStep, ScenarioPlayer, StepResult
from sms_router.sandbox.scenarios.router_process import RouterError, RunningRouter, last_lines, run_router
from sms_router.sandbox.scenarios.scenario import Scenario

SCENARIO_TIMEOUT = 300.0
"""Seconds of real time for one scenario, whatever its steps allow."""

PLACEHOLDER = "{upstream}"
"""In keywords and handlers: the base URL of the other application's pages."""


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
                scenario = await stack.enter_async_context(_with_upstream(scenario))
                run = run_router(scenario, self.router.folder, self.router.port, url, self.router.handlers)
                router = await stack.enter_async_context(run)
            yield sandbox.state.platform, router


@contextlib.asynccontextmanager
async def _with_upstream(scenario: Scenario) -> AsyncIterator[Scenario]:
    """Serve a scenario's pages, and yield the scenario with their base URL in place of the placeholder."""
    application = scenario.application
    if application is None or not application.upstream:
        yield scenario
        return
    async with serve(_application(application.upstream)) as url:
        texts = {
            "keywords": application.keywords.replace(PLACEHOLDER, url),
            "handlers": application.handlers.replace(PLACEHOLDER, url),
        }
        yield replace(scenario, application=application.model_copy(update=texts))


def _application(pages: Mapping[str, str | int]) -> Starlette:
    async def answer(request: Request) -> Response:
        page = pages.get(request.url.path, 404)
        if isinstance(page, int):
            return Response(status_code=page)
        return Response(page, media_type="application/xml")

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
