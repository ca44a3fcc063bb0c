"""Audits the replies to STOP, START and HELP against what carriers require of a program.

Carriers and aggregators text HELP and STOP to short codes weekly and hold the replies against the CTIA Short
Code Monitoring Handbook (facts 11). `REQUIREMENTS` is its table for these replies, with Twilio's template for
them. What a reply says is recognised by words in English, Spanish and French; of other languages only what
depends on no language is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sms_router.routing.keywords.own_replies import OPT_OUT_REPLIES, ReplyTable
from sms_router.routing.opt_outs.keywords import Intent, Language, OptOutKeywords
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.twilio.segments import count_segments, find_non_gsm

TRANSCRIPT = "audit.txt"
"""In the data directory: the transcript of the latest ``sms-router sandbox audit``."""

KNOWN_LANGUAGES = frozenset({"en", "es", "fr"})

_CONTACT = r"\d[\d\s().-]{5,}\d|\S+@\S+|\b[\w-]+\.[a-z]{2,}\b"
_FREQUENCY = (
    r"\bmsgs?/|\b(messages?|msgs?|texts?) ?(per|a|each|every)\b|\bfreq|\bvar[yi]|\brecurring"
    r"|\b(dai|week|month)ly"
    r"|\bmensajes? (al|por|cada)\b|\bfrecuencia|\bvar[ií]a|\bmessages? (par|chaque)\b|\bfréquence"
)
_RATES = r"\brates?\b|\bcharges?\b|\btarifas?\b|\bcargos?\b|\bcostos?\b|\btarifs?\b|\bfrais\b"
_CONFIRMATION = (
    r"\bunsubscribed\b|\bopted[ -]out\b|\bno (more|further|longer)\b|\bnot (receive|get|send)\b|\bbaja\b"
    r"|\bcancelad[oa]\b|\bno (le enviaremos|recibir[aá])|\bne recevrez plus\b|\bdésabonné|\bdésinscri"
)
_MARKETING = (
    r"https?://|%|\$|€|\b(sale|deals?|offers?|coupons?|discounts?|promo\w*|free|shop|buy|win)\b"
    r"|\b(ofertas?|descuentos?|rebajas?|gratis|compre)\b|\b(offres?|remises?|soldes|promo\w*|gratuit\w*)\b"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one reply has to contain, or must not contain."""

    intent: Intent
    text: str
    """What is asked for, to stand behind ``lacks`` or, for a prohibition, behind ``has``."""
    is_met: Callable[[str, Language], bool]
    is_prohibition: bool = False


def _contains(pattern: str) -> Callable[[str, Language], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text, language: language.code not in KNOWN_LANGUAGES or bool(compiled.search(text))


def _names_word_of(intent: Intent) -> Callable[[str, Language], bool]:
    def is_met(text: str, language: Language) -> bool:
        words = {word.upper() for word in re.findall(r"\w+", text)}
        return not words.isdisjoint(word.upper() for word in language.words[intent])

    return is_met


def _does_not_say(pattern: str) -> Callable[[str, Language], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text, _: compiled.search(text) is None


REQUIREMENTS = (
    Requirement(Intent.HELP, "a contact (a number, an e-mail address or a website)", _contains(_CONTACT)),
    Requirement(Intent.HELP, "how often messages come", _contains(_FREQUENCY)),
    Requirement(Intent.HELP, "that message and data rates may apply", _contains(_RATES)),
    Requirement(Intent.HELP, "how to stop", _names_word_of(Intent.STOP)),
    Requirement(Intent.STOP, "a confirmation that no more messages come", _contains(_CONFIRMATION)),
    Requirement(Intent.STOP, "what looks like marketing", _does_not_say(_MARKETING), is_prohibition=True),
    Requirement(Intent.START, "how often messages come", _contains(_FREQUENCY)),
    Requirement(Intent.START, "that message and data rates may apply", _contains(_RATES)),
    Requirement(Intent.START, "how to get help", _names_word_of(Intent.HELP)),
    Requirement(Intent.START, "how to stop", _names_word_of(Intent.STOP)),
)


def audit_replies(opt_outs: OptOutKeywords, own: Sequence[ReplyTable] = ()) -> Iterator[str]:
    """Yield a sentence for each reply that an audit would object to, and one for the shipped ones.

    ``own`` are those of router.toml; where they stand for every Service, the shipped ones do not matter.
    """
    general = {
        table.language for table in own if not table.services and set(OPT_OUT_REPLIES) <= set(table.texts)
    }
    shipped = load_opt_out_keywords().languages
    unbranded = [
        code
        for code, language in opt_outs.languages.items()
        if code in shipped and shipped[code].replies == language.replies and general.isdisjoint({code, None})
    ]
    if unbranded:
        yield (
            "opt-outs.toml: the replies to opt-out words are the shipped ones"
            f" ({', '.join(unbranded)}), which name no program, so that a"
            " short code fails its audit: write your own in [[language]]"
        )
    for code, language in opt_outs.languages.items():
        if code not in unbranded and general.isdisjoint({code, None}):
            yield from _objections(f"opt-outs.toml, language {code}", language, language.replies)
    for table in own:
        services = f" of {', '.join(table.services)}" if table.services else ""
        place = f"router.toml, replies{services}{f' in {table.language}' if table.language else ''}"
        own_intents = [intent for intent in Intent if _reply_name(intent) in table.texts]
        yield from _objections(place, _with_texts(opt_outs, table), own_intents)


def _objections(place: str, language: Language, intents: Iterable[Intent]) -> Iterator[str]:
    for intent in intents:
        if objections := audit_reply(language, intent):
            yield f"{place}: the {intent} reply {'; '.join(objections)}"


def _reply_name(intent: Intent) -> str:
    return f"{intent.lower()}_reply"


def _with_texts(opt_outs: OptOutKeywords, table: ReplyTable) -> Language:
    """Return the language of a table, or else the first one, with the texts of the table."""
    first = next(iter(opt_outs.languages.values()))
    language = opt_outs.languages.get((table.language or "").partition("-")[0])
    code = table.language or first.code
    base = language or replace(first, code=code)
    texts = {intent: table.texts.get(_reply_name(intent), text) for intent, text in base.replies.items()}
    return replace(base, replies=texts)


def audit_reply(language: Language, intent: Intent) -> list[str]:
    """Return what an audit would object to in one reply, each to stand behind its name."""
    text = language.replies[intent]
    objections = [] if _names(language) else ["does not name the program (no name is in all three replies)"]
    objections += [
        f"{'has' if requirement.is_prohibition else 'lacks'} {requirement.text}"
        for requirement in REQUIREMENTS
        if requirement.intent is intent and not requirement.is_met(text, language)
    ]
    if characters := find_non_gsm(text):
        objections.append(f"is not GSM-7, for {' '.join(characters)}")
    if (segments := count_segments(text).count) > 1:
        objections.append(f"is {segments} segments long")
    return objections


def _names(language: Language) -> set[str]:
    """Return the words with a capital that all replies have in common and that are no opt-out keywords."""
    keywords = {word.upper() for words in language.words.values() for word in words}
    names = (set(re.findall(r"\b\w*[A-Z]\w*", text)) for text in language.replies.values())
    ordinary = {"Msg", "Msgs", "Reply", "Text", "You", "Responda", "Responde", "Répondez", "Vous"}
    return {word for word in set.intersection(*names) if word.upper() not in keywords} - ordinary
