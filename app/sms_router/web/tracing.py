"""OpenTelemetry traces on request: one span for each text, one in it for each step that it waits for.

The packages are an extra (``traces``) and imported only where traces are asked for. Where
spans go is told by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from sms_router.errors import ConfigurationError
from sms_router.routing.inbox.answer import Answer
from sms_router.routing.pipeline.context import InboundRequest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_PACKAGES = {
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}

Observe = Callable[[str, float], None]


def check_installed() -> None:
    """Make sure that the packages are there.

    Raises:
        SettingsError: when they are not, with the line that installs them.

    """
    try:
        for name in _PACKAGES.values():
            import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            [f"server.traces: needs packages that are not there; pip install {' '.join(_PACKAGES)}"]
        ) from error


class Answering(Protocol):
    """What answers messages (`Pipeline`)."""

    async def answer(self, delivery: InboundRequest) -> Answer:
        """Return the one answer of a message."""


class Tracing:
    """The spans of one worker."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        """Begin to trace; ``processor`` takes the spans, an OTLP exporter over HTTP by itself."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

        named = Resource.create({"service.name": "sms-router"}).merge(Resource.create())
        self._provider = TracerProvider(resource=named)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("sms_router")

    def observing(self, observe: Observe) -> Observe:
        """Return what tells ``observe`` of each step, and makes it a span of the text that waits for it."""

        def observed(stage: str, seconds: float) -> None:
            observe(stage, seconds)
            end = time.time_ns()
            self._tracer.start_span(stage, start_time=end - int(seconds * 1e9)).end(end)

        return observed

    def wrap(self, pipeline: Answering) -> Answering:
        """Return a pipeline whose texts are spans, without numbers and words (design 12)."""
        return _Traced(pipeline, self)

    async def answer(self, pipeline: Answering, delivery: InboundRequest) -> Answer:
        """Answer a text inside a span of its own."""
        with self._tracer.start_as_current_span("text") as span:
            span.set_attribute("messaging.message.id", delivery.message.sid)
            span.set_attribute("messaging.system", "twilio")
            span.set_attribute("sms_router.fallback", delivery.fallback is not None)
            answer = await pipeline.answer(delivery)
            span.set_attribute("sms_router.outcome", answer.outcome.value)
            return answer

    def close(self) -> None:
        """Hand over what has not left yet; may take some seconds."""
        self._provider.shutdown()


class _Traced:
    def __init__(self, pipeline: Answering, traces: Tracing) -> None:
        self._pipeline = pipeline
        self._traces = traces

    async def answer(self, delivery: InboundRequest) -> Answer:
        return await self._traces.answer(self._pipeline, delivery)
