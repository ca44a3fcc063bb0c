"""Which rule a message belongs to, and what answers it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from sms_router.routing.dispatch.resolution import SILENT, UNCLAIMED, Resolution, RuleAnswer
from sms_router.routing.dispatch.responders import (
    ForwardResponder,
    HandlerResponder,
    MessageForwarder,
    TemplateResponder,
)
from sms_router.routing.handler.handler import Handler
from sms_router.routing.keywords.index import build_entries
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import Match, MatchContext, MatchKind
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.keywords.suggestions import Suggestions
from sms_router.routing.keywords.templates import ConfiguredReply, StaticReply
from sms_router.routing.opt_outs.keywords import Intent, OptOutKeywords, match_from_twilio
from sms_router.routing.upstream.forward_rule import Forward
from sms_router.senders.country import country_of
from sms_router.twilio.inbound import InboundMessage

if TYPE_CHECKING:
    from sms_router.routing.dispatch.conversation_steps import ConversationManager

_LONGEST_KEPT = 160
"""Characters; people text the same short words again and again, and what they find is kept."""


@dataclass(frozen=True, slots=True)
class ForwardConfig:
    """How other applications are called, and which one a number itself names (design 9)."""

    upstreams: MessageForwarder | None = None
    number_forward: Callable[[InboundMessage], Forward | None] = lambda _: None
    public_url: str = ""
    """The router's own, to which nothing may be forwarded; empty where that is not checked."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What answers a text that no rule claims."""

    everywhere: ConfiguredReply | Forward | None = None
    services: Mapping[str, ConfiguredReply | Forward] = field(default_factory=dict)
    """What a Service answers in its place, by sid."""
    suggestion: ConfiguredReply | None = None
    """Asks whether a keyword was meant that is one slip off; the keyword itself is never carried out."""


class Dispatcher:
    """Finds the rule of each message."""

    def __init__(
        self,
        table: RuleTable[RuleAnswer],
        defaults: Defaults | None = None,
        opt_outs: OptOutKeywords | None = None,
        forwards: ForwardConfig | None = None,
        zones: TimeZones | None = None,
        clock: Callable[[], float] = time.time,
        conversations: ConversationManager | None = None,
    ) -> None:
        """Take the rules, the answers to everything else, and the words that come before both.

        ``zones`` and ``clock`` (seconds since the epoch) count where rules have hours.
        """
        self.table = table
        self.defaults = defaults or Defaults()
        self.conversations = conversations
        """None where there are no conversations: then nothing is asked about them."""
        self.opt_outs = opt_outs or OptOutKeywords(())
        self._forwards = forwards or ForwardConfig()
        self._zones = zones or TimeZones()
        self._clock = clock
        self._near = self._index_near_misses() if self.defaults.suggestion is not None else None
        self._find_kept = lru_cache(maxsize=4096)(self._find)

    def replace_rules(self, other: Dispatcher) -> None:
        """Use another one's rules from now on; what has been found already stays as it is."""
        self.table = other.table
        self.defaults = other.defaults
        self.opt_outs = other.opt_outs
        self._near = other._near
        self._find_kept = lru_cache(maxsize=4096)(self._find)

    def resolve(self, message: InboundMessage, moment: float | None = None) -> Resolution:
        """Return what answers this message; there is always something, if only silence.

        ``moment`` is in seconds since the epoch, the present one unless it is given.
        """
        if message.opt_out_type is not None:
            return _answered_by_twilio(message.opt_out_type)
        country = country_of(message.sender, message.from_country)
        minute = self._minute(message.service_sid, moment) if self.table.timetable else None
        find = self._find_kept if len(message.body) <= _LONGEST_KEPT else self._find
        found = find(message.body, message.service_sid, message.recipient, country, minute)
        if found.unclaimed or (found.otherwise is not None and found.otherwise.unclaimed):
            return self._by_number(found, message)
        return found

    def occasion(self, message: InboundMessage, moment: float | None = None) -> MatchContext:
        """Return where, by whom and when the text was sent, as far as scopes ask for it."""
        country = country_of(message.sender, message.from_country)
        minute = self._minute(message.service_sid, moment) if self.table.timetable else None
        return MatchContext(message.service_sid, message.recipient, country, minute)

    def _minute(self, service_sid: str | None, moment: float | None) -> int:
        """Return the minute of the week that stands for all in which the same rules hold.

        So what was found for earlier texts stays right, and is reused for hours.
        """
        minute = self._zones.minute_of_week(service_sid, self._clock() if moment is None else moment)
        return self.table.timetable.transition_before(minute)

    @property
    def forwards(self) -> bool:
        """Whether a rule or a default sends texts to another application."""
        answers = [rule.action for rule in self.table.rules]
        defaults = [self.defaults.everywhere, *self.defaults.services.values()]
        return any(isinstance(answer, Forward) for answer in (*answers, *defaults))

    def opt_out_conflicts(self) -> list[str]:
        """Say which keywords never see their word alone, because it is an opt-out word."""
        return [
            f"{word!r} alone is a word for {intent}, so that {rule} does not get it; to change that,"
            " name it in left_to_keywords in opt-outs.toml"
            for rule in self.table.rules
            for word in rule.words
            if (intent := self.opt_outs.intent(word)) not in (None, Intent.START)
        ] + [
            f"{word!r} is a word for {intent}, so that it leaves no conversation; name another in leave_words"
            for word in (self.conversations.customs.leave_words if self.conversations is not None else ())
            if (intent := self.opt_outs.intent(word)) is not None
        ]

    def _by_number(self, found: Resolution, message: InboundMessage) -> Resolution:
        """Let the number that was texted have what no rule claims, where it names an application."""
        forward = self._forwards.number_forward(message)
        if forward is None:
            return found
        own = Resolution(
            f"{message.recipient}'s own URL", ForwardResponder(forward, self._forwards.upstreams)
        )
        return own if found.unclaimed else replace(found, otherwise=own)

    def _find(
        self, body: str, service_sid: str | None, number: str, country: str | None, minute: int | None
    ) -> Resolution:
        heard = self.opt_outs.match(body, service_sid, number, country)
        occasion = MatchContext(service_sid, number, country, minute)
        ordinary = self._find_rule(body, occasion)
        if heard is None:
            return ordinary
        claimed = isinstance(self.table.find(body, occasion), Match)
        otherwise = (
            ordinary if heard.intent is Intent.START and (claimed or not heard.unconditional) else None
        )
        return Resolution(
            heard.rule, TemplateResponder(StaticReply(heard.reply), "", heard.word), heard, otherwise
        )

    def _find_rule(self, body: str, occasion: MatchContext) -> Resolution:
        match = self.table.find(body, occasion)
        if isinstance(match, Match):
            return Resolution(match.rule.name, self._acting(match.rule.action, match.argument, match.keyword))
        if self._near is not None and (meant := self._meant(match.normalized, occasion)) is not None:
            assert self.defaults.suggestion is not None
            asking = TemplateResponder(self.defaults.suggestion, body.strip(), meant)
            return Resolution(f"did you mean {meant}", asking, unclaimed=True)
        default = self.defaults.services.get(occasion.service_sid or "", self.defaults.everywhere)
        if default is None:
            return UNCLAIMED
        return Resolution("default", self._acting(default, body.strip(), ""), unclaimed=True)

    def _acting(
        self, answer: RuleAnswer, argument: str, keyword: str
    ) -> TemplateResponder | HandlerResponder | ForwardResponder:
        if isinstance(answer, Handler):
            return HandlerResponder(answer, argument, keyword)
        if isinstance(answer, Forward):
            return ForwardResponder(answer, self._forwards.upstreams)
        return TemplateResponder(answer, argument, keyword)

    def _index_near_misses(self) -> Suggestions:
        entries = (entry for rule in self.table.rules for entry in build_entries(rule))
        keys = [entry.key for entry in entries if entry.rule.kind is not MatchKind.PATTERN]
        return Suggestions([*keys, *self.opt_outs.words])

    def _meant(self, normalized: str, occasion: MatchContext) -> str | None:
        """Return the keyword that this text must have been meant for; None when it may be another.

        Somebody who may have meant STOP is not asked whether they meant SHOP.
        """
        assert self._near is not None
        near = self._near.similar(normalized)
        if any(self.opt_outs.intent(key) is not None for key in near):
            return None
        found = [match for key in near if isinstance(match := self.table.find(key, occasion), Match)]
        rules = {id(match.rule) for match in found}
        return found[0].keyword if len(rules) == 1 else None


def _answered_by_twilio(opt_out_type: str) -> Resolution:
    """Say nothing: Advanced Opt-Out has replied already (facts 8)."""
    heard = match_from_twilio(opt_out_type)
    return Resolution(heard.rule if heard else "opt-out word, answered by Twilio", SILENT, heard)
