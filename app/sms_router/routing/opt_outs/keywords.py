"""The opt-out keywords: which texts are STOP, START or HELP, and who replies to them (facts 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.keywords.normalize import fold_accents, normalize
from sms_router.routing.opt_outs.recognizer import Recognizer, key_of
from sms_router.senders.country import is_toll_free


class Intent(StrEnum):
    """The meaning of a keyword; the values are those of Twilio's ``OptOutType``."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


@dataclass(frozen=True, slots=True)
class Language:
    """The keywords of one language, and the replies to them."""

    code: str
    words: Mapping[Intent, tuple[str, ...]] = field(hash=False)
    replies: Mapping[Intent, str] = field(hash=False)
    countries: frozenset[str] = frozenset()
    """The contacts' countries for which it is chosen where languages share a keyword."""
    phrases: tuple[str, ...] = ()
    """What STOP is said with, as a whole sentence."""
    polite: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    """Expressions of texts that may be meant as STOP (`Recognizer`)."""


class _Meaning(NamedTuple):
    intent: Intent
    language: Language
    word: str


@dataclass(frozen=True, slots=True)
class OptOutMatch:
    """A text that is an opt-out keyword."""

    intent: Intent
    word: str
    """The normalized keyword; the ``OptOutType`` where Advanced Opt-Out has recognised it."""
    reply: Reply
    """The router's reply; silence where Twilio or the network has replied."""
    unconditional: bool
    """Whether it always counts; otherwise it is an ordinary text unless the contact has opted out."""
    language: str | None = None
    """The code of the keyword's language."""

    @property
    def rule(self) -> str:
        """The reason that the journal names."""
        answered = "answered by Twilio" if self.reply is SILENCE else "answered by the router"
        word = self.word.upper()
        meaning = "" if word == self.intent.value else f" ({self.intent.value})"
        return f"opt-out word {word}{meaning}, {answered}"


_UNCONDITIONAL_STARTS = frozenset({"start", "unstop"})

_TWILIO_KEYWORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
    | {"START", "YES", "UNSTOP", "HELP", "INFO"}
)
"""What Twilio replies to on long codes: the keyword alone, in any case (facts 8)."""

REQUIRED_WORDS = ("stop", "start", "help")
"""Keywords that carriers require."""


class OptOutKeywords:
    """Recognises opt-out keywords.

    Args:
        languages: in their order; the first one that has a keyword is chosen, unless a country decides.
        left_to_keywords: words that do not count.
        standalone: short codes to which the router replies whatever their Service.
        by_twilio: the Services on whose short codes Twilio replies.

    """

    def __init__(
        self,
        languages: Sequence[Language],
        *,
        left_to_keywords: frozenset[str] = frozenset(),
        standalone: frozenset[str] = frozenset(),
        by_twilio: frozenset[str] = frozenset(),
    ) -> None:
        ignored = frozenset(map(key_of, left_to_keywords))
        self.parts: Mapping[str, object] = {
            **{f"opt-out words ({language.code})": language for language in languages},
            "left_to_keywords": ignored,
            "standalone_short_codes": standalone,
        }
        """What it was built from, by name, to report what a reload has changed."""
        self.languages = {language.code: language for language in languages}
        """By code."""
        keywords = _meanings_of(languages)
        self._recognizer = _recognizer_of(tuple(languages), ignored)
        self.unused = sorted(word for word in left_to_keywords if key_of(word) in self._recognizer.unused)
        """Words that are left to keywords, and are no opt-out words."""
        self.words: Iterable[str] = {
            meaning.word for word, meaning in keywords if key_of(word) not in ignored
        }
        """Every keyword, normalized."""
        self.left: dict[str, tuple[Intent, Language]] = {
            meaning.word: (meaning.intent, meaning.language)
            for word, meaning in reversed(keywords)
            if key_of(word) in ignored
            and meaning.word.upper() in _TWILIO_KEYWORDS
            and meaning.intent is not Intent.HELP
        }
        """The words that are left to keywords, with the meaning that they have for Twilio."""
        self._standalone = standalone
        self._by_twilio = by_twilio

    def find(self, text: str) -> tuple[Intent | None, bool]:
        """Return the meaning of a text, and whether an ordinary text may be meant as STOP (is suspected)."""
        meanings, is_suspected = self._recognizer.find(text)
        return (meanings[0].intent if meanings else None), is_suspected

    def match(
        self, body: str, service_sid: str | None, number: str, country: str | None
    ) -> OptOutMatch | None:
        """Return the meaning of a text and the reply to it; None for an ordinary text.

        ``country`` is the contact's, which decides between languages.
        """
        meanings, _ = self._recognizer.find(body)
        if not meanings:
            word = body.strip().lower() if self.left else ""
            if word in self.left and self.is_answered_by_twilio(word.upper(), service_sid, number):
                return OptOutMatch(self.left[word][0], word, SILENCE, self.left[word][0] is Intent.STOP)
            return None
        intent, language, word = next(
            (meaning for meaning in meanings if country in meaning.language.countries), meanings[0]
        )
        typed = body.strip().upper()
        if typed == "YES" and is_toll_free(number):
            return None  # it does not end a block of the network
        is_answered = self.is_answered_by_twilio(typed, service_sid, number)
        reply = SILENCE if is_answered else Reply(language.replies[intent], sender=number)
        is_unconditional = intent is not Intent.START or word in _UNCONDITIONAL_STARTS
        return OptOutMatch(intent, word, reply, is_unconditional, language.code)

    def is_answered_by_twilio(self, typed: str, service_sid: str | None, number: str) -> bool:
        """Return whether Twilio or the network has acted and replied.

        They compare the text in upper case, without normalizing it. On WhatsApp and Messenger neither replies
        without ``OptOutType``; on a toll-free number YES is an ordinary text (facts 8, 11).
        """
        if ":" in number and not number.startswith("rcs:"):
            return False
        if is_toll_free(number):
            return typed in _TWILIO_KEYWORDS and typed != "YES"
        if not number.isdigit():
            return typed in _TWILIO_KEYWORDS
        return number not in self._standalone and service_sid in self._by_twilio and typed in _TWILIO_KEYWORDS


def _meanings_of(languages: Iterable[Language]) -> list[tuple[str, _Meaning]]:
    return [
        (word, _Meaning(intent, language, plain_word(word)))
        for language in languages
        for intent, words in language.words.items()
        for word in words
    ]


@lru_cache(maxsize=4)  # the thousands of shipped phrases take 40 ms, and a reload seldom changes any
def _recognizer_of(languages: tuple[Language, ...], ignored: frozenset[str]) -> Recognizer[_Meaning]:
    keywords = _meanings_of(languages)
    return Recognizer(
        keywords,
        ((text, _Meaning(Intent.STOP, one, text)) for one in languages for text in one.phrases),
        {text for language in languages for text in language.polite},
        {text for language in languages for text in language.suspected},
        [word for word, meaning in keywords if meaning.intent is Intent.STOP],
        ignored,
    )


def match_from_twilio(opt_out_type: str) -> OptOutMatch | None:
    """Return the meaning of an ``OptOutType``, None for an unknown one; Advanced Opt-Out has replied."""
    if opt_out_type not in Intent.__members__:
        return None
    return OptOutMatch(Intent(opt_out_type), opt_out_type, SILENCE, unconditional=True)


def plain_word(text: str) -> str:
    """Normalize a text as keywords are compared: without case, accents and punctuation around it."""
    return fold_accents(normalize(text))
