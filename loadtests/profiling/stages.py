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
    """Where the name is looked up when the road calls it, which is not always where it is defined."""
    attribute: str
    """A function of the module, or ``Class.method``."""

    @property
    def target(self) -> tuple[Any, str, Callable[..., Any]]:
        """What holds the function, the name it holds it by, and the function.

        Raises:
            AttributeError: when the road was rebuilt and this stage does not exist any more.

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
    Stage("HTTP parse", "app.web.protocol", "OneWriteProtocol.data_received"),
    Stage("ASGI cycle", "uvicorn.protocols.http.httptools_impl", "RequestResponseCycle.run_asgi"),
    Stage("URL routing", "app.web.router", "WebhookRouter.__call__"),
    Stage("endpoint", "app.web.webhooks", "InboundEndpoint.__call__"),
    Stage("gate", "app.web.gate", "Gate.admit"),
    Stage("read headers", "app.web.gate", "read_headers"),
    Stage("read body", "app.web.gate", "read_body"),
    Stage("parse form", "app.web.gate", "parse_form"),
    Stage("signature", "app.twilio.signature", "SignatureVerifier.verify"),
    Stage("read message", "app.web.webhooks", "read_inbound"),
    Stage("pipeline", "app.routing.pipeline", "Pipeline.answer"),
    Stage("open record", "app.routing.record", "Records.open"),
    Stage("find keyword", "app.routing.dispatch", "Dispatcher.find"),
    Stage("render text", "app.routing.dispatch", "Immediate.reply"),
    Stage("compose", "app.routing.composing", "Composer.draft"),
    Stage("select sender", "app.routing.composing", "select"),
    Stage("write TwiML", "app.routing.composing", "Composer._document"),
    Stage("write to Valkey", "app.store.wire", "Wire._flush"),
    Stage("read from Valkey", "app.store.wire", "Wire.data_received"),
    Stage("response", "app.web.webhooks", "send_twiml"),
    Stage("write response", "app.web.cycle", "OneWriteCycle._write"),
)

ENTRANCE = "endpoint"
"""The stage that every message passes once; its calls are the messages."""
