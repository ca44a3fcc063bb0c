"""Paths to endpoints, the prefix of PUBLIC_URL, and the private port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from sms_router.web.rejections import UnroutedWebhookLog

_HOME = """This is sms-router: it answers the inbound messages of Twilio Messaging Services.
There is no console at this address: it has no password, or a port of its own (PRIVATE_PORT).
"""


def with_prefix(prefix: str, webhooks: Mapping[str, ASGIApp]) -> dict[str, ASGIApp]:
    """Return the webhooks by their paths below a prefix, the path of PUBLIC_URL.

    Some proxies remove it and others pass it on. Twilio calls the same URL in both cases, so the signature is
    verified over the same one.
    """
    return {
        unquote(prefix) + path: _StripPrefix(prefix.encode(), webhook) for path, webhook in webhooks.items()
    }


@dataclass(frozen=True, slots=True)
class _StripPrefix:
    """Removes the percent-encoded prefix from the raw path, as a proxy would.

    A request that spells the prefix in another way is not for the URL that Twilio calls: its path stays.
    """

    prefix: bytes
    webhook: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("raw_path") or scope["path"].encode()
        await self.webhook({**scope, "raw_path": path.removeprefix(self.prefix)}, receive, send)


class WebhookRouter(Router):
    """Starlette's router, with the webhooks in a dictionary by path.

    To try one route after the other takes as long as to find the keyword of a text. Paths of other routes
    are matched in that way.

    Args:
        webhooks: by path.
        others: the routes of the console and the probes.
        lifespan: starts and stops the worker.
        unrouted: records requests without a route.
        private_port: the port whose listener alone serves ``others``; None: every listener does.

    """

    def __init__(
        self,
        webhooks: Mapping[str, ASGIApp],
        others: Sequence[Route],
        lifespan: Lifespan[Router],
        unrouted: UnroutedWebhookLog,
        private_port: int | None = None,
    ) -> None:
        super().__init__(
            [*(Route(path, endpoint) for path, endpoint in webhooks.items()), *others],
            redirect_slashes=False,  # a redirected webhook loses its parameters and its signature (facts 1.5)
            lifespan=lifespan,
        )
        self._webhooks = dict(webhooks)
        self._has_console = any(route.path == "/console" for route in others)
        self._private_port = private_port
        self._unrouted = unrouted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        webhook = self._webhooks.get(scope["path"]) if scope["type"] == "http" else None
        if webhook is not None:
            await webhook(scope, receive, send)
            return
        is_foreign = (
            self._private_port is not None and scope["type"] == "http" and not self._is_private(scope)
        )
        if _is_visit(scope):
            has_console = self._has_console and not is_foreign
            home = RedirectResponse("/console", 303) if has_console else PlainTextResponse(_HOME)
            await home(scope, receive, send)
        elif is_foreign:
            await self.not_found(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 and record the request; Starlette calls this too."""
        if scope["type"] == "http":
            self._unrouted.record(scope)
        await super().not_found(scope, receive, send)

    def _is_private(self, scope: Scope) -> bool:
        """Tell by the socket that accepted the connection, which no header of a client can change."""
        listener = scope.get("server")
        return listener is not None and listener[1] == self._private_port


def _is_visit(scope: Scope) -> bool:
    """Return whether a person opens the address; Twilio would send a plain page as a reply (facts 1.5)."""
    return (
        scope["type"] == "http"
        and scope["path"] == "/"
        and scope["method"] in ("GET", "HEAD")
        and all(name != b"x-twilio-signature" for name, _ in scope["headers"])
    )
