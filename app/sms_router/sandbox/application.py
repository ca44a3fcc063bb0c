"""The sandbox as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.control.clock import ClockRoutes
from sms_router.sandbox.control.faults_and_alerts import FaultRoutes
from sms_router.sandbox.control.json_body import (
    PATH_PREFIX,
    BadRequestError,
    on_bad_request,
    on_unknown_path,
)
from sms_router.sandbox.control.local_only import LocalOnlyMiddleware
from sms_router.sandbox.control.phones import PhoneRoutes
from sms_router.sandbox.control.ports import PortRoutes
from sms_router.sandbox.platform import Platform, build_platform
from sms_router.sandbox.rest import numbers, sender_pool
from sms_router.sandbox.rest.account import AccountResource
from sms_router.sandbox.rest.alerts import AlertsResource
from sms_router.sandbox.rest.auth import AuthMiddleware
from sms_router.sandbox.rest.fault_injection import FaultMiddleware
from sms_router.sandbox.rest.media import MediaResource
from sms_router.sandbox.rest.messages import MessagesResource
from sms_router.sandbox.rest.numbers import NumbersResource
from sms_router.sandbox.rest.porting import PortingResource
from sms_router.sandbox.rest.responses import on_http_error, on_rejection
from sms_router.sandbox.rest.sender_pool import SenderPoolResource
from sms_router.sandbox.rest.services import ServicesResource
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
    platform = build_platform(world, clock, seed, policy)

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
        routes=[*_rest_routes(platform, world.auth_token), *_control_routes(platform)],
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


def _rest_routes(platform: Platform, auth_token: str) -> list[Route]:
    account, identifiers, clock = platform.account, platform.identifiers, platform.clock
    return [
        *ServicesResource(account, identifiers, clock).routes(),
        *SenderPoolResource(sender_pool.SHORT_CODES, account, identifiers, clock).routes(),
        *SenderPoolResource(sender_pool.PHONE_NUMBERS, account, identifiers, clock).routes(),
        *SenderPoolResource(sender_pool.ALPHA_SENDERS, account, identifiers, clock).routes(),
        *NumbersResource(numbers.SHORT_CODES, account, identifiers, clock).routes(),
        *NumbersResource(numbers.PHONE_NUMBERS, account, identifiers, clock).routes(),
        *AccountResource(account, auth_token).routes(),
        *AlertsResource(account, platform.alerts).routes(),
        *MediaResource(account, platform.messages, clock).routes(),
        *MessagesResource(account, platform.messages, platform.outbound, clock).routes(),
        *PortingResource(account, platform.ports).routes(),
    ]


def _control_routes(platform: Platform) -> list[Route]:
    return [
        *PhoneRoutes(platform).routes(),
        *FaultRoutes(platform.alerts, platform.faults).routes(),
        *ClockRoutes(platform.clock, platform.time_control).routes(),
        *PortRoutes(platform.ports, platform.clock, platform.port_plays).routes(),
    ]
