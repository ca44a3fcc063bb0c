"""The other application of a scenario, to which its keywords forward: pages that are written down."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.sandbox.hosting import serve
from sms_router.sandbox.scenarios.scenario import Scenario

PLACEHOLDER = "{upstream}"
"""What stands in keywords and handlers for the address of the pages."""

Pages = Mapping[str, str | int]
"""By path: TwiML, or the status of an error."""


@contextlib.asynccontextmanager
async def with_upstream(scenario: Scenario) -> AsyncIterator[Scenario]:
    """Serve a scenario's pages, and yield the scenario with their address filled in."""
    application = scenario.application
    if application is None or not application.upstream:
        yield scenario
        return
    async with serve(_serving(application.upstream)) as url:
        told = replace(
            application,
            keywords=application.keywords.replace(PLACEHOLDER, url),
            handlers=application.handlers.replace(PLACEHOLDER, url),
        )
        yield replace(scenario, application=told)


def _serving(pages: Pages) -> Starlette:
    async def answer(request: Request) -> Response:
        page = pages.get(request.url.path, 404)
        if isinstance(page, int):
            return Response(status_code=page)
        return Response(page, media_type="application/xml")

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
