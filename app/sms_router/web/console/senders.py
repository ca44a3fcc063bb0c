"""``/console/senders``: the senders and their state, cordons, and numbers in onboarding."""

from __future__ import annotations

import logging
from functools import partial
from itertools import islice
from typing import NamedTuple

from redis import Redis
from starlette.responses import Response

from sms_router.membership.service_state import ServiceStatus
from sms_router.membership.snapshot_diff import format_capabilities
from sms_router.membership.sync.cordon_sync import release_cordon, store_cordon, stored_cordons
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.repository import OnboardingState, load_state
from sms_router.senders.cordons import MAX_REASON_LENGTH, Cordon, parse_reason
from sms_router.senders.models import Sender, SenderConditions, SenderKind
from sms_router.senders.pending import live_notice
from sms_router.senders.rate_limits import SenderLimit
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.server_clock import server_time
from sms_router.web.console.auth import ConsolePages, ConsoleRequest, Done
from sms_router.web.console.rendering import PageError

log = logging.getLogger("sms_router.console")

SENDERS_PER_PAGE = 100
MAX_PENDING_SHOWN = 100
OPERATOR = "the console"
"""Who changed something, in the audit log."""

CORDON_DURATIONS = {
    "30m": (1800, "in 30 minutes"),
    "2h": (7200, "in 2 hours"),
    "1d": (86_400, "in a day"),
    "": (0, "it is released"),
}
"""The choices of the form: seconds, and the label; zero: until it is released."""

_KINDS = list(SenderKind)


class SenderRow(NamedTuple):
    """One sender of one Service."""

    sender: Sender
    sends: str
    limit: str
    sent_today: int
    cordon: Cordon | None
    objection: str
    """Why it is not selected now; empty when it may be."""


class SenderPages(ConsolePages):
    """The page of senders and its forms."""

    async def show(self, request: ConsoleRequest) -> Response:
        number = request.query_page()
        services, more = self._services(number * SENDERS_PER_PAGE)
        render = partial(
            self.render,
            request,
            "senders.html",
            services=services,
            pending=await self._pending_numbers() if not number else [],
            limited=bool(self.context.settings.limits),
            failing=self.context.failure_monitor.failing(),
            number=number,
            more=more,
            durations=CORDON_DURATIONS,
            max_reason=MAX_REASON_LENGTH,
        )
        return await self.context.executor.run(render)

    async def cordon(self, request: ConsoleRequest) -> Response:
        sender, service_sid = self._find(request.path_parameter("sid"))
        duration = request.form.get("span", "")
        if duration not in CORDON_DURATIONS:
            raise PageError(400, "Choose a duration from the list.")
        try:
            reason = parse_reason(request.form.get("reason", ""))
        except ValueError as error:
            raise PageError(400, f"Enter a reason: {error}.") from error

        def store(client: Redis) -> str:
            now = server_time(client)
            until = now + CORDON_DURATIONS[duration][0] if duration else None
            cordon = Cordon(sender.sid, sender.address, service_sid, reason, now, until, OPERATOR)
            store_cordon(client, cordon)
            return f"{sender.address}: {cordon.describe(now)}"

        log.info("cordoned %s", await self.context.executor.run_with_client(store))
        await self.context.membership.sync()
        return Done("/console/senders", "The sender is out of use, on every router within a second.")

    async def release(self, request: ConsoleRequest) -> Response:
        sid = request.path_parameter("sid")

        def release(client: Redis) -> Cordon | None:
            now = server_time(client)
            cordon = next((cordon for cordon in stored_cordons(client, now) if cordon.sid == sid), None)
            if cordon is not None:
                release_cordon(client, cordon, now, OPERATOR)
            return cordon

        released = await self.context.executor.run_with_client(release)
        if released is None:
            raise PageError(409, "The sender is not cordoned any more.")
        log.info("released %s (%s)", released.address, sid)
        await self.context.membership.sync()
        return Done("/console/senders", "The sender is in use again, on every router within a second.")

    async def refresh(self, request: ConsoleRequest) -> Response:
        """Read a Service's Sender Pool from Twilio now, for every router."""
        sid = request.path_parameter("sid")
        if all(status.service_sid != sid for status in self.context.membership.statuses()):
            raise PageError(404, "This is not one of the configured Messaging Services.")
        snapshot = await self.context.membership.refresh_after_change(sid)
        log.info("read %s from Twilio: %d senders", sid, len(snapshot.senders))
        return Done("/console/senders", "The Sender Pool was read from Twilio, for every router.")

    def _services(self, start: int) -> tuple[list[tuple[str, ServiceStatus, list[SenderRow]]], bool]:
        """Return the Services with the senders of the page that begins at ``start``; whether more follow."""
        conditions = self.context.availability.conditions()
        cordons = {cordon.sid: cordon for cordon in self.context.membership.cordons.active}
        services: list[tuple[str, ServiceStatus, list[SenderRow]]] = []
        room, skip = SENDERS_PER_PAGE, start
        more = False
        for name, status, snapshot in self.context.services():
            senders = list(snapshot.senders) if snapshot is not None else []
            senders.sort(key=lambda sender: _KINDS.index(sender.kind))
            shown = list(islice(senders, skip, skip + room))
            more = more or len(senders) > skip + room
            room, skip = room - len(shown), max(0, skip - len(senders))
            rows = [self._row(sender, conditions, cordons.get(sender.sid)) for sender in shown]
            services.append((name, status, rows))
        return services, more

    def _row(self, sender: Sender, conditions: SenderConditions, cordon: Cordon | None) -> SenderRow:
        objection = conditions.objection(sender.sid)
        if not objection and not sender.live:
            objection = "its port or lease is pending"
        return SenderRow(
            sender,
            format_capabilities(sender.capabilities),
            _format_limit(self.context.settings.limits.limit_for(sender)),
            self.context.rate_limiter.sent_today(sender.sid),
            cordon,
            objection or "",
        )

    def _find(self, sid: str) -> tuple[Sender, str]:
        for _, status, snapshot in self.context.services():
            for sender in snapshot.senders if snapshot is not None else ():
                if sender.sid == sid:
                    return sender, status.service_sid
        raise PageError(404, "No configured Messaging Service has this sender any more.")

    async def _pending_numbers(self) -> list[tuple[Checklist, str]]:
        """Return the numbers in onboarding and why an operator should look at them.

        There are none while Redis, which has them, is not available.
        """
        try:
            state = await self.context.executor.run_with_client(load_state)
        except StoreUnavailableError:
            return []
        now = self.context.clock()
        state = state.apply_silence(now)
        return [(each, _find_trouble(each, state, now)) for each in state.pending[:MAX_PENDING_SHOWN]]


def _find_trouble(checklist: Checklist, state: OnboardingState, now: float) -> str:
    if checklist.rejected is not None:
        return f"rejected: {checklist.rejected}"
    if checklist.number in state.texted and not checklist.process.gradual:
        return live_notice(checklist.number)
    return checklist.overdue_reason(now) or ""


def _format_limit(limit: SenderLimit | None) -> str:
    if limit is None:
        return ""
    rate = f"{limit.per_second:g} a second" if limit.per_second else ""
    return ", ".join(filter(None, (rate, f"{limit.per_day} a day" if limit.per_day else "")))
