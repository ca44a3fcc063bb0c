"""The sandbox as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.control.clock import ClockRoutes
from sms_router.sandbox.control.faults_and_alerts import FaultRoutes
from sms_router.sandbox.control.json_body import PATHS, BadRequestError, on_mistake, on_wrong_path
from sms_router.sandbox.control.phones import Phones
from sms_router.sandbox.control.ports import PortControl
from sms_router.sandbox.platform import Platform, build_platform
from sms_router.sandbox.rest import numbers
from sms_router.sandbox.rest import sender_pool as pool
from sms_router.sandbox.rest.auth import AuthMiddleware
from sms_router.sandbox.rest.messages import MessagesResource
from sms_router.sandbox.rest.numbers import Numbers
from sms_router.sandbox.rest.porting import Porting
from sms_router.sandbox.rest.responses import on_http_error, on_refusal
from sms_router.sandbox.rest.sender_pool import SenderPoolResource
from sms_router.sandbox.rest.services import Services
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.errors import RefusedError
from sms_router.sandbox.world.world import World

GRACE = 2.0
"""Seconds that messages, and then callbacks, have left when the sandbox stops."""


def create_sandbox(
    world: World,
    *,
    clock: Clock | None = None,
    seed: int | None = None,
    policy: ConnectionPolicy | None = None,
) -> Starlette:
    """Return an offline Twilio that starts as ``world`` describes and forgets everything at its end.

    ``clock`` gives dates, delays and schedules (default: the machine's); ``seed`` makes the
    identifiers repeatable; ``policy`` holds the webhooks' timeouts (default: Twilio's). The
    parts are at ``.state.platform`` for code that drives the sandbox from inside.
    """
    platform = build_platform(world, clock, seed, policy)
    application = Starlette(
        routes=[*_rest(platform), *Phones(platform).routes(), *_control(platform)],
        middleware=[Middleware(AuthMiddleware, world.account_sid, world.auth_token, platform.faults)],
        exception_handlers={
            RefusedError: on_refusal,
            HTTPException: _on_http_error,
            BadRequestError: on_mistake,
        },
        lifespan=lambda _: _running(platform),
    )
    application.router.redirect_slashes = False
    application.state.platform = platform
    return application


async def _on_http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and (request.url.path == "/" or request.url.path.startswith(PATHS)):
        return await on_wrong_path(request, error)
    return await on_http_error(request, error)


def _rest(platform: Platform) -> list[Route]:
    account, identifiers, clock = platform.account, platform.identifiers, platform.clock
    resources: list[Services | SenderPoolResource | Numbers | MessagesResource | Porting] = [
        Services(account, identifiers, clock),
        SenderPoolResource(pool.SHORT_CODES, account, identifiers, clock),
        SenderPoolResource(pool.PHONE_NUMBERS, account, identifiers, clock),
        SenderPoolResource(pool.ALPHA_SENDERS, account, identifiers, clock),
        Numbers(numbers.SHORT_CODES, account, identifiers, clock),
        Numbers(numbers.PHONE_NUMBERS, account, identifiers, clock),
        MessagesResource(account, platform.messages, platform.outbound, clock),
        Porting(account, platform.ports),
    ]
    return [route for resource in resources for route in resource.routes()]


def _control(platform: Platform) -> list[Route]:
    troubles = FaultRoutes(platform.alerts, platform.faults)
    return [
        *troubles.routes(),
        *ClockRoutes(platform.clock, platform.pace).routes(),
        *PortControl(platform.ports).routes(),
    ]


def _running(platform: Platform) -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with platform.client:
            try:
                yield
            finally:
                await platform.deliveries.close(GRACE)
                await platform.callbacks.close(GRACE)

    return lifespan()
