"""Rules from ``keywords.toml`` and from ``@keyword`` functions, checked as a whole."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from app.mistakes import SettingsError
from app.routing.dispatch import Dispatcher, Forwards, RuleAnswer
from app.routing.handlers import Handler, HandlerError
from app.routing.keywords import KeywordConflictError, RuleTable
from app.routing.loading import load_handlers
from app.routing.opt_out_words import OptOutWords
from app.routing.registration import Registration
from app.routing.rules import MatchKind, Rule, Scope
from app.routing.templates import TemplateError, Templates, WrittenAnswer
from app.routing.threads import Threads
from app.routing.upstream.forward import Forward
from app.routing.upstream.table import ForwardTable
from app.toml_files import describe_mistakes, read_toml

log = logging.getLogger("sms_router")

_MEDIA_URL = re.compile(r"https?://[^/\s]\S*")
_SERVICE_SID = re.compile("MG[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"(?:[a-z]+:)?\+[1-9][0-9]{6,14}|[0-9]{3,8}")
_COUNTRY = re.compile("[A-Za-z]{2}")
_MOST_MEDIA = 10
"""Twilio takes no more in one message (facts 4)."""

_MATCHES = {kind.value: kind for kind in MatchKind}
_LATER = {
    "pattern": 'match = "pattern" is not supported yet; use "whole", "first-word" or "prefix"',
}


def _some(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise ValueError("must not be empty")
    return words


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reply: str | None = None
    template: str | None = None
    media: tuple[str, ...] = ()
    forward: ForwardTable | None = None


class _Default(_Table):
    """``[default]``: the answer to everything else."""


class _Keyword(_Table):
    """One ``[[keyword]]``."""

    words: Annotated[tuple[str, ...], AfterValidator(_some)]
    match: str = "first-word"
    services: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    fold_accents: bool = False


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keyword: tuple[_Keyword, ...] = ()
    default: _Default | None = None


def load_dispatcher(
    folder: Path,
    handlers: Sequence[str],
    threads: Threads,
    opt_outs: OptOutWords | None = None,
    forwards: Forwards | None = None,
    middlewares: Sequence[str] = (),
) -> Dispatcher:
    """Read ``keywords.toml`` and the handler modules, and build the index of rules.

    ``opt_outs`` are the words that come before every rule; without ``forwards`` nothing is forwarded.

    A missing or empty file is allowed, for teams that answer with functions alone, and warned of.

    Raises:
        SettingsError: with every mistake found.

    """
    loading = _Loading(folder / "keywords.toml", Templates(folder / "templates"), [])
    content = loading.file_content()
    rules = [rule for n, table in enumerate(content.keyword, start=1) if (rule := loading.rule(n, table))]
    default = None if content.default is None else loading.answer(content.default, "default")
    rules += loading.function_rules(handlers, threads, middlewares)
    try:
        index = RuleTable.build(rules)
    except KeywordConflictError as error:
        raise SettingsError([*loading.mistakes, *str(error).splitlines()]) from error
    if loading.mistakes:
        raise SettingsError(loading.mistakes)
    if content == _File():
        _warn_of_silence(loading.file)
    return Dispatcher(index, default, opt_outs, forwards)


def _warn_of_silence(file: Path) -> None:
    state = "is empty" if file.exists() else "is missing"
    log.warning(
        "%s %s: texts that no @keyword function claims get no answer; write a [default] reply there",
        file,
        state,
    )


@dataclass(slots=True)
class _Loading:
    """The mistakes found so far: all are told together."""

    file: Path
    templates: Templates
    mistakes: list[str]

    def file_content(self) -> _File:
        try:
            return _File.model_validate(read_toml(self.file))
        except ValidationError as error:
            self.mistakes += describe_mistakes(error, _File, self.file)
        except SettingsError as error:
            self.mistakes += error.mistakes
        return _File()

    def rule(self, number: int, table: _Keyword) -> Rule[RuleAnswer] | None:
        """Make the rule of a ``[[keyword]]``, or note what is wrong with it."""
        source = f"{self.file}, keyword {number}"
        where = f"{source} ({table.words[0]})"
        kind = self._kind(table.match, where)
        scope = self._scope(table, where)
        answer = self.answer(table, f"keyword {number} ({table.words[0]})")
        if answer is None:
            return None
        return Rule(table.words, kind, scope, answer, _name(table.words), source, table.fold_accents)

    def answer(self, table: _Table, name: str) -> WrittenAnswer | Forward | None:
        """Compile the answer of a table, or note what is wrong with it."""
        if table.forward is not None:
            if table.reply is not None or table.template is not None or table.media:
                self.mistakes.append(
                    f"{self.file}: {name}: give it a reply, a template or a forward, and only one"
                )
            return table.forward.forward()
        try:
            return self._compiled(table, name)
        except TemplateError as error:
            self.mistakes.append(f"{self.file}: {error}")
            return None

    def function_rules(
        self, names: Sequence[str], threads: Threads, middlewares: Sequence[str]
    ) -> list[Rule[RuleAnswer]]:
        """Load the handler modules and make the rules of their functions."""
        try:
            functions = load_handlers(names, threads, middlewares)
        except HandlerError as error:
            self.mistakes += str(error).splitlines()
            return []
        return [self._function_rule(registration, handler) for registration, handler in functions]

    def _function_rule(self, told: Registration, handler: Handler) -> Rule[RuleAnswer]:
        where = handler.source
        kind, scope = self._kind(told.match, where), self._scope(told, where)
        return Rule(told.words, kind, scope, handler, _name(told.words), where, told.fold_accents)

    def _compiled(self, table: _Table, name: str) -> WrittenAnswer:
        for url in table.media:
            if not _MEDIA_URL.fullmatch(url):
                raise TemplateError(f"{name}: media: {url!r} is no URL; write one that begins with https://")
        if len(table.media) > _MOST_MEDIA:
            raise TemplateError(f"{name}: media: a message carries {_MOST_MEDIA} at most")
        if table.template is not None and table.reply is None:
            return self.templates.of_file(table.template, table.media)
        if table.template is not None or (table.reply is None and not table.media):
            raise TemplateError(f"{name}: give it a reply, a template or a forward, and only one")
        if not (table.reply or "").strip() and not table.media:
            raise TemplateError(f"{name}: reply is empty; write the text that people get")
        return self.templates.of_text(table.reply or "", name, table.media)

    def _kind(self, match: str, where: str) -> MatchKind:
        if match in _LATER:
            self.mistakes.append(f"{where}: {_LATER[match]}")
        elif match not in _MATCHES:
            self.mistakes.append(f'{where}: match = "{match}" is unknown; use {", ".join(_MATCHES)}')
        return _MATCHES.get(match, MatchKind.FIRST_WORD)

    def _scope(self, told: _Keyword | Registration, where: str) -> Scope:
        """Read where a rule holds; what could never hold anywhere is a mistake."""
        for name, values, pattern, example in (
            ("services", told.services, _SERVICE_SID, "MG and 32 hex digits"),
            ("numbers", told.numbers, _NUMBER, "a short code or a number like +14155550100"),
            ("countries", told.countries, _COUNTRY, "two letters like US (ISO 3166)"),
        ):
            self.mistakes += [
                f"{where}: {name}: {value!r} should be {example}"
                for value in values
                if not pattern.fullmatch(value)
            ]
        countries = frozenset(country.upper() for country in told.countries)
        return Scope(frozenset(told.services), frozenset(told.numbers), countries)


def _name(words: tuple[str, ...]) -> str:
    """Return what people call a rule: its first word, on one line."""
    return " ".join(words[0].split())
