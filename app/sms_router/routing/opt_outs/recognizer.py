"""Recognises keywords and phrases in a text as people type it.

The law asks for any reasonable way to opt out (47 CFR 64.1200(a)(10), CTIA 5.1.3), so that these make no
difference: case, width, accents, punctuation, symbols, emoji, blanks and hyphens inside, repeats, politeness,
and signature or quoted lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Generic, TypeVar

from sms_router.routing.keywords.normalize import MAX_TEXT_LENGTH, fold_accents, normalize

MAX_VARIANTS = 5_000
"""Texts that the alternatives of one phrase may stand for."""

_Meaning = TypeVar("_Meaning")
_Index = dict[str, Sequence[_Meaning]]

_LOWER_AND_BLANKS = bytes(ord(chr(code).lower()) if chr(code).isalnum() else 32 for code in range(128)) * 2
_SIGNS = re.compile(r"[\W_]+")
_ALTERNATIVES = re.compile(r"\(([^()]*)\)")
_SENTENCE_END = re.compile(r"[.,;:!?\n\r\u2026\u3002\uff01\uff1f]+|\s[-\u2013\u2014]\s")
_RUN = re.compile(r"(.)\1\1+")
_COMMON = frozenset({
    "again", "anymore", "can", "could", "de", "didnt", "estos", "how", "like", "me", "more", "never",
    "no", "not", "para", "phone", "please", "plus", "pour", "quiero", "receive", "recevoir", "recibir",
    "that", "the", "these", "this", "those", "veux", "want", "would", "wrong", "you", "your",
})  # fmt: skip
"""Words that are poor marks of a phrase (`Recognizer`)."""

_MAX_GAP = 2
"""Words between those of an expression of suspected texts."""

_MAX_SHORT = 4
"""Words of a text that may be one keyword, with blanks inside or repeated letters."""

_ADDED = re.compile(
    r"""
    ^[ \t]*[>|][^\n]*                                                            # a quoted line
    | (?:^|(?<=[\s.,;:!?)"\u201d*-]))(?:
        (?:sent|enviado|envoy[e\u00e9]|gesendet)[ ]
            (?:from|via|with|using|by|desde|de|con|depuis|von|mit)\b.*
        | get\ outlook\ for\b.*
        | (?:on|el|le|am)\b.{4,120}?\b(?:wrote|escribi[o\u00f3]|a\s[e\u00e9]crit|schrieb)\b\s*:.*
        | (?<!-)-{2,}+[ \t]*+(?:$|original|forwarded).*
        | (?<!_)_{3,}+.*
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
"""What a phone or a mail program adds: signatures, and the message that is answered."""

_ADDITIONS = frozenset(
    {"sent", "enviado", "envoye", "gesendet", "outlook", "wrote", "escribio", "ecrit", "schrieb"}
)
_MAY_BE_ADDED = re.compile(r"[>|]|--|__")


class InvalidPhraseError(ValueError):
    """A phrase or an expression in a configuration that cannot be used."""


@lru_cache(1_000)  # the shipped phrases are read again with each reload
def expand(phrase: str) -> tuple[str, ...]:
    """Return the texts of a phrase with alternatives: ``remove (me|my (|phone )number) (|now)``.

    Raises:
        InvalidPhraseError: when a parenthesis is not closed, or there are too many alternatives.

    """
    texts = list(islice(_variants(phrase), MAX_VARIANTS + 1))
    if len(texts) > MAX_VARIANTS:
        raise InvalidPhraseError(f"{phrase!r} has over {MAX_VARIANTS} variants; write it as several phrases")
    if any(bracket in texts[0] for bracket in "()"):
        raise InvalidPhraseError(f"{phrase!r} has a parenthesis without its other half")
    return tuple(dict.fromkeys(" ".join(text.split()) for text in texts))


def _variants(phrase: str) -> Iterator[str]:
    inner = _ALTERNATIVES.search(phrase)
    if inner is None:
        yield phrase
        return
    for choice in inner[1].split("|"):
        yield from _variants(phrase[: inner.start()] + choice + phrase[inner.end() :])


def split_words(text: str) -> list[str]:
    """Return the words of a text, without case, accents and signs; an apostrophe is no end of a word."""
    if text.isascii():
        ascii_text = text[:MAX_TEXT_LENGTH].encode()
        return ascii_text.translate(_LOWER_AND_BLANKS, b"'").decode().split()
    folded = fold_accents(normalize(text)).replace("'", "")
    return _SIGNS.sub(_keep_marks, folded).split()


def _keep_marks(signs: re.Match[str]) -> str:
    """Return a blank for signs; vowel signs, which other scripts need, are kept."""
    return "".join(char if unicodedata.category(char)[0] == "M" else " " for char in signs[0])


def key_of(text: str) -> str:
    """Return the form in which keywords and phrases are compared; of signs alone, the signs."""
    return "".join(split_words(text)) or normalize(text)


class Recognizer(Generic[_Meaning]):
    """Finds the meanings of a text; built once, a few look-ups for an ordinary text.

    Args:
        keywords: texts with a meaning; they count as the whole text.
        phrases: they count as a whole sentence too, where they have several words.
        polite: expressions that make no difference.
        suspected: expressions of texts that may be meant as an opt-out: words in their order, with two others
            in between at most; one that ends with ``*`` stands for its beginning.
        suspected_sentences: keywords of one meaning: several of them have it too, and a text with one as a
            sentence is suspected.
        ignored: keys (`key_of`) of keywords and phrases that have no meaning.

    """

    def __init__(
        self,
        keywords: Iterable[tuple[str, _Meaning]],
        phrases: Iterable[tuple[str, _Meaning]],
        polite: Iterable[str] = (),
        suspected: Iterable[str] = (),
        suspected_sentences: Iterable[str] = (),
        ignored: frozenset[str] = frozenset(),
    ) -> None:
        self._last: tuple[str, tuple[Sequence[_Meaning], bool]] = ("", ((), False))
        """The last text and its verdict: a text is looked up twice."""
        self.unused = set(ignored)
        """Ignored keys of no keyword and no phrase."""
        self._marks = set(_ADDITIONS)
        """Words without which a text of more than three words is an ordinary one."""
        phrases = list(phrases)
        whole = self._index(keywords, ignored)
        doubled = {key + key[-1]: meanings for key, meanings in whole.items() if len(key) > 3}
        self._whole = doubled | self._index(phrases, ignored) | whole
        self._sentences = {key_of(text): () for text in suspected_sentences} | self._index(
            ((text, meaning) for text, meaning in phrases if " " in text), ignored
        )
        """Those without a meaning are suspected."""
        self._polite: dict[str, list[list[str]]] = {}
        """Expressions by their first word, the longest ones first."""
        for words in sorted(map(split_words, polite), key=len, reverse=True):
            self._polite.setdefault(words[0], []).append(words)
        expressions = [words for same_start in self._polite.values() for words in same_start]
        self._polite_words = {word for words in expressions for word in words}
        self._suspected: dict[str, list[tuple[set[str], list[str]]]] = {}
        """Expressions by their longest word without ``*``, each with all of these."""
        for words in (expression.split() for expression in suspected):
            exact = {word for word in words if word[-1] != "*"}
            self._suspected.setdefault(_mark(exact), []).append((exact, words))
        self._marks |= self._suspected.keys()
        self._all_marks = self._marks.union(map(_mark, expressions))
        """The same, and those of politeness."""

    def _index(self, texts: Iterable[tuple[str, _Meaning]], ignored: frozenset[str]) -> _Index[_Meaning]:
        index: _Index[_Meaning] = {}
        for text, meaning in texts:
            words = split_words(text)
            key = "".join(words) or normalize(text)
            self.unused.discard(key)
            if key not in ignored:
                index[key] = (*index.get(key, ()), meaning)
                self._marks.add(_mark(words))
        return index

    def find(self, text: str) -> tuple[Sequence[_Meaning], bool]:
        """Return the meanings of a text, and whether one that has none is suspected."""
        last_text, verdict = self._last
        if text is not last_text:
            verdict = self._find(text)
            self._last = text, verdict
        return verdict

    def _find(self, text: str) -> tuple[Sequence[_Meaning], bool]:
        words = split_words(text)
        key = "".join(words) or normalize(text)
        meanings = self._whole.get(key)
        if meanings is not None:
            return meanings, False
        if self._all_marks.isdisjoint(words):
            if len(words) > _MAX_SHORT or len(set(key)) > max(len(key) // 2, len(key) - 2):
                return (), False  # nothing is repeated
            return self._whole.get(_without_repeats(key), ()), False
        if self._marks.isdisjoint(words):
            words = [word for word in words if word not in self._polite_words]
            is_short = len(words) <= _MAX_SHORT
            return (self._whole.get(_without_repeats("".join(words)), ()) if is_short else ()), False
        if not _ADDITIONS.isdisjoint(words) or _MAY_BE_ADDED.search(text):
            text = _ADDED.sub(" ", text[:MAX_TEXT_LENGTH])
            words = split_words(text)
        meanings = self._look_up(words, self._whole)
        if meanings is None and len(sentences := _SENTENCE_END.split(text)) > 1:
            found = [self._look_up(split_words(sentence), self._sentences) for sentence in sentences]
            meanings = next(filter(None, found), () if () in found else None)
        return meanings or (), not meanings and (meanings is not None or self._is_suspected(words))

    def _look_up(self, words: Sequence[str], index: _Index[_Meaning]) -> Sequence[_Meaning] | None:
        """Look words up without politeness, and without words and letters that are repeated."""
        bare: list[str] = []
        place = 0
        while place < len(words):
            word = words[place]
            expressions = self._polite.get(word, ())
            length = next((len(one) for one in expressions if words[place : place + len(one)] == one), 0)
            if not length and (not bare or word != bare[-1]):
                bare.append(word)
            place += length or 1
        if len(bare) > 1 and all(self._sentences.get(word) == () for word in bare):
            bare = bare[:1]  # "stop, unsubscribe"
        key = "".join(bare)
        return index.get(key, index.get(_without_repeats(key)))

    def _is_suspected(self, words: Sequence[str]) -> bool:
        present = set(words)
        return any(
            exact <= present and _occurs(expression, words, 0, len(words))
            for mark in self._suspected.keys() & present
            for exact, expression in self._suspected[mark]
        )


def _occurs(expression: Sequence[str], words: Sequence[str], start: int, gap: int) -> bool:
    """Return whether an expression begins within a gap after a place."""
    first, others = expression[0], expression[1:]
    return any(
        (word.startswith(first[:-1]) if first[-1] == "*" else word == first)
        and (not others or _occurs(others, words, place + 1, _MAX_GAP))
        for place, word in enumerate(words[start : start + gap + 1], start)
    )


def _without_repeats(key: str) -> str:
    """Return "stop" for "stopstop" and "stoppp"."""
    return _RUN.sub(r"\1", key[: (key + key).find(key, 1)])


def _mark(words: Iterable[str]) -> str:
    """Return the most specific word: the longest one that is not common."""
    return max(words, key=lambda word: (word not in _COMMON, len(word)), default="")
