"""``/console/messages/{sid}/replay``: preview and request the replay of a message."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from starlette.responses import Response

from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus, failed_rule, request_replay
from sms_router.routing.history.timeline import body_of, number_of
from sms_router.routing.pipeline.explain import ReplayPreview, preview_replay
from sms_router.twilio.inbound import InboundMessage
from sms_router.web.console.auth import ConsolePages, ConsoleRequest, Done
from sms_router.web.console.messages import check_replay
from sms_router.web.console.rendering import PageError

log = logging.getLogger("sms_router.console")

OLD_AFTER = 24 * 3_600_000
"""Milliseconds after which a reply may surprise the contact; the operator has to confirm it."""


class RequiredConfirmations(NamedTuple):
    """What the operator has to confirm before a replay."""

    old: bool = False
    unknown: bool = False
    """The first reply may have been sent, so the contact may get two."""
    default: bool = False
    """The rule that has failed is gone, so the contact would get the default."""


@dataclass(frozen=True, slots=True)
class ReplayPages(ConsolePages):
    """The preview of a replay, and the form that requests it."""

    find: Callable[[str], Awaitable[MessageRecord]]

    async def show(self, request: ConsoleRequest) -> Response:
        record = await self.find(request.path_parameter("sid"))
        check, confirmations = self._check(record)
        preview = None
        if check.status is ReplayStatus.YES and record.message is not None:
            preview = await self._preview(record.message, failed_rule(record))
            check = preview.forbidden or check
            confirmations = confirmations._replace(default=preview.sends_default)
        return self.render(
            request,
            "replay.html",
            record=record,
            contact=number_of(record, request.reveal),
            body=body_of(record, request.reveal),
            possible=check.status is ReplayStatus.YES,
            why=check.reason,
            confirmations=confirmations,
            preview=preview,
        )

    async def request(self, request: ConsoleRequest) -> Response:
        """Put the replay into the outbox; a running router takes it from there."""
        record = await self.find(request.path_parameter("sid"))
        check, confirmations = self._check(record)
        if check.status is not ReplayStatus.YES or record.message is None:
            raise PageError(409, f"It is not replayed: {check.reason}.")
        if confirmations.old and request.form.get("however_old") != "1":
            raise PageError(409, "The message is old: tick the box to replay it.")
        if confirmations.unknown and request.form.get("even_if_unknown") != "1":
            raise PageError(409, "Its reply may have been sent already: tick the box if it may arrive twice.")
        preview = await self._preview(record.message, failed_rule(record))
        if preview.forbidden is not None:
            raise PageError(409, f"It is not replayed: {preview.forbidden.reason}.")
        if preview.against:
            raise PageError(409, f"It is not replayed: {preview.against}.")
        if preview.sends_default and request.form.get("even_if_default") != "1":
            raise PageError(
                409, f"The rule {preview.failed_rule} has failed: tick the box to send the default instead."
            )
        days, unknown = self.context.settings.router.retention_days, confirmations.unknown

        def enqueue(client: Redis) -> ReplayCheck:
            return request_replay(client, record, preview.scope, days, even_unknown=unknown)

        requested = await self.context.executor.run_with_client(enqueue)
        if requested.status is not ReplayStatus.ASKED:
            raise PageError(409, f"It is not replayed: {requested.reason}.")
        log.info("a replay of %s was requested", record.sid)
        notice = "The replay is requested. A running router carries it out; the timeline shows the result."
        return Done(f"/console/messages/{record.sid}", notice)

    def _check(self, record: MessageRecord) -> tuple[ReplayCheck, RequiredConfirmations]:
        """Return whether the message may be replayed, and what has to be confirmed."""
        now = self.context.now
        strict = check_replay(record, now, even_unknown=False)
        check = check_replay(record, now, even_unknown=True)
        old = record.received is not None and now - record.received > OLD_AFTER
        return check, RequiredConfirmations(old, strict.status is ReplayStatus.UNKNOWN)

    async def _preview(self, message: InboundMessage, failed: str | None) -> ReplayPreview:
        context = self.context
        scope = context.contacts.scope_of(message.service_sid, message.recipient, message.account_sid)
        summary, conversation = await context.read_contact(scope, message.contact)
        facts, conditions = summary.facts, context.availability.conditions()
        return preview_replay(
            message, scope, facts, conversation, context.dispatcher, context.composer, conditions, failed
        )
