"""Traces of a running router, received by a collector over OTLP/HTTP."""

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
async def running_collector(port: int) -> AsyncIterator[list[Span]]:
    """Receive spans on a port; yield the list of those received so far."""
    spans: list[Span] = []

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                spans.extend(scope.spans)
        return web.Response()

    application = web.Application()
    application.router.add_post("/v1/traces", receive)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield spans
    finally:
        await runner.cleanup()


async def test_a_message_is_a_span_that_contains_the_spans_of_redis_calls(start_router: StartRouter) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    async with running_collector(port) as spans:
        router = start_router("[server]\ntraces = true", environment)
        parameters = webhook("HOURS")
        assert "9 to 5" in (await router.deliver(parameters)).text
        await wait_until(lambda: any(span.name == "text" for span in spans))
        (message,) = (span for span in spans if span.name == "text")
        attributes = {attribute.key: attribute.value.string_value for attribute in message.attributes}
        assert attributes["messaging.message.id"] == parameters["MessageSid"]
        assert attributes["sms_router.outcome"] == "reply"
        children = [span for span in spans if span.parent_span_id == message.span_id]
        assert [span.name for span in children] == ["claim_prepared"]
        for span in children:
            assert message.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= message.end_time_unix_nano
        assert parameters["From"].encode() not in b"".join(span.SerializeToString() for span in spans)
        await asyncio.to_thread(router.stop)
