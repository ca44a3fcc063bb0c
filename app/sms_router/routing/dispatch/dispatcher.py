"""Finds what responds to a message: a rule, an opt-out keyword, or a default."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.resolution import NO_RULE, REACTION, SILENT, Resolution, RuleAction
from sms_router.routing.dispatch.responders import (
    EventResponder,
    ForwardMessage,
    ForwardResponder,
    HandlerResponder,
    Responder,
    TemplateResponder,
    WrappedResponder,
)
from sms_router.routing.handler.events import HandlerEvent
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.keywords.index import build_entries
from sms_router.routing.keywords.normalize import normalize
from sms_router.routing.keywords.own_replies import OwnReplies
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchContext, MatchKind
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.keywords.suggestions import Suggestions
from sms_router.routing.keywords.templates import ConfiguredReply, StaticReply
from sms_router.routing.opt_outs.keywords import (
    REQUIRED_WORDS,
    Intent,
    OptOutKeywords,
    OptOutMatch,
    match_from_twilio,
    plain_word,
)
from sms_router.routing.upstream.forward_rule import Forward
from sms_router.senders.country import country_of
from sms_router.senders.models import Tenancy
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.reactions import parse_reaction

MAX_CACHED_RESOLUTIONS = 4096
_FOREIGN = "another account's "
"""Before a number in the place of one that rules may name."""

_ANY_SHORT_CODE = "12345"
MAX_CACHED_LENGTH = 160
"""Characters; contacts text the same short words again and again."""


@dataclass(frozen=True, slots=True)
class ForwardConfig:
    """How messages are forwarded to other applications, and whose they are."""

    call: ForwardMessage | None = None
    """None where nothing is forwarded."""
    number_forward: Callable[[InboundMessage], Forward | None] = lambda _: None
    """Returns the application that the texted number itself names."""
    public_url: str = ""
    """The router's own, to which nothing may be forwarded; empty where that is not checked."""
    tenancy: Tenancy | None = None
    """Which account owns what; None where there is one account."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What responds to a text that no rule takes."""

    everywhere: RuleAction | None = None
    services: Mapping[str, RuleAction] = field(default_factory=dict)
    """What a Service has instead, by its sid."""
    suggestion: ConfiguredReply | None = None
    """Asks whether a similar keyword was meant; the keyword itself is not carried out."""


class Dispatcher:
    """Resolves messages: opt-out keywords come before rules, and rules before defaults.

    ``clock`` returns seconds since the epoch, for rules with opening hours.
    """

    def __init__(
        self,
        table: RuleTable[RuleAction],
        defaults: Defaults | None = None,
        opt_outs: OptOutKeywords | None = None,
        forwards: ForwardConfig | None = None,
        zones: TimeZones | None = None,
        clock: Callable[[], float] = time.time,
        handlers: HandlerRegistry | None = None,
    ) -> None:
        self.table = table
        self.defaults = defaults or Defaults()
        self._handlers = handlers or HandlerRegistry([], [])
        self.conversations = self._handlers.conversations
        self.wraps_all = bool(self._handlers.for_all)
        """Whether a middleware stands around templates and other applications too."""
        self.opt_outs = opt_outs or OptOutKeywords(())
        self.replies = OwnReplies()
        self._forwards = forwards or ForwardConfig()
        self._zones = zones or TimeZones()
        self._clock = clock
        self._suggestions = self._index_suggestions() if self.defaults.suggestion is not None else None
        self._has_schedules = bool(table.timetable)
        self._resolve_cached = lru_cache(MAX_CACHED_RESOLUTIONS)(self._resolve_text)

    def replace_rules(self, other: Dispatcher) -> None:
        """Use the rules of another dispatcher from now on; earlier resolutions stay as they are."""
        self.table = other.table
        self.defaults = other.defaults
        self.opt_outs = other.opt_outs
        self._suggestions = other._suggestions
        self._has_schedules = other._has_schedules
        self._resolve_cached = lru_cache(MAX_CACHED_RESOLUTIONS)(self._resolve_text)

    def resolve(self, message: InboundMessage, moment: float | None = None) -> Resolution:
        """Return what responds to a message; there is always something, at least the empty reply.

        ``moment``, for opening hours, is in seconds since the epoch; now if it is not given.
        """
        if message.opt_out_type is not None:
            match = match_from_twilio(message.opt_out_type)  # Advanced Opt-Out has replied already (facts 8)
            if match is not None:
                return Resolution(match.rule, SILENT, match)
        country = country_of(message.contact, message.from_country)
        service_sid, number = message.service_sid, message.recipient
        tenancy = self._forwards.tenancy
        if tenancy is not None and tenancy.is_foreign(message.account_sid, service_sid, number):
            service_sid, number = None, f"{_FOREIGN}{number}"
        minute = self._minute(service_sid, moment) if self._has_schedules else None
        resolve = self._resolve_cached if len(message.body) <= MAX_CACHED_LENGTH else self._resolve_text
        resolution = resolve(message.body, service_sid, number, country, minute)
        alternative = resolution.unless_opted_out
        if resolution.is_default or (alternative is not None and alternative.is_default):
            return self._with_number_forward(resolution, message)
        return resolution

    def use_replies(self, replies: OwnReplies) -> None:
        """Choose the router's own replies among these from now on."""
        self.replies = replies
        if self.conversations is not None:
            self.conversations.replies = replies

    def opt_out_reply(self, match: OptOutMatch, message: InboundMessage, profile: str) -> Reply:
        if match.reply is SILENCE:
            return SILENCE
        texts = {code: language.replies[match.intent] for code, language in self.opt_outs.languages.items()}
        name = f"{match.intent.lower()}_reply"
        return self.replies.choose(name, match.reply, message, profile, match.language, texts)

    @property
    def events(self) -> Mapping[str, Sequence[Handler]]:
        """The handlers of events, by kind."""
        return self._handlers.on

    def resolve_event(self, message: InboundMessage, done: Sequence[str] = ()) -> Resolution | None:
        """Return what handles the event for which a stored record stands; None for a message."""
        if (event := HandlerEvent.of(message)) is None:
            return None
        responder = EventResponder(event, self.events.get(event.kind, ()), list(done))
        return Resolution(f"event {event.kind}", responder)

    def wrapped(
        self, resolution: Resolution, message: InboundMessage, profile: str
    ) -> Responder | WrappedResponder:
        """Return what responds, with the middlewares around it whose scope is "all".

        ``profile`` is what handlers have stored of the contact.
        """
        responder = resolution.responder
        if isinstance(responder, HandlerResponder):
            if responder.leave_hint is None or not self.replies.tables:
                return responder
            chosen = self.replies.choose("leave_hint", Reply(responder.leave_hint), message, profile)
            return replace(responder, leave_hint="".join(chosen.texts))
        if not self.wraps_all or isinstance(responder, EventResponder):
            return responder
        assert self._handlers.environment is not None, "there are middlewares"
        return WrappedResponder(
            responder, resolution.rule, self._handlers.for_all, self._handlers.environment, profile
        )

    def match_context(self, message: InboundMessage, moment: float | None = None) -> MatchContext:
        """Return what the scopes of rules are compared with."""
        country = country_of(message.contact, message.from_country)
        minute = self._minute(message.service_sid, moment) if self._has_schedules else None
        return MatchContext(message.service_sid, message.recipient, country, minute)

    def _minute(self, service_sid: str | None, moment: float | None) -> int:
        """Return the first minute since which the same rules are open.

        Resolutions can so be cached for hours.
        """
        minute = self._zones.minute_at(service_sid, self._clock() if moment is None else moment)
        return self.table.timetable.transition_before(minute)

    @property
    def forwards(self) -> bool:
        """Whether a rule or a default forwards messages."""
        actions = [rule.action for rule in self.table.rules]
        defaults = [self.defaults.everywhere, *self.defaults.services.values()]
        return any(isinstance(action, Forward) for action in (*actions, *defaults))

    def opt_out_conflicts(self) -> list[str]:
        """Return a sentence for each keyword that an opt-out keyword takes."""
        leave_words = self.conversations.policy.leave_words if self.conversations is not None else ()
        return [
            f"{word!r} alone is an opt-out word ({match.intent}), so that {rule} does not get it;"
            f" {_remedy(word, match.word)}"
            for rule in self.table.rules
            for word in rule.words
            if (match := self.opt_outs.match(word, None, _ANY_SHORT_CODE, None)) is not None
            and match.intent is not Intent.START
        ] + [
            f"{word!r} is an opt-out word ({intent}), so that it leaves no conversation; use another one in"
            " leave_words"
            for word in leave_words
            if (intent := self.opt_outs.find(word)[0]) is not None
        ]

    def _with_number_forward(self, resolution: Resolution, message: InboundMessage) -> Resolution:
        """Forward what no rule takes, where the texted number names an application."""
        if (forward := self._forwards.number_forward(message)) is None:
            return resolution
        responder = ForwardResponder(forward, self._forwards.call)
        rule = f"{message.recipient}'s own URL"
        forwarded = Resolution(rule, responder, is_suspected=resolution.is_suspected)
        return forwarded if resolution.is_default else replace(resolution, unless_opted_out=forwarded)

    def _resolve_text(
        self, body: str, service_sid: str | None, number: str, country: str | None, minute: int | None
    ) -> Resolution:
        if (reaction := parse_reaction(body)) is not None:
            # What it quotes matches no rule and no opt-out keyword.
            if (handler := self._handlers.on_reaction) is None:
                return REACTION
            responder: Responder = HandlerResponder(handler, reaction.quoted, reaction.kind, rule="reaction")
            return Resolution(f"a reaction, to {handler.name}", responder, is_reaction=True)
        opt_out = self.opt_outs.match(body, service_sid, number.removeprefix(_FOREIGN), country)
        context = MatchContext(service_sid, number, country, minute)
        ordinary = self._resolve_ordinary(body, context)
        if opt_out is None:
            is_suspected = self.opt_outs.find(body)[1]
            match = self.table.find(body, context) if is_suspected else None
            is_whole = match is not None and match.rule.kind is MatchKind.WHOLE
            return replace(ordinary, is_suspected=True) if is_suspected and not is_whole else ordinary
        alternative = None
        if opt_out.intent is Intent.START:
            has_rule = self.table.find(body, context) is not None
            alternative = ordinary if has_rule or not opt_out.unconditional else None
        responder = TemplateResponder(StaticReply(opt_out.reply), "", opt_out.word)
        return Resolution(opt_out.rule, responder, opt_out, alternative)

    def _resolve_ordinary(self, body: str, context: MatchContext) -> Resolution:
        match = self.table.find(body, context)
        if match is not None:
            responder = self._responder(match.rule.action, match.argument, match.keyword, match.rule.name)
            return Resolution(match.rule.name, responder, opts_in=match.rule.opts_in)
        suggestion = self.defaults.suggestion
        if suggestion is not None and (keyword := self._suggest(normalize(body), context)) is not None:
            question = TemplateResponder(suggestion, body.strip(), keyword)
            return Resolution(f"did you mean {keyword}", question, is_default=True)
        default = self.defaults.services.get(context.service_sid or "", self.defaults.everywhere)
        if default is None:
            return NO_RULE
        return Resolution("default", self._responder(default, body.strip(), ""), is_default=True)

    def _responder(self, action: RuleAction, argument: str, keyword: str, rule: str = "default") -> Responder:
        if isinstance(action, Handler):
            return HandlerResponder(action, argument, keyword, rule=rule)
        if isinstance(action, Forward):
            return ForwardResponder(action, self._forwards.call)
        return TemplateResponder(action, argument, keyword)

    def _index_suggestions(self) -> Suggestions:
        entries = (entry for rule in self.table.rules for entry in build_entries(rule))
        keys = [entry.key for entry in entries if entry.rule.kind is not MatchKind.PATTERN]
        return Suggestions([*keys, *self.opt_outs.words])

    def _suggest(self, normalized: str, context: MatchContext) -> str | None:
        """Return the only keyword that the text can have been meant for; None where there are several.

        A contact who may have meant STOP is not asked whether they meant SHOP.
        """
        assert self._suggestions is not None
        similar = self._suggestions.similar(normalized)
        if any(self.opt_outs.find(key)[0] is not None for key in similar):
            return None
        matches = [match for key in similar if (match := self.table.find(key, context)) is not None]
        rules = {id(match.rule) for match in matches}
        return matches[0].keyword if len(rules) == 1 else None


def _remedy(word: str, opt_out_word: str) -> str:
    """Return what is possible where a keyword is an opt-out word."""
    if opt_out_word in REQUIRED_WORDS:
        return (
            "carriers require that. A longer text such as"
            f" '{word.upper()} 5' does reach it, and the replies to the word are in opt-outs.toml"
        )
    name = "it" if plain_word(word) == opt_out_word else repr(opt_out_word)
    return f"to change that, name {name} in left_to_keywords in opt-outs.toml"
