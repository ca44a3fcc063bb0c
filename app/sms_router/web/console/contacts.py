"""``/console/people``: what is stored of a contact, and the opt-out list. Numbers are sent by POST only."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis import Redis
from starlette.responses import Response

from sms_router.privacy import mask_number
from sms_router.routing.contacts.contact import ContactSummary, describe_contact, read_contact
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.opt_outs.evidence import read_ledger
from sms_router.routing.opt_outs.opt_out_list import OptOutList, SuspectedText
from sms_router.twilio.phone_numbers import parse_address
from sms_router.web.console.auth import ConsolePages, ConsoleRequest
from sms_router.web.console.message_rows import MessageRow, build_row
from sms_router.web.console.rendering import PageError

log = logging.getLogger("sms_router.console")

NEWEST_MESSAGES = 20
MAX_SUSPECTED = 200
SOURCE = "operator"
"""Of the entries that the console adds to the opt-out list."""

_CHANGES = {
    (True, True): "are on the opt-out list now",
    (True, False): "were on the opt-out list already",
    (False, True): "are off the opt-out list",
    (False, False): "were not on the opt-out list",
}
"""The result of an opt-out (True) or an opt-in, by whether it has changed the list."""


@dataclass(frozen=True, slots=True)
class ContactPages(ConsolePages):
    """The search form and the page of a contact."""

    find: Callable[[str], Awaitable[MessageRecord]]
    """Returns a message by its sid: a page can name its contact by it without showing the number."""

    async def search(self, request: ConsoleRequest) -> Response:
        return self.render(request, "contacts.html", scopes=self._scopes())

    async def show(self, request: ConsoleRequest) -> Response:
        return await self._page(request, await self._number(request), "")

    async def change(self, request: ConsoleRequest, *, is_opt_out: bool) -> Response:
        """Add a contact to the opt-out list until they text START, or remove them.

        Twilio has its own list, which ends with their START only.
        """
        number, scope = await self._number(request), self._scope(request)
        if request.form.get("confirmed") != "1":
            return await self._page(request, number, "", asked=scope)

        def change(client: Redis) -> bool:
            opt_out_list = self._opt_out_list(client)
            entry = opt_out_list.new_entry(number, scope, SOURCE)
            return bool(opt_out_list.add([entry])) if is_opt_out else opt_out_list.remove(entry)

        has_changed = await self.context.executor.run_with_client(change)
        change_name = "added %s to" if is_opt_out else "removed %s from"
        log.info(f"{change_name} the opt-out list of %s", mask_number(number), scope)
        return await self._page(request, number, f"They {_CHANGES[is_opt_out, has_changed]}.")

    async def suspected(self, request: ConsoleRequest) -> Response:
        """List the texts that may be meant as an opt-out."""
        return await self._suspected_page(request, "")

    async def decide(self, request: ConsoleRequest) -> Response:
        """Decide whether a suspected text is an opt-out; the form names it by its message."""
        reference, is_opt_out = request.form.get("reference", ""), request.form.get("decision") == "opt-out"

        def change(client: Redis) -> str:
            opt_out_list = self._opt_out_list(client)
            text = next((text for text in opt_out_list.suspected() if text.reference == reference), None)
            if text is None:
                return "It was decided before."
            source = f"{SOURCE}, suspected text {reference.rpartition('/')[2]}"
            entry = opt_out_list.new_entry(text.number, text.service, source)
            (opt_out_list.add if is_opt_out else opt_out_list.dismiss)([entry])
            decision = "an opt-out" if is_opt_out else "not an opt-out"
            log.info("decided that a text of %s is %s", mask_number(text.number), decision)
            return f"It is {decision}."

        return await self._suspected_page(request, await self.context.executor.run_with_client(change))

    async def _suspected_page(self, request: ConsoleRequest, notice: str) -> Response:
        reveal = request.reveal

        def read(client: Redis) -> list[tuple[SuspectedText, MessageRow]]:
            texts = self._opt_out_list(client).suspected()[:MAX_SUSPECTED]
            records = HistoryReader(client).read((text.number, text.reference) for text in texts)
            return [(text, build_row(record, reveal)) for text, record in zip(texts, records, strict=True)]

        rows = await self.context.executor.run_with_client(read)
        return self.render(
            request,
            "suspected.html",
            rows=[(text, row, text.number if reveal else mask_number(text.number)) for text, row in rows],
            notice=notice,
        )

    async def _page(
        self, request: ConsoleRequest, number: str, notice: str, asked: str | None = None
    ) -> Response:
        """Show the contact; in the card of the scope ``asked``, ask before the opt-out list is changed."""
        scopes, now, table = self._scopes(request), self.context.now, self.context.contacts.table
        reveal = request.reveal

        def read(
            client: Redis,
        ) -> tuple[list[tuple[str, str, ContactSummary]], list[MessageRow], list[list[str]]]:
            services = [
                (scope, name, ContactSummary(read_contact(client, scope, number), table, now))
                for scope, name in scopes.items()
            ]
            records = HistoryReader(client).for_contact(number, NEWEST_MESSAGES)
            evidence = [entry.describe(reveal) for entry in read_ledger(client, number)]
            return services, [build_row(record, reveal) for record in records], evidence

        services, rows, evidence = await self.context.executor.run_with_client(read)
        if request.asks_to_reveal:
            log.info("the contact %s was shown in full", mask_number(number))
        sid = request.form.get("sid")
        return self.render(
            request,
            "contact.html",
            handle=("sid", sid) if sid else ("number", number),
            shown=number if reveal else mask_number(number),
            services=[
                (scope, name, summary.facts.opted_out, list(describe_contact(summary)))
                for scope, name, summary in services
            ],
            rows=rows,
            evidence=evidence,
            notice=notice,
            asked=asked,
            ours=request.form.get("ours", ""),
        )

    def _opt_out_list(self, client: Redis) -> OptOutList:
        days = self.context.settings.router.consent_retention_days
        return OptOutList(client, self.context.contacts.table.max_ttl_ms, days, self.context.contacts.events)

    def _scopes(self, request: ConsoleRequest | None = None) -> dict[str, str]:
        """Return the name of each scope: the Services, and an entered number of ours outside of Services."""
        scopes = {status.service_sid: name for name, status, _ in self.context.services()}
        if request is not None and (entered := request.form.get("ours", "").strip()):
            scopes[parse_address(entered)] = "Outside of Services"
        return scopes

    async def _number(self, request: ConsoleRequest) -> str:
        if sid := request.form.get("sid", ""):
            message = (await self.find(sid)).message
            if message is not None:
                return message.contact
        return self.context.parse_contact(request.form.get("number", ""))

    def _scope(self, request: ConsoleRequest) -> str:
        scope = request.form.get("scope", "")
        if scope not in self._scopes(request):
            raise PageError(400, "This is not one of the configured Messaging Services.")
        return scope
