"""``opt-outs.toml``: the opt-out keywords and the replies to them by language, validated as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from sms_router.errors import ConfigurationError
from sms_router.routing.opt_outs.keywords import REQUIRED_WORDS, Intent, Language, OptOutKeywords
from sms_router.routing.opt_outs.recognizer import InvalidPhraseError, expand, key_of
from sms_router.toml import StrictModel, read_toml, validate
from sms_router.toml_positions import Location, format_place

DEFAULTS = Path(__file__).with_name("opt-outs.toml")
"""The languages that are included."""

Words = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=34)], ...], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1, max_length=1600)]

_Mistake = tuple[Location, str]
"""Where a mistake is, and what."""

Phrases = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], Field(max_length=200)]


class _LanguageTable(StrictModel):
    """One ``[[language]]``; phrases that are not given are those of the included language."""

    code: Annotated[str, Field(pattern="^[a-z]{2,3}$")]
    countries: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ()
    stop: Words
    start: Words
    help: Words
    stop_reply: Text
    start_reply: Text
    help_reply: Text
    phrases: Phrases | None = None
    polite: Phrases | None = None
    suspected: Phrases | None = None


class _OptOutsFile(StrictModel):
    """``opt-outs.toml``."""

    left_to_keywords: tuple[str, ...] = ()
    without_languages: tuple[str, ...] = ()
    standalone_short_codes: tuple[Annotated[str, Field(pattern="^[0-9]{3,8}$")], ...] = ()
    language: tuple[_LanguageTable, ...] = ()


def load_opt_out_keywords(
    folder: Path | None = None, by_twilio: frozenset[str] = frozenset()
) -> OptOutKeywords:
    """Read the included languages and, over them, those of the ``opt-outs.toml`` of a folder, if it has one.

    ``by_twilio`` are the Services with ``opt_out = "twilio"``.

    Raises:
        ConfigurationError: with every mistake found.

    """
    included = {table.code: table for table in validate(read_toml(DEFAULTS), _OptOutsFile).language}
    path = folder / "opt-outs.toml" if folder is not None else DEFAULTS
    own = validate(read_toml(path), _OptOutsFile, path)
    languages = {code: table for code, table in included.items() if code not in own.without_languages}
    languages |= {table.code: table for table in own.language}
    places = {table.code: index for index, table in enumerate(own.language)}
    codes = [table.code for table in own.language]
    mistakes: list[_Mistake] = [
        (("without_languages",), f"without_languages: {code!r} is none of {', '.join(included)}")
        for code in own.without_languages
        if code not in included
    ]
    mistakes += (
        (("language", index, "code"), f'language: two tables have code = "{code}"; keep one of them')
        for code, index in sorted(places.items())
        if codes.count(code) > 1
    )
    mistakes += (
        (
            ("left_to_keywords", index),
            f"left_to_keywords: carriers require {word!r} to be an opt-out word; remove it here",
        )
        for index, word in enumerate(own.left_to_keywords)
        if key_of(word) in REQUIRED_WORDS
    )
    mistakes += _find_contradictions(languages, places)
    built = []
    for code, table in languages.items():
        try:
            built.append(_language(table, included.get(code)))
        except InvalidPhraseError as error:
            mistakes.append((("language", places.get(code, 0)), f"language {code}: {error}"))
    if mistakes:
        raise ConfigurationError([f"{format_place(path, location)}: {text}" for location, text in mistakes])
    return OptOutKeywords(
        built,
        left_to_keywords=frozenset(own.left_to_keywords),
        standalone=frozenset(own.standalone_short_codes),
        by_twilio=by_twilio,
    )


def _language(table: _LanguageTable, included: _LanguageTable | None) -> Language:
    """Return a language with the variants of its phrases.

    Raises:
        InvalidPhraseError: when a phrase cannot be used.

    """

    def variants(name: str) -> tuple[str, ...]:
        phrases = getattr(table, name)
        if phrases is None and included is not None:
            phrases = getattr(included, name)
        return tuple(text for phrase in phrases or () for text in expand(phrase))

    suspected = variants("suspected")
    for expression in suspected:
        if all(word.endswith("*") for word in expression.split()):
            raise InvalidPhraseError(f"{expression!r} has no word without *, by which it is found")
    return Language(
        table.code,
        {Intent.STOP: table.stop, Intent.START: table.start, Intent.HELP: table.help},
        {Intent.STOP: table.stop_reply, Intent.START: table.start_reply, Intent.HELP: table.help_reply},
        frozenset(table.countries),
        variants("phrases"),
        variants("polite"),
        suspected,
    )


def _find_contradictions(languages: dict[str, _LanguageTable], places: dict[str, int]) -> list[_Mistake]:
    """Find keywords with two meanings, and required ones that are missing.

    ``places`` has the index of each language that the file defines.
    """
    meanings: dict[str, str] = {}
    mistakes: list[_Mistake] = [
        (
            ("language", places[table.code], name) if table.code in places else (),
            f"language {table.code}: {word!r} is in {name} and in {meaning}; keep one of them",
        )
        for table in languages.values()
        for name, words in (("stop", table.stop), ("start", table.start), ("help", table.help))
        for word in words
        if (meaning := meanings.setdefault(key_of(word), name)) != name
    ]
    mistakes += [
        ((), f"{name.upper()} is missing in {name}; carriers require it")
        for name in REQUIRED_WORDS
        if meanings.get(name) != name
    ]
    return mistakes
