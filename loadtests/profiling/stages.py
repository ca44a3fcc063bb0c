"""The stages of one inbound message: the function of each, in the order of the calls."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stage:
    """One function whose time is measured, without the time of nested stages."""

    name: str
    module: str
    """The module in which the router looks the name up, which may be another than the one that defines it."""
    attribute: str
    """A function of the module, or ``Class.method``."""

    @property
    def target(self) -> tuple[Any, str, Callable[..., Any]]:
        """The module or class, the attribute name, and the function.

        Raises:
            AttributeError: if the function does not exist any more.

        """
        holder: Any = importlib.import_module(self.module)
        *classes, name = self.attribute.split(".")
        for class_name in classes:
            holder = getattr(holder, class_name)
        return holder, name, getattr(holder, name)

    @property
    def is_coroutine(self) -> bool:
        """True for a coroutine, of which only the steps are timed, not the waits."""
        return inspect.iscoroutinefunction(self.target[2])


STAGES = (
    Stage("HTTP parse", "sms_router.server.http_protocol", "BoundedHttpProtocol.data_received"),
    Stage("ASGI cycle", "uvicorn.protocols.http.httptools_impl", "RequestResponseCycle.run_asgi"),
    Stage("URL routing", "sms_router.web.routes", "WebhookRouter.__call__"),
    Stage("endpoint", "sms_router.web.webhooks", "InboundEndpoint.__call__"),
    Stage("authentication", "sms_router.web.authentication", "WebhookAuthenticator.authenticate"),
    Stage("read headers", "sms_router.web.authentication", "read_headers"),
    Stage("read body", "sms_router.web.authentication", "read_body"),
    Stage("parse form", "sms_router.web.authentication", "parse_form"),
    Stage("signature", "sms_router.twilio.signature", "SignatureVerifier.verify"),
    Stage("read message", "sms_router.web.webhooks", "parse_inbound"),
    Stage("pipeline", "sms_router.routing.pipeline.pipeline", "Pipeline.answer"),
    Stage("claim message", "sms_router.routing.inbox.inbox", "Inbox.claim"),
    Stage("find keyword", "sms_router.routing.dispatch.dispatcher", "Dispatcher.resolve"),
    Stage("render template", "sms_router.routing.keywords.templates", "TemplateReply.reply"),
    Stage("compose", "sms_router.routing.pipeline.composer", "Composer.compose_draft"),
    Stage("select sender", "sms_router.routing.pipeline.composer", "select"),
    Stage("write TwiML", "sms_router.routing.pipeline.composer", "render"),
    Stage("write to Valkey", "sms_router.store.connection", "PipelinedConnection._flush"),
    Stage("read from Valkey", "sms_router.store.connection", "PipelinedConnection.data_received"),
    Stage("response", "sms_router.web.webhooks", "send_twiml"),
    Stage("write response", "sms_router.server.http_cycle", "SingleWriteCycle._write"),
)

ENTRY_STAGE = "endpoint"
"""Each message calls this stage once, so its calls are the number of messages."""
