"""Rules from ``keywords.toml`` and from ``@keyword`` functions, checked as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.routing.dispatch import Dispatcher, RuleAnswer
from app.routing.handlers import Handler, HandlerError, Registration, Threads, load_handlers
from app.routing.keywords import KeywordConflictError, RuleTable
from app.routing.rules import MatchKind, Rule, Scope
from app.routing.templates import TemplateError, Templates, WrittenAnswer
from app.toml_files import SettingsError, describe_mistakes, read_toml

_MATCHES = {kind.value: kind for kind in MatchKind}
_LATER = {
    "pattern": 'match = "pattern" is not supported yet; use "whole", "first-word" or "prefix"',
    "forward": "forward is not supported yet; answer with reply, template, or a @keyword function",
}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reply: str | None = None
    template: str | None = None
    media: tuple[str, ...] = ()


class _Default(_Table):
    """``[default]``: the answer to everything else."""


class _Keyword(_Table):
    """One ``[[keyword]]``."""

    words: Annotated[tuple[str, ...], Field(min_length=1)]
    match: str = "first-word"
    forward: object = None
    services: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    fold_accents: bool = False


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keyword: tuple[_Keyword, ...] = ()
    default: _Default | None = None


@dataclass(slots=True)
class _Loading:
    """The mistakes found so far: all are told together."""

    file: Path
    templates: Templates
    mistakes: list[str]

    def answer(self, table: _Table, name: str) -> WrittenAnswer | None:
        """Compile the answer of a table, or note what is wrong with it."""
        try:
            if table.reply is not None and table.template is None:
                if not table.reply.strip() and not table.media:
                    raise TemplateError(f"{name}: reply is empty; write the text that people get")
                return self.templates.of_text(table.reply, name, table.media)
            if table.template is not None and table.reply is None:
                return self.templates.of_file(table.template, table.media)
            if table.media and table.reply is None and table.template is None:
                return self.templates.of_text("", name, table.media)
        except TemplateError as error:
            self.mistakes.append(f"{self.file}: {error}")
            return None
        self.mistakes.append(f"{self.file}: {name}: give it a reply or a template, and not both")
        return None


def load_dispatcher(folder: Path, handlers: Sequence[str], threads: Threads) -> Dispatcher:
    """Read ``keywords.toml`` and the handler modules, and build the index of rules.

    Raises:
        SettingsError: with every mistake found.

    """
    file = folder / "keywords.toml"
    loading = _Loading(file, Templates(folder / "templates"), [])
    written, default = _written_rules(loading)
    functions: list[tuple[Registration, Handler]] = []
    try:
        functions = load_handlers(handlers, threads)
    except HandlerError as error:
        loading.mistakes += str(error).splitlines()
    rules = [
        *written,
        *(_function_rule(registration, handler, loading) for registration, handler in functions),
    ]
    if loading.mistakes:
        raise SettingsError(loading.mistakes)
    try:
        return Dispatcher(RuleTable.build(rules), default)
    except KeywordConflictError as error:
        raise SettingsError(str(error).splitlines()) from error


def _written_rules(loading: _Loading) -> tuple[list[Rule[RuleAnswer]], WrittenAnswer | None]:
    try:
        content = _File.model_validate(read_toml(loading.file))
    except ValidationError as error:
        loading.mistakes += describe_mistakes(error, _File, loading.file)
        return [], None
    except SettingsError as error:
        loading.mistakes += error.mistakes
        return [], None
    rules: list[Rule[RuleAnswer]] = []
    for number, table in enumerate(content.keyword, start=1):
        name = f"keyword {number} ({table.words[0]})"
        kind = _kind(table.match, f"{loading.file}: {name}", loading)
        if table.forward is not None:
            loading.mistakes.append(f"{loading.file}: {name}: {_LATER['forward']}")
        elif (answer := loading.answer(table, name)) is not None:
            scope = Scope(frozenset(table.services), frozenset(table.numbers), frozenset(table.countries))
            rules.append(
                Rule(
                    table.words,
                    kind,
                    scope,
                    answer,
                    table.words[0],
                    f"{loading.file}, {name}",
                    table.fold_accents,
                )
            )
    default = loading.answer(content.default, "default") if content.default is not None else None
    return rules, default


def _function_rule(registration: Registration, handler: Handler, loading: _Loading) -> Rule[RuleAnswer]:
    scope = Scope(
        frozenset(registration.services), frozenset(registration.numbers), frozenset(registration.countries)
    )
    if not registration.words:
        loading.mistakes.append(
            f'{handler.source}: @keyword needs at least one word, as in @keyword("BALANCE")'
        )
    kind = _kind(registration.match, handler.source, loading)
    name = registration.words[0] if registration.words else handler.name
    return Rule(registration.words, kind, scope, handler, name, handler.source, registration.fold_accents)


def _kind(match: str, where: str, loading: _Loading) -> MatchKind:
    if match in _LATER:
        loading.mistakes.append(f"{where}: {_LATER[match]}")
    elif match not in _MATCHES:
        loading.mistakes.append(f'{where}: match = "{match}" is unknown; use {", ".join(sorted(_MATCHES))}')
    return _MATCHES.get(match, MatchKind.FIRST_WORD)
