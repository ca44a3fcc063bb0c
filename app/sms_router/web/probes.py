"""The probes: alive, ready or degraded with the reasons, and the metrics page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


@dataclass(frozen=True, slots=True)
class Probes:
    """The endpoints of the probes."""

    degraded_reasons: Callable[[], Sequence[str]]
    """Why the router is degraded; empty while it is healthy."""
    notices: Callable[[], Sequence[str]]
    """What an operator should know even while the router is healthy."""
    update_metrics: Callable[[], None]
    """Called before the metrics are read."""
    registry: CollectorRegistry = REGISTRY

    async def alive(self, _: Request) -> Response:
        """Answer ``/healthz``: the process serves requests."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Answer ``/readyz``: 200 while degraded too, because messages are still answered."""
        reasons = list(self.degraded_reasons())
        status = "degraded" if reasons else "ready"
        return JSONResponse({"status": status, "reasons": reasons, "notices": list(self.notices())})

    async def metrics(self, _: Request) -> Response:
        """Answer ``/metrics`` in Prometheus' text format."""
        self.update_metrics()
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
