"""The stages of one inbound message: which function each one is, in the order in which they are met."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stage:
    """One function whose own time is taken; what it calls counts there only where that is no stage itself."""

    name: str
    module: str
    """Where the name is looked up when the router calls it, which is not always where it is defined."""
    attribute: str
    """A function of the module, or ``Class.method``."""

    @property
    def target(self) -> tuple[Any, str, Callable[..., Any]]:
        """What holds the function, the name it holds it by, and the function.

        Raises:
            AttributeError: when the code has changed and the function does not exist any more.

        """
        holder: Any = importlib.import_module(self.module)
        *classes, name = self.attribute.split(".")
        for each in classes:
            holder = getattr(holder, each)
        return holder, name, getattr(holder, name)

    @property
    def waits(self) -> bool:
        """True for a coroutine: only its own steps count, never what it waits for."""
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
    Stage("read message", "sms_router.web.webhooks", "read_inbound"),
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

ENTRANCE = "endpoint"
"""The stage that every message passes once; its calls are the messages."""
