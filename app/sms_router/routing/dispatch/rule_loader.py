"""Loads the rules of ``keywords.toml`` and of ``@keyword`` functions, and checks them as a whole."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

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
from sms_router.toml import RawTable, StrictModel, format_validation_errors, read_toml
from sms_router.toml_positions import Location, TomlPositions, format_place
from sms_router.twilio.sids import SERVICE_SID

log = logging.getLogger("sms_router")

_NUMBER = re.compile(r"(?:[a-z]+:)?\+[1-9][0-9]{6,14}|[0-9]{3,8}")
_COUNTRY = re.compile("[A-Za-z]{2}")
_MAX_MEDIA = 10
"""Of one message (facts 4)."""

_MATCHES = {kind.value: kind for kind in MatchKind}


class _ReplyTable(StrictModel):
    reply: str | None = None
    template: str | None = None
    media: tuple[str, ...] = ()
    forward: ForwardModel | None = None


class _Default(_ReplyTable):
    """``[default]``: what responds to a text that no rule takes."""

    services: dict[str, _ReplyTable] = Field(default_factory=dict)
    """``[default.services.MG...]``: what one Service has instead."""
    did_you_mean: str | None = None
    """The reply to a text that is one typing mistake away from a keyword."""

    @property
    def has_no_action(self) -> bool:
        """True where the table is there for its other keys only."""
        written = (self.reply, self.template, self.forward, self.media or None)
        return written == (None, None, None, None) and (bool(self.services) or self.did_you_mean is not None)


class _HoursWindow(StrictModel):
    """One window of ``hours``."""

    days: tuple[str, ...] = ()
    begins: Annotated[str, Field(alias="from")] = "00:00"
    ends: Annotated[str, Field(alias="to")] = "24:00"


def _listed(windows: object) -> object:
    if not isinstance(windows, dict | list | tuple):
        raise ValueError('must be like { days = ["mon-fri"], from = "09:00", to = "17:00" }')  # noqa: TRY004
    if not windows:
        raise ValueError("is empty; write a window, or leave hours out: the rule then always applies")
    return (windows,) if isinstance(windows, dict) else windows


class _Keyword(_ReplyTable):
    """One ``[[keyword]]``."""

    words: Annotated[tuple[str, ...], Field(min_length=1)]
    match: str = "first-word"
    services: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    fold_accents: bool = False
    opts_in: bool = False
    hours: Annotated[tuple[_HoursWindow, ...], BeforeValidator(_listed)] = ()
    opens: str | datetime | date | None = None
    closes: str | datetime | date | None = None


class _KeywordsFile(StrictModel):
    keyword: tuple[_Keyword, ...] = ()
    default: _Default | None = None


def load_rules(
    file: Path,
    templates: Path,
    handlers: HandlerRegistry,
    opt_outs: OptOutKeywords | None = None,
    forwards: ForwardConfig | None = None,
    zones: TimeZones | None = None,
    clock: Callable[[], float] = time.time,
    label: str = "",
) -> Dispatcher:
    """Read the rules of a file and index them together with those of handlers.

    A missing or empty file is allowed, for teams that only have handlers; it is logged. ``clock`` returns
    seconds since the epoch, for opening hours. ``label`` stands for the file in messages to people; its path
    if it is not given.

    Raises:
        ConfigurationError: with all mistakes.

    """
    public_url = forwards.public_url if forwards is not None else ""
    label = label or str(file)
    loader = _RuleLoader(file, Templates(templates), [*handlers.errors], public_url, label)
    content = loader.file_content()
    rules = [rule for n, table in content.keywords.items() if (rule := loader.rule(n, table))]
    rules += [loader.handler_rule(spec, handler) for spec, handler in handlers.handlers]
    if handlers.conversations is not None and not content.has_mistakes:
        words = (word for rule in rules for word in rule.words)
        router = file.parent / "router.toml"
        place = format_place(router, ("conversations", "interrupted_by")) if router.is_file() else router.name
        loader.mistakes += [
            f"{place}: {mistake}" for mistake in handlers.conversations.unknown_interruptions(words)
        ]
    defaults = loader.with_functions(loader.defaults(content.default), handlers.defaults)
    try:
        index = RuleTable.build(rules)
    except (InvalidRulesError, PatternError) as error:
        problems = add_places(str(error).splitlines(), file, label)
        raise ConfigurationError([*loader.mistakes, *problems]) from error
    if loader.mistakes:
        raise ConfigurationError(loader.mistakes)
    if not content.keywords and content.default is None and not handlers.defaults:
        log.warning(
            "%s is %s: texts that no @keyword function takes get no reply; write a [default] reply there",
            label, "empty" if file.exists() else "missing",
        )  # fmt: skip
    return Dispatcher(index, defaults, opt_outs, forwards, zones, clock, handlers)


def add_places(sentences: Iterable[str], file: Path, label: str = "") -> list[str]:
    """Put line and column in place of the numbers of keywords, in sentences about the rules of a file."""
    source = re.compile(rf"{re.escape(label or str(file))}, keyword (\d+)")
    positions: TomlPositions | None = None

    def place(match: re.Match[str]) -> str:
        nonlocal positions
        positions = positions or TomlPositions.of(file)
        if positions is None:
            return match[0]
        line, column = positions.find(("keyword", int(match[1]) - 1, "words"))
        return f"{label or file}:{line}:{column}"

    return [source.sub(place, sentence) for sentence in sentences]


@dataclass(frozen=True, slots=True)
class _Content:
    """The tables of a file that have the right shape."""

    keywords: Mapping[int, _Keyword]
    """By number, counted from 1."""
    default: _Default | None
    has_mistakes: bool = False


_NO_CONTENT = _Content({}, None, has_mistakes=True)

FormatPlace = Callable[..., str]
"""Returns the place of a key of a rule, and the rule, as a mistake begins."""


@dataclass(slots=True)
class _RuleLoader:
    """Collects the mistakes of all rules."""

    file: Path
    templates: Templates
    mistakes: list[str]
    public_url: str
    """The router's own, to which nothing may be forwarded; empty where that is not checked."""
    label: str
    """Stands for the file in messages to people."""
    _positions: TomlPositions | None = None
    """Where things stand in the file; found at the first mistake."""

    def file_content(self) -> _Content:
        """Return the tables of the file; the mistakes of the others are added."""
        try:
            document = read_toml(self.file)
        except ConfigurationError as error:
            self.mistakes += [mistake.replace(str(self.file), self.label) for mistake in error.mistakes]
            return _NO_CONTENT
        try:
            content = _KeywordsFile.model_validate(document)
        except ValidationError as error:
            self.mistakes += format_validation_errors(error, _KeywordsFile, self.file, label=self.label)
            return _valid_tables(document)
        return _Content(dict(enumerate(content.keyword, start=1)), content.default)

    def place(self, location: Location) -> str:
        """Return where a value stands, for a mistake in it."""
        if self._positions is None:
            self._positions = TomlPositions.of(self.file)
        if self._positions is None:
            return self.label
        line, column = self._positions.find(location)
        return f"{self.label}:{line}:{column}"

    def rule(self, number: int, table: _Keyword) -> Rule[RuleAction] | None:
        """Return the rule of a ``[[keyword]]``, or add its mistakes and return None."""
        name, location = f"keyword {number} ({table.words[0]})", ("keyword", number - 1)

        def where(*key: int | str) -> str:
            return f"{self.place((*location, *key))}: {name}"

        kind = self._kind(table.match, where)
        scope = self._scope(table, where)
        if (answer := self.answer(table, name, location)) is None:
            return None
        source = f"{self.label}, keyword {number}"
        name = _name(table.words)
        return Rule(table.words, kind, scope, answer, name, source, table.fold_accents, table.opts_in)

    def defaults(self, table: _Default | None) -> Defaults:
        if table is None:
            return Defaults()
        for sid in table.services:
            if not SERVICE_SID.fullmatch(sid):
                place = self.place(("default", "services", sid))
                self.mistakes.append(f"{place}: default.services: {sid!r} should be MG and 32 hex digits")
        services = {
            sid: answer
            for sid, inner in table.services.items()
            if (answer := self.answer(inner, f"default.services.{sid}", ("default", "services", sid)))
            is not None
        }
        everywhere = None if table.has_no_action else self.answer(table, "default", ("default",))
        return Defaults(everywhere, services, self._suggestion(table.did_you_mean))

    def with_functions(self, defaults: Defaults, functions: Mapping[str | None, Handler]) -> Defaults:
        """Add the functions with ``@default``; one beside a default of the file is a mistake."""
        services = dict(defaults.services)
        for sid, handler in functions.items():
            if sid is not None and not SERVICE_SID.fullmatch(sid):
                self.mistakes.append(f"{handler.source}: services: {sid!r} should be MG and 32 hex digits")
            elif (services.get(sid) if sid is not None else defaults.everywhere) is not None:
                table = f"[default.services.{sid}]" if sid is not None else "[default]"
                self.mistakes.append(
                    f"{handler.source}: {self.label} has a reply in {table} too; keep one of them"
                )
            elif sid is not None:
                services[sid] = handler
        return replace(defaults, everywhere=defaults.everywhere or functions.get(None), services=services)

    def _suggestion(self, text: str | None) -> ConfiguredReply | None:
        if text is None:
            return None
        try:
            return self._compiled(_ReplyTable(reply=text), "default.did_you_mean")
        except TemplateError as error:
            self.mistakes.append(f"{self.place(('default', 'did_you_mean'))}: {error}")
            return None

    def answer(self, table: _ReplyTable, name: str, location: Location) -> ConfiguredReply | Forward | None:
        """Compile the action of a table, or add its mistakes and return None."""
        if table.forward is not None:
            if table.reply is not None or table.template is not None or table.media:
                self.mistakes.append(
                    f"{self.place(location)}: {name}: give it a reply, a template or a forward, and only one"
                )
            forward = table.forward.build()
            if self.public_url and is_loop(forward.primary.url, self.public_url):
                self.mistakes.append(
                    f"{self.place((*location, 'forward', 'url'))}: {name}: forward.url is this router; name"
                    " the application's own URL"
                )
            return forward
        try:
            return self._compiled(table, name)
        except TemplateError as error:
            key = "template" if table.template is not None else "reply"
            if f"{name}: media: " in str(error):
                key = "media"
            self.mistakes.append(f"{self.place((*location, key))}: {error}")
            return None

    def handler_rule(self, spec: KeywordSpec, handler: Handler) -> Rule[RuleAction]:
        source = handler.source
        kind, scope = self._kind(spec.match, lambda *_: source), self._scope(spec, lambda *_: source)
        name = _name(spec.words)
        return Rule(spec.words, kind, scope, handler, name, source, spec.fold_accents, spec.opts_in)

    def _compiled(self, table: _ReplyTable, name: str) -> ConfiguredReply:
        for url in table.media:
            if not is_media_url(url):
                raise TemplateError(f"{name}: media: {url!r} is no URL; write one that begins with https://")
        if len(table.media) > _MAX_MEDIA:
            raise TemplateError(f"{name}: media: a message carries {_MAX_MEDIA} at most")
        if table.template is not None and table.reply is None:
            return self.templates.of_file(table.template, table.media)
        if table.template is not None or (table.reply is None and not table.media):
            raise TemplateError(f"{name}: give it a reply, a template or a forward, and only one")
        if not (table.reply or "").strip() and not table.media:
            raise TemplateError(f"{name}: reply is empty; write the text of the reply")
        return self.templates.of_text(table.reply or "", name, table.media)

    def _kind(self, match: str, where: FormatPlace) -> MatchKind:
        if match not in _MATCHES:
            self.mistakes.append(f'{where("match")}: match = "{match}" is unknown; use {", ".join(_MATCHES)}')
        return _MATCHES.get(match, MatchKind.FIRST_WORD)

    def _scope(self, spec: _Keyword | KeywordSpec, where: FormatPlace) -> Scope:
        """Return where a rule applies; a value that cannot apply anywhere is a mistake."""
        for name, values, pattern, example in (
            ("services", spec.services, SERVICE_SID, "MG and 32 hex digits"),
            ("numbers", spec.numbers, _NUMBER, "a short code or a number like +14155550100"),
            ("countries", spec.countries, _COUNTRY, "two letters like US (ISO 3166)"),
        ):
            self.mistakes += [
                f"{where(name, index)}: {name}: {value!r} should be {example}"
                for index, value in enumerate(values)
                if not pattern.fullmatch(value)
            ]
        countries = frozenset(country.upper() for country in spec.countries)
        hours = self._schedule(spec.hours, where)
        try:
            hours = hours.between(spec.opens, spec.closes)
        except ValueError as error:
            self.mistakes.append(f"{where(str(error).partition(':')[0])}: {error}")
        return Scope(frozenset(spec.services), frozenset(spec.numbers), countries, hours)

    def _schedule(self, windows: Sequence[_HoursWindow | Mapping[str, Any]], where: FormatPlace) -> Schedule:
        schedules = []
        for index, table in enumerate(windows):
            try:
                window = _HoursWindow.model_validate(table)
                schedules.append(Schedule.window(window.days, window.begins, window.ends))
            except ValidationError as error:
                self.mistakes += format_validation_errors(
                    error, _HoursWindow, f"{where('hours', index)}: hours"
                )
            except ValueError as error:
                self.mistakes.append(f"{where('hours', index)}: hours: {error}")
        return Schedule.of(schedules)


def _valid_tables(document: RawTable) -> _Content:
    """Return the tables that have the right shape, so that their other mistakes are found too."""
    tables, keywords, default = document.get("keyword"), {}, None
    for number, table in enumerate(tables if isinstance(tables, list) else [], start=1):
        with contextlib.suppress(ValidationError):
            keywords[number] = _Keyword.model_validate(table)
    with contextlib.suppress(ValidationError):
        default = _Default.model_validate(document.get("default") or {"reply": "-"})
    return _Content(keywords, default, has_mistakes=True)


def _name(words: tuple[str, ...]) -> str:
    """Return the name of a rule: its first keyword, on one line."""
    return " ".join(words[0].split())
