"""``/console/keywords``: the rules, and trying a text on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from sms_router.routing.contacts.summary import describe
from sms_router.routing.pipeline.explain import (
    Explanation,
    by_precedence,
    describe_responder,
    explain,
    sample_message,
)
from sms_router.senders.models import SenderKind
from sms_router.twilio.phone_numbers import parse_phone_number
from sms_router.web.console.auth import ConsoleRequest
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.rendering import PageError, Pages

ON_A_PAGE = 200
LONGEST_TEXT = 1600
LONGEST_NUMBER = 40
SOMEBODY = "+14155550123"


@dataclass(frozen=True, slots=True)
class Keywords:
    """The page and its form."""

    desk: ConsoleContext
    pages: Pages

    async def show(self, visit: ConsoleRequest) -> Response:
        """List the rules, in the order of their precedence."""
        return await self._page(visit, {"from": "", "to": "", "text": "", "country": ""})

    async def explain(self, visit: ConsoleRequest) -> Response:
        """Say what somebody would get, as ``explain`` does; nothing is sent, and no handler runs."""
        form = visit.form
        words, country = form.get("text", "")[:LONGEST_TEXT], form.get("country", "").strip().upper()
        sender = parse_phone_number(form.get("from", "")[:LONGEST_NUMBER]) or SOMEBODY
        recipient = parse_phone_number(form.get("to", "")[:LONGEST_NUMBER]) or self._usual_recipient()
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise PageError(400, "A country is two letters, like CA (ISO 3166).")
        if not recipient:
            raise PageError(400, "No number is known that could be texted: name one.")
        scope = self.desk.people.scope_of(None, recipient)
        service = scope if scope.startswith("MG") else None
        account_sid = self.desk.account_sids[0] if self.desk.account_sids else ""
        message = sample_message(account_sid, service, sender, recipient, words, country or None)
        known = await self.desk.acquaintance(scope, sender)
        conditions = self.desk.availability.conditions()
        story = explain(message, known, self.desk.dispatcher, self.desk.composer, conditions)
        tried = {"from": sender, "to": recipient, "text": words, "country": country}
        return await self._page(visit, tried, story)

    async def _page(
        self, visit: ConsoleRequest, tried: Mapping[str, str], story: Explanation | None = None
    ) -> Response:
        wanted = visit.query("page")
        page = int(wanted) if wanted.isdecimal() and len(wanted) < 5 else 0
        rules = by_precedence(self.desk.dispatcher.table.rules)
        defaults = self.desk.dispatcher.defaults
        default = defaults.everywhere
        shown = rules[page * ON_A_PAGE : (page + 1) * ON_A_PAGE]
        draw = partial(
            self.pages.show,
            "keywords.html",
            visit.session,
            rules=[(rule, describe_responder(rule.action)) for rule in shown],
            otherwise=describe_responder(default) if default is not None else "nothing is said",
            services=len(defaults.services),
            number=page,
            more=len(rules) > (page + 1) * ON_A_PAGE,
            tried=tried,
            story=story,
            person=tuple(describe(story.known)) if story is not None else (),
            usual=self._usual_recipient(),
            somebody=SOMEBODY,
        )
        return await self.desk.archive.apart(draw)

    def _usual_recipient(self) -> str:
        """Return the number that people usually text: a short code, else any of the Services'."""
        first = ""
        for pool in self.desk.membership.pools.values():
            for sender in pool.senders:
                if sender.kind is SenderKind.SHORT_CODE:
                    return sender.address
                first = first or sender.address
        return first
