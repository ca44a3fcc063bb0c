"""The opt-out keywords: which texts are STOP, START or HELP, and who replies to them (facts 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.keywords.normalize import fold_accents, normalize
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
    words: Mapping[Intent, tuple[str, ...]]
    replies: Mapping[Intent, str]
    countries: frozenset[str] = frozenset()
    """The contacts' countries for which it is chosen where languages share a keyword."""


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

_NETWORK_KEYWORDS = frozenset({"STOP", "START", "UNSTOP"})
"""What the network of toll-free numbers replies to (facts 8)."""

_MAX_LENGTH = 80
"""Characters of a text that may be a keyword."""


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
        ignored = frozenset(map(plain_word, left_to_keywords))
        self.parts: Mapping[str, object] = {
            **{f"opt-out words ({language.code})": language for language in languages},
            "left_to_keywords": ignored,
            "standalone_short_codes": standalone,
        }
        """What it was built from, by name, to report what a reload has changed."""
        self._words: dict[str, list[tuple[Intent, Language]]] = {}
        self.left: dict[str, tuple[Intent, Language]] = {}
        """The words that are left to keywords, with the meaning that they have for Twilio."""
        for language in languages:
            for intent, words in language.words.items():
                for word in map(plain_word, words):
                    if word not in ignored:
                        self._words.setdefault(word, []).append((intent, language))
                    elif word.upper() in _TWILIO_KEYWORDS and intent is not Intent.HELP:
                        self.left.setdefault(word, (intent, language))
        self._standalone = standalone
        self._by_twilio = by_twilio

    @property
    def words(self) -> Iterable[str]:
        """Every keyword, normalized."""
        return self._words.keys()

    def intent(self, word: str) -> Intent | None:
        """Return the meaning of a text; None when it is no keyword."""
        meanings = self._words.get(plain_word(word)) if len(word) <= _MAX_LENGTH else None
        return meanings[0][0] if meanings else None

    def match(
        self, body: str, service_sid: str | None, number: str, country: str | None
    ) -> OptOutMatch | None:
        """Return the meaning of a text and the reply to it; None for an ordinary text.

        Args:
            body: the text.
            service_sid: the texted number's Service; None outside Services.
            number: the number that was texted.
            country: the contact's, which decides between languages.

        """
        if len(body) > _MAX_LENGTH:
            return None
        word = plain_word(body)
        typed = body.strip().upper()
        meanings = self._words.get(word)
        if meanings is None:
            if word in self.left and self.is_answered_by_twilio(typed, service_sid, number):
                return OptOutMatch(self.left[word][0], word, SILENCE, self.left[word][0] is Intent.STOP)
            return None
        intent, language = next((each for each in meanings if country in each[1].countries), meanings[0])
        if is_toll_free(number) and intent is Intent.START and typed not in _NETWORK_KEYWORDS:
            return None  # only the network's own keywords end a block of the network
        is_answered = self.is_answered_by_twilio(typed, service_sid, number)
        reply = SILENCE if is_answered else Reply(language.replies[intent], sender=number)
        return OptOutMatch(intent, word, reply, intent is not Intent.START or word in _UNCONDITIONAL_STARTS)

    def is_answered_by_twilio(self, typed: str, service_sid: str | None, number: str) -> bool:
        """Return whether Twilio or the network has acted and replied.

        They compare the text in upper case, without normalizing it.
        """
        if is_toll_free(number):
            return typed in _NETWORK_KEYWORDS
        if not number.isdigit():
            return typed in _TWILIO_KEYWORDS
        return number not in self._standalone and service_sid in self._by_twilio and typed in _TWILIO_KEYWORDS


def match_from_twilio(opt_out_type: str) -> OptOutMatch | None:
    """Return the meaning of an ``OptOutType``, None for an unknown one; Advanced Opt-Out has replied."""
    if opt_out_type not in Intent.__members__:
        return None
    return OptOutMatch(Intent(opt_out_type), opt_out_type, SILENCE, unconditional=True)


def plain_word(text: str) -> str:
    """Normalize a text as keywords are compared: without case, accents and punctuation around it."""
    return fold_accents(normalize(text))
