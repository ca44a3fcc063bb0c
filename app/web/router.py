"""Which URL leads where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send


class WebhookRouter(Router):
    """Starlette's router, which finds webhooks by their path at once.

    Asking one route after the other costs a text as much as looking up its keyword; everything that is
    not one of these paths goes that way still.
    """

    def __init__(
        self, webhooks: Mapping[str, ASGIApp], others: Sequence[Route], lifespan: Lifespan[Router]
    ) -> None:
        """Take the webhooks by their paths, the other routes, and what starts and stops with the server."""
        super().__init__(
            [*(Route(path, endpoint) for path, endpoint in webhooks.items()), *others],
            redirect_slashes=False,  # a redirected webhook loses its parameters and its signature (facts 1.5)
            lifespan=lifespan,
        )
        self._webhooks = dict(webhooks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        webhook = self._webhooks.get(scope["path"]) if scope["type"] == "http" else None
        await (webhook or super().__call__)(scope, receive, send)
