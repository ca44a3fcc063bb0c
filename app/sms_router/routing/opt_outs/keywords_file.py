"""``opt-outs.toml``: the opt-out words and their answers by language, checked as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sms_router.errors import ConfigurationError
from sms_router.routing.opt_outs.keywords import Intent, Language, OptOutKeywords, plain_word
from sms_router.toml import format_validation_errors, read_toml

DEFAULTS = Path(__file__).with_name("opt-outs.toml")
"""The languages that are included."""

Words = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=34)], ...], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1, max_length=1600)]

_NOT_LEFT = frozenset({"stop", "start", "help"})


class _Language(BaseModel):
    """One ``[[language]]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[str, Field(pattern="^[a-z]{2,3}$")]
    countries: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ()
    stop: Words
    start: Words
    help: Words
    stop_reply: Text
    start_reply: Text
    help_reply: Text


class _File(BaseModel):
    """``opt-outs.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    left_to_keywords: tuple[str, ...] = ()
    standalone_short_codes: tuple[Annotated[str, Field(pattern="^[0-9]{3,8}$")], ...] = ()
    language: tuple[_Language, ...] = ()


def load_opt_out_keywords(
    folder: Path | None = None, by_twilio: frozenset[str] = frozenset()
) -> OptOutKeywords:
    """Read the included languages and, over them, the folder's ``opt-outs.toml``, if there is one.

    ``by_twilio`` are the Services with ``opt_out = "twilio"``.

    Raises:
        SettingsError: with every mistake found.

    """
    languages = {each.code: each for each in _read(DEFAULTS).language}
    path = folder / "opt-outs.toml" if folder is not None else DEFAULTS
    own = _read(path)
    languages |= {each.code: each for each in own.language}
    mistakes = [*_repeated(own), *_left(own), *_contradicting(languages)]
    if mistakes:
        raise ConfigurationError([f"{path}: {mistake}" for mistake in mistakes])
    return OptOutKeywords(
        [_language(each) for each in languages.values()],
        left_to_keywords=frozenset(own.left_to_keywords),
        standalone=frozenset(own.standalone_short_codes),
        by_twilio=by_twilio,
    )


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigurationError(format_validation_errors(error, _File, path)) from error


def _language(table: _Language) -> Language:
    return Language(
        table.code,
        {Intent.STOP: table.stop, Intent.START: table.start, Intent.HELP: table.help},
        {Intent.STOP: table.stop_reply, Intent.START: table.start_reply, Intent.HELP: table.help_reply},
        frozenset(table.countries),
    )


def _repeated(file: _File) -> list[str]:
    codes = [each.code for each in file.language]
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    return [f'language: code = "{code}" stands in two tables; keep one of them' for code in repeated]


def _left(file: _File) -> list[str]:
    return [
        f"left_to_keywords: {word!r} must keep its meaning, carriers require it; take it out"
        for word in file.left_to_keywords
        if plain_word(word) in _NOT_LEFT
    ]


def _contradicting(languages: dict[str, _Language]) -> list[str]:
    """Find words with two meanings, and the three words that nobody may miss."""
    meanings: dict[str, str] = {}
    mistakes = [
        f"language {table.code}: {word!r} is among {name} and among {meaning}; keep one of them"
        for table in languages.values()
        for name, words in (("stop", table.stop), ("start", table.start), ("help", table.help))
        for word in words
        if (meaning := meanings.setdefault(plain_word(word), name)) != name
    ]
    mistakes += [
        f"{name.upper()} is not among the words for {name}; carriers require it"
        for name in ("stop", "start", "help")
        if meanings.get(name) != name
    ]
    return mistakes
