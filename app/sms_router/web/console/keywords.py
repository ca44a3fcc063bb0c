"""``/console/keywords``: the rules, and what a text would get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from starlette.responses import Response

from sms_router.routing.contacts.contact import describe_contact
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.keywords.templates import StaticReply, TemplateReply
from sms_router.routing.opt_outs.audit import TRANSCRIPT, audit_replies
from sms_router.routing.pipeline.explain import (
    Explanation,
    by_precedence,
    describe_action,
    explain,
    sample_message,
)
from sms_router.senders.pool import likely_recipient
from sms_router.twilio.phone_numbers import parse_address
from sms_router.web.console.auth import ConsolePages, ConsoleRequest
from sms_router.web.console.rendering import PageError

RULES_PER_PAGE = 200
MAX_WARNINGS = 20
MAX_TRANSCRIPT = 40_000
"""Characters of an audit that are shown."""
MAX_TEXT_LENGTH = 1600
EXAMPLE_CONTACT = "+14155550123"


@dataclass(slots=True)
class _WarningCache:
    """The warnings, and the rules and senders that they are about."""

    state: object = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class KeywordPages(ConsolePages):
    """The list of rules and the form below it."""

    _cache: _WarningCache = field(default_factory=_WarningCache)

    async def show(self, request: ConsoleRequest) -> Response:
        return await self._page(request, {"from": "", "to": "", "text": "", "country": ""})

    async def explain(self, request: ConsoleRequest) -> Response:
        """Explain a text as ``sms-router explain`` does: nothing is sent, and no handler runs."""
        form, context = request.form, self.context
        text, country = form.get("text", "")[:MAX_TEXT_LENGTH], form.get("country", "").strip().upper()
        sender = parse_address(form.get("from") or EXAMPLE_CONTACT)
        recipient = form.get("to") or likely_recipient(context.membership.pools.values())
        if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
            raise PageError(400, "A country is two letters, like CA (ISO 3166).")
        if not recipient:
            raise PageError(400, "No sender is known yet that could be texted: enter a number.")
        recipient = parse_address(recipient)
        account_sid = context.contacts.owner_of(recipient) or next(iter(context.account_sids), "")
        scope = context.contacts.scope_of(None, recipient, account_sid)
        service = scope if scope.startswith("MG") else None
        message = sample_message(account_sid, service, sender, recipient, text, country or None)
        contact, conversation = await context.read_contact(scope, message.contact)
        conditions = context.availability.conditions()
        explanation = explain(
            message, contact, context.dispatcher, context.composer, conditions, conversation
        )
        tried = {"from": sender, "to": recipient, "text": text, "country": country}
        return await self._page(request, tried, explanation)

    async def _page(
        self, request: ConsoleRequest, tried: Mapping[str, str], explanation: Explanation | None = None
    ) -> Response:
        number = request.query_page()
        rules = by_precedence(self.context.dispatcher.table.rules)
        defaults = self.context.dispatcher.defaults
        default = defaults.everywhere
        shown = rules[number * RULES_PER_PAGE : (number + 1) * RULES_PER_PAGE]
        warnings = await self.context.executor.run(self._warnings)
        render = partial(
            self.render,
            request,
            "keywords.html",
            rules=[(rule, *_describe(rule.action)) for rule in shown],
            default=_describe(default) if default is not None else ("no reply", ""),
            services=len(defaults.services),
            published=self.context.published_rules(),
            warnings=warnings[:MAX_WARNINGS],
            audit=await self.context.executor.run(self._audit),
            more_warnings=max(0, len(warnings) - MAX_WARNINGS),
            number=number,
            more=len(rules) > (number + 1) * RULES_PER_PAGE,
            tried=tried,
            explanation=explanation,
            contact=tuple(describe_contact(explanation.contact)) if explanation is not None else (),
            default_recipient=likely_recipient(self.context.membership.pools.values()),
            example_contact=EXAMPLE_CONTACT,
        )
        return await self.context.executor.run(render)

    def _audit(self) -> tuple[str, ...]:
        """Return the verdict and the transcript of the latest ``sandbox audit``; empty without one."""
        try:
            with (self.context.settings.router.data_dir / TRANSCRIPT).open(encoding="utf-8") as file:
                return file.readline().strip(), file.read(MAX_TRANSCRIPT).strip()
        except (OSError, UnicodeDecodeError):
            return ()

    def _warnings(self) -> Sequence[str]:
        """Return the warnings about the rules; they are cached until rules or senders change."""
        pools = self.context.membership.pools
        versions = tuple(sorted((sid, pool.version) for sid, pool in pools.items()))
        state = (self.context.dispatcher.table, versions)
        if self._cache.state != state:
            self._cache.warnings = [
                *self.context.rule_warnings(),
                *audit_replies(self.context.dispatcher.opt_outs, self.context.dispatcher.replies.tables),
            ]
            self._cache.state = state
        return self._cache.warnings


def _describe(action: RuleAction) -> tuple[str, str]:
    """Return what a rule does, and its reply as it is written; of a handler or an upstream, it is unknown."""
    if isinstance(action, StaticReply):
        return describe_action(action), "\n".join((*action.constant.texts, *action.constant.media_urls))
    if isinstance(action, TemplateReply):
        return describe_action(action), "\n".join((action.sources[0], *action.media))
    return describe_action(action), ""
