"""The words by which people opt out, come back and ask for help, and who answers them (design 8, facts 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.keywords.normalize import fold_accents, normalize
from sms_router.senders.country import is_toll_free


class Intent(StrEnum):
    """What a word asks for; the values are those of ``OptOutType``."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one language, and what is answered to them."""

    code: str
    words: Mapping[Intent, tuple[str, ...]]
    replies: Mapping[Intent, str]
    countries: frozenset[str] = frozenset()
    """For whose people it is preferred where two languages share a word."""


@dataclass(frozen=True, slots=True)
class OptOutMatch:
    """An opt-out word that somebody texted."""

    intent: Intent
    word: str
    """The word as it was recognised; what Advanced Opt-Out recognised is told by its type."""
    reply: Reply
    """What the router answers; nothing where Twilio or the network has answered."""
    unconditional: bool
    """True when it always counts; False when it is an ordinary text unless the person has opted out."""

    @property
    def rule(self) -> str:
        """What the journal names as the reason."""
        answered = "answered by Twilio" if self.reply is SILENCE else "answered by the router"
        word = self.word.upper()
        meaning = "" if word == self.intent.value else f" ({self.intent.value})"
        return f"opt-out word {word}{meaning}, {answered}"


FIRM_STARTS = frozenset({"start", "unstop"})

TWILIO_WORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
    | {"START", "YES", "UNSTOP", "HELP", "INFO"}
)
"""What Twilio itself answers on long codes: the word alone, whatever its capitals (facts 8)."""

NETWORK_WORDS = frozenset({"STOP", "START", "UNSTOP"})
"""What the network of toll-free numbers answers (facts 8)."""

_LONGEST = 80
"""Characters of a text in which a word is looked for."""


class OptOutKeywords:
    """Recognises the words."""

    def __init__(
        self,
        languages: Sequence[Language],
        *,
        left_to_keywords: frozenset[str] = frozenset(),
        standalone: frozenset[str] = frozenset(),
        by_twilio: frozenset[str] = frozenset(),
    ) -> None:
        """Take the languages in their order.

        ``left_to_keywords`` are words that do not count; ``standalone`` short codes are answered by the
        router whatever their Service; ``by_twilio`` are the Services whose short codes Twilio answers.
        """
        left = frozenset(map(plain_word, left_to_keywords))
        self.parts: Mapping[str, object] = {
            **{f"opt-out words ({language.code})": language for language in languages},
            "left_to_keywords": left,
            "standalone_short_codes": standalone,
        }
        """What it was built from, by name."""
        self._words: dict[str, list[tuple[Intent, Language]]] = {}
        for language in languages:
            for intent, word in _spelled(language):
                if word not in left:
                    self._words.setdefault(word, []).append((intent, language))
        self._standalone = standalone
        self._by_twilio = by_twilio

    @property
    def words(self) -> Iterable[str]:
        """Every word, as texts are compared with it."""
        return self._words.keys()

    def intent(self, word: str) -> Intent | None:
        """Return what a text asks for, None when it is not one of the words."""
        found = self._words.get(plain_word(word)) if len(word) <= _LONGEST else None
        return found[0][0] if found else None

    def match(
        self, body: str, service_sid: str | None, number: str, country: str | None
    ) -> OptOutMatch | None:
        """Return what a text asks for and who answers it; None for an ordinary text.

        ``number`` is the one that was texted, ``service_sid`` its Service, if it has one.
        """
        if len(body) > _LONGEST:
            return None
        word = plain_word(body)
        found = self._words.get(word)
        if found is None:
            return None
        intent, language = next((each for each in found if country in each[1].countries), found[0])
        typed = body.strip().upper()
        if is_toll_free(number) and intent is Intent.START and typed not in NETWORK_WORDS:
            return None  # only the network's own words undo what it has blocked
        answered = self._answered(typed, service_sid, number)
        reply = SILENCE if answered else Reply(language.replies[intent], sender=number)
        return OptOutMatch(intent, word, reply, intent is not Intent.START or word in FIRM_STARTS)

    def _answered(self, typed: str, service_sid: str | None, number: str) -> bool:
        """Tell whether Twilio or the network has answered: they know a word only as it is typed, alone."""
        if is_toll_free(number):
            return typed in NETWORK_WORDS
        if not number.isdigit():
            return typed in TWILIO_WORDS
        return number not in self._standalone and service_sid in self._by_twilio and typed in TWILIO_WORDS


def match_from_twilio(opt_out_type: str) -> OptOutMatch | None:
    """Return what ``OptOutType`` says: Advanced Opt-Out has replied already."""
    if opt_out_type not in Intent.__members__:
        return None
    return OptOutMatch(Intent(opt_out_type), opt_out_type, SILENCE, unconditional=True)


def plain_word(text: str) -> str:
    """Return a text as words are compared: without capitals, accents and punctuation around it."""
    return fold_accents(normalize(text))


def _spelled(language: Language) -> Iterator[tuple[Intent, str]]:
    for intent, words in language.words.items():
        for word in words:
            yield intent, plain_word(word)
