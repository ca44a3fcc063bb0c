"""``/console/people``: what is known of one person, and the opt-out list. Numbers come by POST alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from starlette.responses import Response

from sms_router.privacy import mask_number
from sms_router.routing.contacts.summary import ContactSummary, describe, stored_person
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.opt_outs.opt_out_list import OptOut, OptOutList, validate_entry
from sms_router.store.server_clock import server_time
from sms_router.twilio.phone_numbers import parse_phone_number
from sms_router.web.console.auth import ConsoleRequest
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.message_rows import row_of
from sms_router.web.console.rendering import PageError, Pages

log = logging.getLogger("sms_router.console")

NEWEST = 20
SOURCE = "operator"
LONGEST_NUMBER = 40
_A_SHORT_CODE = "12345"


class ContactInService(NamedTuple):
    """What a person is to one Service."""

    scope: str
    name: str
    opted_out: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContactPages:
    """The form, and what it finds."""

    desk: ConsoleContext
    pages: Pages
    find: Callable[[str], Awaitable[MessageRecord]]
    """By the sid of a message, which stands for its sender: their number is in no page unasked."""

    async def ask(self, visit: ConsoleRequest) -> Response:
        """Ask for a number."""
        return self.pages.show("people.html", visit.session, scopes=self._scopes())

    async def show(self, visit: ConsoleRequest) -> Response:
        """Show what is known of somebody."""
        number = await self._number(visit)
        return await self._shown(visit, number, "")

    async def opt_out(self, visit: ConsoleRequest) -> Response:
        """Put somebody on the list: they get nothing from us until they text START."""
        number, scope = await self._number(visit), self._scope(visit)

        def add(client: Redis) -> int:
            return self._list(client).add([OptOut(number, scope, int(server_time(client) * 1000), SOURCE)])

        news = await self.desk.archive.ask(add)
        log.info("the console: put %s on the opt-out list for %s", mask_number(number), scope)
        done = "They are on the list now." if news else "They were on the list already."
        return await self._shown(visit, number, done)

    async def opt_in(self, visit: ConsoleRequest) -> Response:
        """Take somebody off the list; Twilio keeps its own list, which only they can leave."""
        number, scope = await self._number(visit), self._scope(visit)

        def remove(client: Redis) -> bool:
            return self._list(client).remove(OptOut(number, scope, int(server_time(client) * 1000), SOURCE))

        was_there = await self.desk.archive.ask(remove)
        log.info("the console: took %s off the opt-out list for %s", mask_number(number), scope)
        return await self._shown(
            visit, number, "They are off the list." if was_there else "They were not on it."
        )

    async def _shown(self, visit: ConsoleRequest, number: str, done: str) -> Response:
        scopes, now, table = self._scopes(visit), self.desk.now, self.desk.people.table
        reveal = visit.reveal or self.desk.open

        def read(client: Redis) -> tuple[list[ContactInService], list[object]]:
            standings = [
                _standing(scope, name, ContactSummary(stored_person(client, scope, number), table, now))
                for scope, name in scopes.items()
            ]
            return standings, [
                row_of(each, reveal) for each in HistoryReader(client).for_contact(number, NEWEST)
            ]

        standings, rows = await self.desk.archive.ask(read)
        if visit.reveal:
            log.info("the console: %s was looked at in full", mask_number(number))
        return self.pages.show(
            "person.html",
            visit.session,
            handle=("sid", visit.form["sid"]) if visit.form.get("sid") else ("number", number),
            shown=number if reveal else mask_number(number),
            standings=standings,
            rows=rows,
            done=done,
            ours=visit.form.get("ours", ""),
            reveal=reveal,
            open=self.desk.open,
        )

    def _list(self, client: Redis) -> OptOutList:
        return OptOutList(client, self.desk.people.table.max_ttl_ms)

    def _scopes(self, visit: ConsoleRequest | None = None) -> dict[str, str]:
        """Return where a person's facts may stand: the Services, and a number of ours that was named."""
        scopes = {}
        for status in self.desk.membership.statuses():
            snapshot = self.desk.membership.snapshot(status.service_sid)
            scopes[status.service_sid] = snapshot.settings.friendly_name if snapshot is not None else ""
        ours = parse_phone_number(visit.form.get("ours", "")[:LONGEST_NUMBER]) if visit is not None else ""
        return {**scopes, ours: "Outside of Services"} if ours else scopes

    async def _number(self, visit: ConsoleRequest) -> str:
        number = parse_phone_number(visit.form.get("number", "")[:LONGEST_NUMBER])
        if sid := visit.form.get("sid", ""):
            message = (await self.find(sid)).message
            number = message.sender if message is not None else ""
        if validate_entry(number, _A_SHORT_CODE) is not None:
            raise PageError(400, "A number is written like +14155550123, with its country's code.")
        if any(validate_entry(number, scope) is not None for scope in self._scopes(visit)):
            raise PageError(400, "A number of ours is written like +14155550100, or 12345.")
        return number

    def _scope(self, visit: ConsoleRequest) -> str:
        scope = visit.form.get("scope", "")
        if scope not in self._scopes(visit):
            raise PageError(400, "That is not one of the configured Messaging Services.")
        return scope


def _standing(scope: str, name: str, known: ContactSummary) -> ContactInService:
    return ContactInService(scope, name, known.facts.opted_out, tuple(describe(known)))
