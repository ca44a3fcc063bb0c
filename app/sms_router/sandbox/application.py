"""The sandbox as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.control.conditions import ConditionRoutes
from sms_router.sandbox.control.phones import PhoneRoutes
from sms_router.sandbox.control.ports import PortRoutes
from sms_router.sandbox.control.requests import (
    PATH_PREFIX,
    BadRequestError,
    LocalOnlyMiddleware,
    on_bad_request,
    on_unknown_path,
)
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.rest import numbers, services
from sms_router.sandbox.rest.account import AccountResource, AlertsResource
from sms_router.sandbox.rest.messages import MessagesResource
from sms_router.sandbox.rest.middleware import AuthMiddleware, FaultMiddleware
from sms_router.sandbox.rest.porting import PortingResource
from sms_router.sandbox.rest.responses import Resource, on_http_error, on_rejection
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.errors import RejectedError
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
        exception_handlers={
            RejectedError: on_rejection,
            HTTPException: _on_http_error,
            BadRequestError: on_bad_request,
        },
        lifespan=lifespan,
    )
    application.router.redirect_slashes = False
    application.state.platform = platform
    return application


async def _on_http_error(request: Request, error: Exception) -> Response:
    path = request.url.path
    if isinstance(error, HTTPException) and (path == "/" or path.startswith(PATH_PREFIX)):
        return await on_unknown_path(request, error)
    return await on_http_error(request, error)


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
        ConditionRoutes(platform),
        PortRoutes(platform),
    ]
