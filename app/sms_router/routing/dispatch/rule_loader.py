"""Rules from ``keywords.toml`` and from ``@keyword`` functions, checked as a whole."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.handler.decorators import KeywordSpec
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import is_media_url
from sms_router.routing.keywords.lint import InvalidRulesError
from sms_router.routing.keywords.patterns import PatternError
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.schedule import Schedule, TimeZones
from sms_router.routing.keywords.templates import ConfiguredReply, TemplateError, Templates
from sms_router.routing.opt_outs.keywords import OptOutKeywords
from sms_router.routing.upstream.forward_rule import Forward, ForwardModel, is_loop
from sms_router.toml import format_validation_errors, read_toml
from sms_router.twilio.sids import SERVICE_SID

log = logging.getLogger("sms_router")

_NUMBER = re.compile(r"(?:[a-z]+:)?\+[1-9][0-9]{6,14}|[0-9]{3,8}")
_COUNTRY = re.compile("[A-Za-z]{2}")
_MOST_MEDIA = 10
"""Twilio takes no more in one message (facts 4)."""

_MATCHES = {kind.value: kind for kind in MatchKind}


def _some(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        raise ValueError("must not be empty")
    return words


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reply: str | None = None
    template: str | None = None
    media: tuple[str, ...] = ()
    forward: ForwardModel | None = None


class _Default(_Table):
    """``[default]``: the answer to everything else."""

    services: dict[str, _Table] = {}
    """``[default.services.MG...]``: what one Service answers instead."""
    did_you_mean: str | None = None
    """The answer to a keyword that is one slip off."""

    @property
    def says_nothing(self) -> bool:
        """True when the table is there for its other keys alone."""
        written = (self.reply, self.template, self.forward, self.media or None)
        return written == (None, None, None, None) and (bool(self.services) or self.did_you_mean is not None)


class _Window(BaseModel):
    """One window of ``hours``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: tuple[str, ...] = ()
    begins: Annotated[str, Field(alias="from")] = "00:00"
    ends: Annotated[str, Field(alias="to")] = "24:00"


def _listed(windows: object) -> object:
    if not isinstance(windows, dict | list | tuple):
        raise ValueError('must be like { days = ["mon-fri"], from = "09:00", to = "17:00" }')  # noqa: TRY004
    return (windows,) if isinstance(windows, dict) else windows


class _Keyword(_Table):
    """One ``[[keyword]]``."""

    words: Annotated[tuple[str, ...], AfterValidator(_some)]
    match: str = "first-word"
    services: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    fold_accents: bool = False
    hours: Annotated[tuple[_Window, ...], BeforeValidator(_listed)] = ()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keyword: tuple[_Keyword, ...] = ()
    default: _Default | None = None


def load_rules(
    file: Path,
    templates: Path,
    functions: HandlerRegistry,
    opt_outs: OptOutKeywords | None = None,
    forwards: ForwardConfig | None = None,
    zones: TimeZones | None = None,
    clock: Callable[[], float] = time.time,
) -> Dispatcher:
    """Read the rules of a file, and build the index of them and of the team's functions.

    ``opt_outs`` are the words that come before every rule; without ``forwards`` nothing is
    forwarded; ``zones`` and ``clock`` (seconds since the epoch) say what time it is where hours count.

    A missing or empty file is allowed, for teams that answer with functions alone, and warned of.

    Raises:
        SettingsError: with every mistake found.

    """
    own = forwards.public_url if forwards is not None else ""
    loading = _RuleLoader(file, Templates(templates), [*functions.errors], own)
    content = loading.file_content()
    rules = [rule for n, table in enumerate(content.keyword, start=1) if (rule := loading.rule(n, table))]
    rules += loading.function_rules(functions)
    if functions.conversations is not None:
        words = (word for rule in rules for word in rule.words)
        loading.mistakes += functions.conversations.unknown_interruptions(words)
    defaults = loading.defaults(content.default)
    try:
        index = RuleTable.build(rules)
    except (InvalidRulesError, PatternError) as error:
        raise ConfigurationError([*loading.mistakes, *str(error).splitlines()]) from error
    if loading.mistakes:
        raise ConfigurationError(loading.mistakes)
    if content == _File():
        _warn_of_silence(loading.file)
    return Dispatcher(index, defaults, opt_outs, forwards, zones, clock, functions.conversations)


def _warn_of_silence(file: Path) -> None:
    state = "is empty" if file.exists() else "is missing"
    log.warning(
        "%s %s: texts that no @keyword function claims get no answer; write a [default] reply there",
        file,
        state,
    )


@dataclass(slots=True)
class _RuleLoader:
    """The mistakes found so far: all are told together."""

    file: Path
    templates: Templates
    mistakes: list[str]
    own: str
    """The router's public URL; empty where it does not matter."""

    def file_content(self) -> _File:
        try:
            return _File.model_validate(read_toml(self.file))
        except ValidationError as error:
            self.mistakes += format_validation_errors(error, _File, self.file)
        except ConfigurationError as error:
            self.mistakes += error.mistakes
        return _File()

    def rule(self, number: int, table: _Keyword) -> Rule[RuleAction] | None:
        """Make the rule of a ``[[keyword]]``, or note what is wrong with it."""
        source = f"{self.file}, keyword {number}"
        where = f"{source} ({table.words[0]})"
        kind = self._kind(table.match, where)
        scope = self._scope(table, where)
        answer = self.answer(table, f"keyword {number} ({table.words[0]})")
        if answer is None:
            return None
        return Rule(table.words, kind, scope, answer, _name(table.words), source, table.fold_accents)

    def defaults(self, table: _Default | None) -> Defaults:
        """Compile what answers texts that no rule claims."""
        if table is None:
            return Defaults()
        for sid in table.services:
            if not SERVICE_SID.fullmatch(sid):
                self.mistakes.append(f"{self.file}: default.services: {sid!r} should be MG and 32 hex digits")
        services = {
            sid: answer
            for sid, inner in table.services.items()
            if (answer := self.answer(inner, f"default.services.{sid}")) is not None
        }
        everywhere = None if table.says_nothing else self.answer(table, "default")
        return Defaults(everywhere, services, self._suggestion(table.did_you_mean))

    def _suggestion(self, text: str | None) -> ConfiguredReply | None:
        if text is None:
            return None
        try:
            return self._compiled(_Table(reply=text), "default.did_you_mean")
        except TemplateError as error:
            self.mistakes.append(f"{self.file}: {error}")
            return None

    def answer(self, table: _Table, name: str) -> ConfiguredReply | Forward | None:
        """Compile the answer of a table, or note what is wrong with it."""
        if table.forward is not None:
            if table.reply is not None or table.template is not None or table.media:
                self.mistakes.append(
                    f"{self.file}: {name}: give it a reply, a template or a forward, and only one"
                )
            forward = table.forward.build()
            if self.own and is_loop(forward.primary.url, self.own):
                self.mistakes.append(
                    f"{self.file}: {name}: forward.url is this router; name the application's own URL"
                )
            return forward
        try:
            return self._compiled(table, name)
        except TemplateError as error:
            self.mistakes.append(f"{self.file}: {error}")
            return None

    def function_rules(self, functions: HandlerRegistry) -> list[Rule[RuleAction]]:
        """Make the rules of the team's functions."""
        return [self._function_rule(registration, handler) for registration, handler in functions.handlers]

    def _function_rule(self, told: KeywordSpec, handler: Handler) -> Rule[RuleAction]:
        where = handler.source
        kind, scope = self._kind(told.match, where), self._scope(told, where)
        return Rule(told.words, kind, scope, handler, _name(told.words), where, told.fold_accents)

    def _compiled(self, table: _Table, name: str) -> ConfiguredReply:
        for url in table.media:
            if not is_media_url(url):
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
        if match not in _MATCHES:
            self.mistakes.append(f'{where}: match = "{match}" is unknown; use {", ".join(_MATCHES)}')
        return _MATCHES.get(match, MatchKind.FIRST_WORD)

    def _scope(self, told: _Keyword | KeywordSpec, where: str) -> Scope:
        """Read where a rule holds; what could never hold anywhere is a mistake."""
        for name, values, pattern, example in (
            ("services", told.services, SERVICE_SID, "MG and 32 hex digits"),
            ("numbers", told.numbers, _NUMBER, "a short code or a number like +14155550100"),
            ("countries", told.countries, _COUNTRY, "two letters like US (ISO 3166)"),
        ):
            self.mistakes += [
                f"{where}: {name}: {value!r} should be {example}"
                for value in values
                if not pattern.fullmatch(value)
            ]
        countries = frozenset(country.upper() for country in told.countries)
        hours = self._hours(told.hours, where)
        return Scope(frozenset(told.services), frozenset(told.numbers), countries, hours)

    def _hours(self, told: Sequence[_Window | Mapping[str, Any]], where: str) -> Schedule:
        windows = []
        for each in told:
            try:
                window = _Window.model_validate(each)
                windows.append(Schedule.window(window.days, window.begins, window.ends))
            except ValidationError as error:
                self.mistakes += format_validation_errors(error, _Window, f"{where}: hours")
            except ValueError as error:
                self.mistakes.append(f"{where}: hours: {error}")
        return Schedule.of(windows)


def _name(words: tuple[str, ...]) -> str:
    """Return what people call a rule: its first word, on one line."""
    return " ".join(words[0].split())
