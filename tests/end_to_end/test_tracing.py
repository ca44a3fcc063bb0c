"""Traces of a real router, taken by a collector that speaks OTLP over HTTP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sms_router.sandbox.hosting import free_port
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@asynccontextmanager
async def collecting(port: int) -> AsyncIterator[list[Span]]:
    spans: list[Span] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                spans.extend(scope.spans)
        return web.Response()

    application = web.Application()
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield spans
    finally:
        await runner.cleanup()


async def test_a_text_is_a_span_with_its_steps_inside(start_router: StartRouter) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    async with collecting(port) as spans:
        router = start_router("[server]\ntraces = true", environment)
        parameters = webhook("HOURS")
        assert "9 to 5" in (await router.deliver(parameters)).text

        async def there() -> bool:
            return any(span.name == "text" for span in spans)

        await wait_until(there)
        (text,) = (span for span in spans if span.name == "text")
        told = {each.key: each.value.string_value for each in text.attributes}
        assert told["messaging.message.id"] == parameters["MessageSid"]
        assert told["sms_router.outcome"] == "reply"
        steps = [span for span in spans if span.parent_span_id == text.span_id]
        assert [span.name for span in steps] == ["claim_prepared"]
        for span in steps:
            assert text.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= text.end_time_unix_nano
        assert parameters["From"].encode() not in b"".join(span.SerializeToString() for span in spans)
        await asyncio.to_thread(router.stop)
