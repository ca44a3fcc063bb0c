"""Which URL leads where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from sms_router.web.lost import UnroutedWebhookLog


def with_prefix(prefix: str, webhooks: Mapping[str, ASGIApp]) -> dict[str, ASGIApp]:
    """Return the webhooks as they are found below a prefix, which is the path of PUBLIC_URL.

    Some proxies cut it off, others pass it on; Twilio calls the same URL either way, so the signature is
    looked for over the same one.
    """
    return {
        unquote(prefix) + path: _StripPrefix(prefix.encode(), webhook) for path, webhook in webhooks.items()
    }


class _StripPrefix:
    """Cuts the prefix off, as a proxy would, before a webhook is asked."""

    def __init__(self, prefix: bytes, webhook: ASGIApp) -> None:
        """Take the prefix as it is on the wire."""
        self._prefix = prefix
        self._webhook = webhook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI); one that spells the prefix otherwise is not the URL that Twilio calls."""
        path = scope.get("raw_path") or scope["path"].encode()
        await self._webhook({**scope, "raw_path": path.removeprefix(self._prefix)}, receive, send)


class WebhookRouter(Router):
    """Starlette's router, which finds webhooks by their path at once.

    Asking one route after the other costs a text as much as looking up its keyword; everything that is
    not one of these paths goes that way still.
    """

    def __init__(
        self,
        webhooks: Mapping[str, ASGIApp],
        others: Sequence[Route],
        lifespan: Lifespan[Router],
        lost: UnroutedWebhookLog,
        private_port: int | None = None,
    ) -> None:
        """Take the webhooks by their paths, the other routes, and what starts and stops with the server.

        ``lost`` is told of requests that find no route. With a ``private_port`` the other routes are found
        on the listener of that port alone.
        """
        super().__init__(
            [*(Route(path, endpoint) for path, endpoint in webhooks.items()), *others],
            redirect_slashes=False,  # a redirected webhook loses its parameters and its signature (facts 1.5)
            lifespan=lifespan,
        )
        self._webhooks = dict(webhooks)
        self._private_port = private_port
        self._lost = lost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        webhook = self._webhooks.get(scope["path"]) if scope["type"] == "http" else None
        if webhook is not None:
            await webhook(scope, receive, send)
        elif self._private_port is not None and scope["type"] == "http" and not self._is_private(scope):
            await self.not_found(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404 (Starlette calls this too), and tell when a text is lost by it."""
        if scope["type"] == "http":
            self._lost.record(scope)
        await super().not_found(scope, receive, send)

    def _is_private(self, scope: Scope) -> bool:
        """Tell by the socket that took the connection; nothing that a client says can change that."""
        listener = scope.get("server")
        return listener is not None and listener[1] == self._private_port
