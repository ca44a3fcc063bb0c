"""``/console/senders``: the numbers that may answer, what speaks against them, and taking one out of use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from redis import Redis
from starlette.responses import RedirectResponse, Response

from sms_router.membership import audit_log as journal
from sms_router.membership.service_state import ServiceStatus
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import sends
from sms_router.membership.sync.cordon_sync import release as release_cordon
from sms_router.membership.sync.cordon_sync import store_cordon, stored_cordons
from sms_router.senders.cordons import MAX_REASON_LENGTH, Cordon, parse_reason
from sms_router.senders.models import Sender, SenderConditions, SenderKind
from sms_router.senders.rate_limits import SenderLimit
from sms_router.store.server_clock import server_time
from sms_router.web.console.arrivals import arriving
from sms_router.web.console.auth import ConsoleRequest
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.rendering import PageError, Pages

log = logging.getLogger("sms_router.console")

ON_A_PAGE = 100
WHO = "the console"

SPANS = {"30m": (1800, "30 minutes"), "2h": (7200, "2 hours"), "1d": (86_400, "a day"), "": (0, "released")}
"""How long a cordon may be chosen to last, in seconds and in words; zero: until it is released."""


_KINDS = list(SenderKind)


class SenderRow(NamedTuple):
    """One sender of one Service."""

    sender: Sender
    sends: str
    limit: str
    sent_today: int
    cordon: Cordon | None
    against: str
    """What speaks against it now; empty when nothing does."""


class ServiceSenders(NamedTuple):
    """One Service's senders, as many as fit on the page."""

    name: str
    status: ServiceStatus
    lines: list[SenderRow]


@dataclass(frozen=True, slots=True)
class Senders:
    """The page and its forms."""

    desk: ConsoleContext
    pages: Pages

    async def show(self, visit: ConsoleRequest) -> Response:
        """List the senders, a page at a time."""
        wanted = visit.query("page")
        page = int(wanted) if wanted.isdecimal() and len(wanted) < 5 else 0
        groups, more = self._groups(page * ON_A_PAGE)
        draw = partial(
            self.pages.show,
            "senders.html",
            visit.session,
            groups=groups,
            arriving=await arriving(self.desk) if not page else [],
            limited=bool(self.desk.settings.limits),
            failing=self.desk.failures.failing(),
            number=page,
            more=more,
            spans=SPANS,
            longest=MAX_REASON_LENGTH,
            done=visit.query("done"),
        )
        return await self.desk.archive.apart(draw)

    async def cordon(self, visit: ConsoleRequest) -> Response:
        """Take a sender out of use for a while, on every router."""
        sender, service_sid = self._find(visit.place("sid"))
        span = visit.form.get("span", "")
        if span not in SPANS:
            raise PageError(400, "Choose from the list how long.")
        try:
            reason = parse_reason(visit.form.get("reason", ""))
        except ValueError as error:
            raise PageError(400, f"Say why: {error}.") from error

        def store(client: Redis) -> str:
            now = server_time(client)
            until = now + SPANS[span][0] if span else None
            cordon = Cordon(sender.sid, sender.address, service_sid, reason, now, until, WHO)
            store_cordon(client, cordon)
            words = f"{sender.address}: {cordon.describe(now)}"
            journal.record(client, service_sid, "cordon", sender.sid, words, who=WHO)
            return words

        log.info("the console: cordoned %s", await self.desk.archive.ask(store))
        await self.desk.membership.sync()
        return RedirectResponse("/console/senders?done=cordoned", 303)

    async def release(self, visit: ConsoleRequest) -> Response:
        """Put a sender into use again, on every router."""
        sid = visit.place("sid")

        def release(client: Redis) -> Cordon | None:
            now = server_time(client)
            found = next((each for each in stored_cordons(client, now) if each.sid == sid), None)
            if found is not None:
                release_cordon(client, found, now)
                journal.record(client, found.service_sid, "release", sid, found.address, who=WHO)
            return found

        released = await self.desk.archive.ask(release)
        if released is None:
            raise PageError(409, "It is not out of use any more.")
        log.info("the console: released %s (%s)", released.address, sid)
        await self.desk.membership.sync()
        return RedirectResponse("/console/senders?done=released", 303)

    async def refresh(self, visit: ConsoleRequest) -> Response:
        """Read a Service from Twilio now, for every router."""
        sid = visit.place("sid")
        if all(status.service_sid != sid for status in self.desk.membership.statuses()):
            raise PageError(404, "That is not one of the configured Messaging Services.")
        snapshot = await self.desk.membership.refresh_after_change(sid)
        log.info("the console: read %s from Twilio: %d senders", sid, len(snapshot.senders))
        return RedirectResponse("/console/senders?done=read", 303)

    def _groups(self, start: int) -> tuple[list[ServiceSenders], bool]:
        """Return the Services with their senders from one on, and whether there are more."""
        conditions = self.desk.availability.conditions()
        cordons = {each.sid: each for each in self.desk.membership.cordons.active}
        groups: list[ServiceSenders] = []
        room, skip = ON_A_PAGE, start
        more = False
        for status in self.desk.membership.statuses():
            snapshot = self.desk.membership.snapshot(status.service_sid)
            senders = sorted(snapshot.senders, key=_rank) if snapshot is not None else []
            shown = list(islice(senders, skip, skip + room))
            more = more or len(senders) > skip + room
            room, skip = room - len(shown), max(0, skip - len(senders))
            lines = [self._line(sender, conditions, cordons.get(sender.sid)) for sender in shown]
            name = snapshot.settings.friendly_name if snapshot is not None else ""
            groups.append(ServiceSenders(name, status, lines))
        return groups, more

    def _line(self, sender: Sender, conditions: SenderConditions, cordon: Cordon | None) -> SenderRow:
        limit = self.desk.settings.limits.limit_for(sender)
        against = conditions.objection(sender.sid) or ("" if sender.live else "a port or a lease is pending")
        sent = self.desk.rates.sent_today(sender.sid)
        return SenderRow(sender, sends(sender.capabilities), _limit_in_words(limit), sent, cordon, against)

    def _snapshots(self) -> Iterator[Snapshot]:
        for status in self.desk.membership.statuses():
            snapshot = self.desk.membership.snapshot(status.service_sid)
            if snapshot is not None:
                yield snapshot

    def _find(self, sid: str) -> tuple[Sender, str]:
        for snapshot in self._snapshots():
            for sender in snapshot.senders:
                if sender.sid == sid:
                    return sender, snapshot.service_sid
        raise PageError(404, "No Messaging Service of the router's has that sender any more.")


def _rank(sender: Sender) -> int:
    return _KINDS.index(sender.kind)


def _limit_in_words(limit: SenderLimit | None) -> str:
    if limit is None:
        return ""
    rate = f"{limit.per_second:g} a second" if limit.per_second else ""
    return ", ".join(filter(None, (rate, f"{limit.per_day} a day" if limit.per_day else "")))
