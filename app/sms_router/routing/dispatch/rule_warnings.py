"""Warnings about rules that are allowed and probably mistakes, compared with the Services and their senders.

A country that does not exist, a number that no Service has, a picture that no sender can send: such a rule
loads, and no contact ever gets its reply, or gets less than the team wrote.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import phonenumbers

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.keywords.lint import find_misspelled
from sms_router.routing.keywords.rules import Rule, Scope
from sms_router.routing.keywords.templates import StaticReply, TemplateReply, sample_texts
from sms_router.routing.opt_outs.keywords import Intent, OptOutKeywords
from sms_router.senders.eligibility import static_reason
from sms_router.senders.models import Capability, SenderKind
from sms_router.senders.pool import Pool
from sms_router.twilio.segments import Encoding, count_segments, find_non_gsm

_COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
_OFTEN_MEANT = {"UK": "GB", "EN": "GB", "EL": "GR", "SP": "ES", "JA": "JP"}
"""What people write for a country, and its code in ISO 3166."""

_SIMILAR = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`\u02bc", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\t", " "),
    **dict.fromkeys("\u2022\u00b7", "*"),
    "\u2026": "...",
}
"""Characters that are not in GSM-7, and what to write for them."""

MAX_NAMED_CHARACTERS = 3
"""A text with more different characters outside of GSM-7 is in another script."""


@dataclass(frozen=True, slots=True)
class KnownSenders:
    """The Services that are configured, and what is known of their Sender Pools."""

    services: Collection[str] = ()
    """By sid; none where no Service is configured."""
    pools: Mapping[str, Pool] = field(default_factory=dict)
    """By the sid of the Service; one that has not been read yet is missing."""

    @property
    def are_complete(self) -> bool:
        """Whether the senders of every Service are known."""
        return bool(self.services) and all(sid in self.pools for sid in self.services)


def find_warnings(dispatcher: Dispatcher, known: KnownSenders) -> list[str]:
    """Return a sentence for each thing that is allowed and probably a mistake."""
    table = dispatcher.table
    warnings = [*map(str, table.find_shadowed()), *find_misspelled(table.rules)]
    warnings += dispatcher.opt_out_conflicts()
    warnings += _check_left_words(dispatcher.opt_outs, known)
    for rule in table.rules:
        warnings += _check_scope(rule, known)
        warnings += _check_action(str(rule), rule.action, rule.scope, known)
    defaults = dispatcher.defaults
    if defaults.everywhere is not None:
        warnings += _check_action("the default", defaults.everywhere, Scope(), known)
    if defaults.suggestion is not None:
        warnings += _check_action("did_you_mean", defaults.suggestion, Scope(), known)
    for sid, action in defaults.services.items():
        if known.services and sid not in known.services:
            warnings.append(f"default.services.{sid}: {_unknown_service(known)}")
        scope = Scope(services=frozenset({sid}))
        warnings += _check_action(f"the default of {sid}", action, scope, known)
    return list(dict.fromkeys(warnings))


def _check_left_words(opt_outs: OptOutKeywords, known: KnownSenders) -> Iterator[str]:
    """Yield a warning for each word left to keywords that is none, or on which Twilio acts all the same."""
    for word in opt_outs.unused:
        yield f"left_to_keywords: {word!r} is none of the opt-out words and phrases, and has no effect"
    for word, (intent, _) in opt_outs.left.items():
        numbers = [
            sender.address
            for sid, pool in known.pools.items()
            for sender in pool.senders
            if opt_outs.is_answered_by_twilio(word.upper(), sid, sender.address)
        ]
        if numbers:
            acts = "unsubscribes" if intent is Intent.STOP else "subscribes"
            others = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
            yield (
                f"left_to_keywords: Twilio {acts} a contact who texts {word.upper()} to {numbers[0]}{others},"
                " whatever is written here; the router records that, and no keyword answers it there"
            )


def _check_scope(rule: Rule[RuleAction], known: KnownSenders) -> Iterator[str]:
    scope = rule.scope
    for country in sorted(scope.countries - _COUNTRIES):
        meant = _OFTEN_MEANT.get(country)
        remedy = f"write {meant}" if meant else "ISO 3166 has no such country with phone numbers"
        yield f"{rule}: countries: {country!r} never matches: {remedy}"
    for sid in sorted(scope.services):
        if known.services and sid not in known.services:
            yield f"{rule}: services: {sid} never matches: {_unknown_service(known)}"
    if not known.are_complete:
        return
    sids = [sid for sid in known.services if not scope.services or sid in scope.services]
    for number in sorted(scope.numbers):
        if ":" in number or not sids or any(known.pools[sid].holds(number) for sid in sids):
            continue
        owner = next((sid for sid in known.services if known.pools[sid].holds(number)), None)
        reason = (
            f"it is a sender of {owner}, which the rule does not name"
            if owner is not None
            else "no configured Service has this sender"
        )
        yield f"{rule}: numbers: {number} never matches: {reason}"


def _unknown_service(known: KnownSenders) -> str:
    return f"this Service is not configured; configured: {', '.join(sorted(known.services))}"


def _check_action(name: str, action: RuleAction, scope: Scope, known: KnownSenders) -> Iterator[str]:
    """Yield what is wrong with a text or a template; other replies are not known."""
    if not isinstance(action, StaticReply | TemplateReply):
        return
    for text in sample_texts(action):
        if (warning := _check_segments(name, text)) is not None:
            yield warning
    has_media = bool(action.constant.media_urls if isinstance(action, StaticReply) else action.media)
    if has_media:
        yield from _check_media(name, scope, known)


def _check_segments(name: str, text: str) -> str | None:
    """Return a warning where a few characters, for which there are others, cost more segments."""
    segments = count_segments(text)
    if segments.encoding is Encoding.GSM_7 or segments.count == 1:
        return None
    characters = find_non_gsm(text)
    plain = "".join(_similar(character) if character in characters else character for character in text)
    fewer = count_segments(plain).count
    if len(characters) > MAX_NAMED_CHARACTERS or fewer >= segments.count:
        return None
    described = ", ".join(_describe_character(character) for character in characters)
    verb = "makes" if len(characters) == 1 else "make"
    return (
        f"{name}: {described} {verb} the reply {segments.count} segments instead of {fewer}, because"
        f" {'it is' if len(characters) == 1 else 'they are'} not in GSM-7; Twilio's Smart Encoding replaces"
        " some such characters, where the Service has it"
    )


def _similar(character: str) -> str:
    """Return what may stand for a character in GSM-7; nothing for an emoji."""
    if character in _SIMILAR:
        return _SIMILAR[character]
    bare = unicodedata.normalize("NFKD", character)[:1]
    return bare if bare and not find_non_gsm(bare) else ""


def _describe_character(character: str) -> str:
    label = f"{character!r} (U+{ord(character):04X} {unicodedata.name(character, 'without a name')}"
    similar = _similar(character)
    return f"{label}; write {similar!r})" if similar else f"{label}; leave it out)"


def _check_media(name: str, scope: Scope, known: KnownSenders) -> Iterator[str]:
    for sid in known.services:
        pool = known.pools.get(sid)
        if pool is None or not pool.senders or (scope.services and sid not in scope.services):
            continue
        if scope.numbers and not any(map(pool.holds, scope.numbers)):
            continue
        capable = [
            sender
            for sender in pool.senders
            if Capability.MMS in sender.capabilities and sender.kind is not SenderKind.ALPHANUMERIC
        ]
        if not capable:
            yield f"{name}: media: no sender of {sid} can send MMS, so nothing is sent there"
            continue
        for country in sorted(scope.countries & _COUNTRIES):
            if all(static_reason(sender, country, Capability.MMS) for sender in capable):
                yield f"{name}: media: no sender of {sid} can send MMS to {country}, so nothing is sent there"
