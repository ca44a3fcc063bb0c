"""OpenTelemetry traces: a span for each message, with a child span for each stage that it waits for.

The packages are an extra (``traces``), imported only when traces are enabled. OpenTelemetry's own variables,
such as OTEL_EXPORTER_OTLP_ENDPOINT, say where spans are sent.
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
    from opentelemetry.trace import Tracer

_PACKAGES = {
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
}

Observe = Callable[[str, float], None]


def check_installed() -> None:
    """Check that the packages of the extra are installed.

    Raises:
        ConfigurationError: when one is missing, with the command that installs them.

    """
    try:
        for name in _PACKAGES.values():
            import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            [f"server.traces: needs packages that are not installed; pip install {' '.join(_PACKAGES)}"]
        ) from error


class Answering(Protocol):
    """The interface of `Pipeline`."""

    async def answer(self, request: InboundRequest) -> Answer: ...


class Tracing:
    """The tracer of one worker; by default spans are batched and exported by OTLP over HTTP."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

        resource = Resource.create({"service.name": "sms-router"}).merge(Resource.create())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("sms_router")

    def observing(self, observe: Observe) -> Observe:
        """Return an observer that calls ``observe`` and adds each stage as a span of the current message."""

        def observed(stage: str, seconds: float) -> None:
            observe(stage, seconds)
            end = time.time_ns()
            self._tracer.start_span(stage, start_time=end - int(seconds * 1e9)).end(end)

        return observed

    def wrap(self, pipeline: Answering) -> Answering:
        """Return a pipeline that answers each message inside a span, without its numbers and text."""
        return _TracedPipeline(pipeline, self._tracer)

    def close(self) -> None:
        """Export the remaining spans; may block for some seconds."""
        self._provider.shutdown()


class _TracedPipeline:
    def __init__(self, pipeline: Answering, tracer: Tracer) -> None:
        self._pipeline = pipeline
        self._tracer = tracer

    async def answer(self, request: InboundRequest) -> Answer:
        with self._tracer.start_as_current_span("text") as span:
            span.set_attribute("messaging.message.id", request.message.sid)
            span.set_attribute("messaging.system", "twilio")
            span.set_attribute("sms_router.fallback", request.fallback is not None)
            answer = await self._pipeline.answer(request)
            span.set_attribute("sms_router.outcome", answer.outcome.value)
            return answer
