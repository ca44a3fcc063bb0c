"""The figures of docs/limits.md are those of the code."""

from __future__ import annotations

import re

from sms_router import logs
from sms_router.config.models import RouterConfig
from sms_router.delivery import outbox, outbox_worker
from sms_router.routing.contacts import contacts
from sms_router.routing.dispatch import published
from sms_router.routing.handler import conversation, decorators, http_client, profile
from sms_router.routing.history import abandoned_messages
from sms_router.routing.inbox import inbox
from sms_router.routing.keywords import template_limits
from sms_router.routing.pipeline import event_runner, late_replies, pipeline
from sms_router.routing.upstream import circuit_breaker
from sms_router.routing.upstream import http_client as upstream_client
from sms_router.server import http_protocol
from sms_router.store.spool import spool
from sms_router.twilio import splitting, twiml, twiml_parser
from sms_router.web import http, probes
from sms_router.web.console import login_throttle, sessions
from tests.documentation.pages import REPOSITORY, without_blocks

CONFIG = {name: field.get_default() for name, field in RouterConfig.model_fields.items()}
ROUTER, GUARD = CONFIG["router"], CONFIG["loop_guard"]
MB = 1024 * 1024

FIGURES: dict[str, tuple[float, ...]] = {
    "answer of a handler or an application": (ROUTER.inline_deadline,),
    "late reply": (ROUTER.late_limit,),
    "one call of Redis": (inbox.STORE_BUDGET,),
    "wait for another worker's answer": (pipeline.MAX_WAIT,),
    "lease of a claim": (inbox.LEASE,),
    "claimed, and never answered": (abandoned_messages.ABANDONED_AFTER,),
    "attempts of a handler whose worker is lost": (outbox.MAX_ATTEMPTS,),
    "a handler of an event": (decorators.EVENT_DEADLINE,),
    "attempts of a handler of an event": (len(event_runner.RETRY_DELAYS) + 1,),
    "plain functions at once, in each process": (ROUTER.handler_threads,),
    "late replies in progress, in each process": (late_replies.MAX_LATE_REPLIES,),
    "replies without a pause of 30 s": (GUARD.replies,),
    "conversation": (CONFIG["conversations"].expires_after,),
    "state of a conversation": (conversation.MAX_BYTES,),
    "attributes of a contact": (profile.MAX_ATTRIBUTES, profile.MAX_BYTES),
    "messages in one reply": (twiml.MAX_MESSAGES,),
    "characters in one message": (splitting.MAX_BODY_LENGTH,),
    "characters of a value": (template_limits.MAX_CHARACTERS,),
    "steps (iterations, calls, filters)": (template_limits.MAX_STEPS,),
    "processor time": (template_limits.MAX_SECONDS,),
    "connecting": (upstream_client.CONNECT_TIMEOUT,),
    "a late page": (late_replies.UPSTREAM_TIMEOUT,),
    "size of a page": (twiml_parser.MAX_PAGE_BYTES,),
    "redirects": (upstream_client.MAX_REDIRECTS,),
    "calls at once, in each process": (ROUTER.upstream_calls,),
    "failed share that opens the circuit breaker": (
        circuit_breaker.FAILURE_RATE,
        circuit_breaker.MIN_CALLS,
        circuit_breaker.WINDOW,
    ),
    "a call of a handler's `http`": (http_client.TOTAL_TIMEOUT, http_client.MAX_BODY_BYTES / MB),
    "a call of Twilio's API": (CONFIG["twilio"].timeout,),
    "pause after 429": (outbox_worker.MIN_RETRY_DELAY, outbox_worker.MAX_RETRY_DELAY),
    "sends at once, in each process": (outbox_worker.MAX_CONCURRENT_ENTRIES,),
    "header": (http_protocol.MAX_HEAD_BYTES, http_protocol.MAX_HEADERS, 10),
    "body of a webhook": (http.MAX_BODY_BYTES, http.BODY_TIMEOUT),
    "idle connection": (CONFIG["server"].keep_alive,),
    "incomplete requests and unread answers, in each process": (http_protocol.MAX_WAITING_BYTES / MB,),
    "`/metrics` and `/readyz`": (probes.MAX_SHARE * 100,),
    "wrong console passwords of an address": (login_throttle.MAX_PER_SOURCE,),
    "console login": (sessions.SESSION_LIFETIME / 3600,),
    "messages and status callbacks": (ROUTER.retention_days,),
    "evidence of consent": (ROUTER.consent_retention_days,),
    "suspected texts": (contacts.MAX_SUSPECTED,),
    "writes that wait while disk and Redis are away, in each process": (spool.MAX_QUEUED_BYTES / MB,),
    "published rules": (published.MAX_VERSIONS, published.MAX_BYTES / 1_000_000),
    "log lines of one kind": (logs.MAX_LINES,),
}


def test_the_figures_are_those_of_the_code() -> None:
    page = without_blocks(REPOSITORY / "docs" / "limits.md").partition("## When a change")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in page.splitlines() if line[:1] == "|"]
    written = {
        name: tuple(float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*\b", figure))
        for name, figure in rows
    }
    assert {name: written.get(name) for name in FIGURES} == FIGURES
