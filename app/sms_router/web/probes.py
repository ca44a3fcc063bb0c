"""The probes: alive, ready or degraded with the reasons, and the metrics page."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sms_router.web.health import HealthMonitor

MAX_SHARE = 0.05
"""Of each second that a worker may take to build a page: anybody may be able to read these pages."""


class RateLimitedPage:
    """A page that is built for each request, but the latest one once `MAX_SHARE` of a second is used."""

    def __init__(self, build: Callable[[], Response]) -> None:
        self._build = build
        self._page: Response | None = None
        self._second = 0
        self._seconds_used = 0.0

    def get(self) -> Response:
        began = time.perf_counter()
        if self._second != int(began):
            self._second, self._seconds_used = int(began), 0.0
        if self._page is None or self._seconds_used < MAX_SHARE:
            self._page = self._build()
            self._seconds_used += time.perf_counter() - began
        return self._page


class Probes:
    """The endpoints of the probes; ``registry`` is what the metrics are read from."""

    def __init__(self, health: HealthMonitor, registry: CollectorRegistry) -> None:
        self._health = health
        self._registry = registry
        self._ready, self._metrics = RateLimitedPage(self._build_ready), RateLimitedPage(self._build_metrics)

    async def alive(self, _: Request) -> Response:
        """Answer ``/healthz``: the process serves requests."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Answer ``/readyz``: 200 while degraded too, because messages are still answered."""
        return self._ready.get()

    async def metrics(self, _: Request) -> Response:
        """Answer ``/metrics`` in Prometheus' text format."""
        return self._metrics.get()

    def _build_ready(self) -> Response:
        reasons = list(self._health.degraded_reasons())
        status = "degraded" if reasons else "ready"
        return JSONResponse({"status": status, "reasons": reasons, "notices": list(self._health.notices())})

    def _build_metrics(self) -> Response:
        self._health.update_metrics()
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
