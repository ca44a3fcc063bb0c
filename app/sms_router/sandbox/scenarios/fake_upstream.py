"""The other application of a scenario, to which its keywords forward: it serves fixed pages."""

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
"""In keywords and handlers: the base URL of the pages."""


@contextlib.asynccontextmanager
async def with_upstream(scenario: Scenario) -> AsyncIterator[Scenario]:
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
