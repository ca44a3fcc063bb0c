"""The sandbox as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.control.faults_and_clock import FaultAndClockRoutes
from sms_router.sandbox.control.index import IndexPage, describe_routes
from sms_router.sandbox.control.phones import PhoneRoutes
from sms_router.sandbox.control.ports import PortRoutes
from sms_router.sandbox.control.requests import PATH_PREFIX, BadRequestError, LocalOnlyMiddleware
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.rest import numbers, services
from sms_router.sandbox.rest.account import AccountResource, AlertsResource
from sms_router.sandbox.rest.messages import MessagesResource
from sms_router.sandbox.rest.middleware import AuthMiddleware, FaultMiddleware
from sms_router.sandbox.rest.porting import PortingResource
from sms_router.sandbox.rest.responses import Resource, error_response
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.errors import RejectedError, rejection
from sms_router.sandbox.world.world import World

SHUTDOWN_TIMEOUT = 2.0
"""Seconds that messages, and then status callbacks, have left when the sandbox stops."""


def create_sandbox(
    world: World,
    *,
    clock: Clock | None = None,
    seed: int | None = None,
    policy: ConnectionPolicy | None = None,
) -> Starlette:
    """Return an offline Twilio that starts as ``world`` describes and keeps its state in memory.

    ``clock`` gives dates, delays and schedules (default: the machine's); ``seed`` makes the
    identifiers repeatable; ``policy`` holds the webhooks' timeouts (default: Twilio's). The
    parts are at ``.state.platform`` for code that drives the sandbox from inside.
    """
    platform = Platform(world, clock, seed, policy)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with platform.client:
            try:
                yield
            finally:
                await platform.deliveries.close(SHUTDOWN_TIMEOUT)
                await platform.port_plays.close(0)
                await platform.callbacks.close(SHUTDOWN_TIMEOUT)

    application = Starlette(
        routes=[route for resource in _resources(platform) for route in resource.routes()],
        middleware=[
            Middleware(LocalOnlyMiddleware),
            Middleware(FaultMiddleware, platform.faults),
            Middleware(AuthMiddleware, world.account_sid, world.auth_token),
        ],
        exception_handlers=dict.fromkeys((RejectedError, HTTPException, BadRequestError), _on_error),
        lifespan=lifespan,
    )
    application.router.redirect_slashes = False
    application.state.platform = platform
    return application


async def _on_error(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method too: below ``/sandbox`` with those that exist, else as Twilio does."""
    if isinstance(error, BadRequestError):
        return JSONResponse({"error": error.sentence}, error.status)
    if isinstance(error, RejectedError):
        return error_response(error.rejection)
    assert isinstance(error, HTTPException)
    if request.url.path.startswith(PATH_PREFIX):
        known = dict.fromkeys(line for line in describe_routes(request) if PATH_PREFIX in line)
        sentence = f"There is no {request.method} {request.url.path} here, but: {', '.join(known)}."
        return JSONResponse({"error": sentence}, error.status_code, error.headers)
    code = 20004 if error.status_code == 405 else 20404
    return error_response(rejection(code, path=request.url.path), error.headers)


def _resources(platform: Platform) -> list[Resource]:
    return [
        services.ServicesResource(platform),
        services.SenderPoolResource(services.SHORT_CODES, platform),
        services.SenderPoolResource(services.PHONE_NUMBERS, platform),
        services.SenderPoolResource(services.ALPHA_SENDERS, platform),
        numbers.NumbersResource(numbers.SHORT_CODES, platform),
        numbers.NumbersResource(numbers.PHONE_NUMBERS, platform),
        AccountResource(platform),
        AlertsResource(platform),
        MessagesResource(platform),
        PortingResource(platform),
        PhoneRoutes(platform),
        FaultAndClockRoutes(platform),
        PortRoutes(platform),
        IndexPage(platform),
    ]
