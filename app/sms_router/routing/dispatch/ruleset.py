"""What may change while the router runs: keywords, templates, opt-out words and the error table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.opt_outs.keywords import OptOutKeywords
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.senders.error_table import ErrorTable, load_error_table

FILES = ("keywords.toml", "opt-outs.toml", "carriers.toml")
TEMPLATES = "templates"

FileStamp = tuple[str, int, int, int]
"""A file's path, time of change in nanoseconds, size and inode; zeros where there is none."""


@dataclass(frozen=True, slots=True)
class RuleSetDiff:
    """What another rulebook says differently, by name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        """Name everything, in one line."""
        told = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        return "; ".join(f"{name} {', '.join(parts)}" for name, parts in told if parts) or "nothing changed"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What was read at one time, and is right as a whole."""

    dispatcher: Dispatcher
    errors: ErrorTable

    def difference(self, other: RuleSet) -> RuleSetDiff:
        """Return what the other one says differently."""
        mine, theirs = dict(self._parts()), dict(other._parts())
        return RuleSetDiff(
            tuple(name for name in theirs if name not in mine),
            tuple(name for name in mine if name not in theirs),
            tuple(name for name in theirs if name in mine and theirs[name] != mine[name]),
        )

    def warnings(self) -> list[str]:
        """Name what is allowed but probably a mistake."""
        return [*map(str, self.dispatcher.table.find_shadowed()), *self.dispatcher.opt_out_conflicts()]

    def _parts(self) -> Iterator[tuple[str, object]]:
        """Yield everything that can differ, with its name; where a rule is written does not matter."""
        for rule in self.dispatcher.table.rules:
            scope = str(rule.scope)
            place = "" if scope == "everywhere" else f" ({scope})"
            kind = "" if rule.kind.value == "first-word" else f" ({rule.kind.value})"
            yield f"{rule.name}{kind}{place}", replace(rule, source="")
        defaults = self.dispatcher.defaults
        if defaults.everywhere is not None:
            yield "default", defaults.everywhere
        if defaults.suggestion is not None:
            yield "did_you_mean", defaults.suggestion
        yield from ((f"default of {sid}", answer) for sid, answer in defaults.services.items())
        yield from self.dispatcher.opt_outs.parts.items()
        yield from ((f"error {code}", entry) for code, entry in self.errors.entries.items())


@dataclass(frozen=True, slots=True)
class RuleSetReader:
    """Reads the configuration folder.

    The team's functions are imported once, when the router starts, and are the same in every
    rulebook: Python cannot take back what it has imported.
    """

    folder: Path
    functions: HandlerRegistry
    twilio_opt_outs: frozenset[str]
    """The Services on whose short codes Twilio answers the opt-out words."""
    forwards: ForwardConfig
    zones: TimeZones
    clock: Callable[[], float] = time.time
    """By which rules have their hours, in seconds since the epoch."""

    def read(self) -> RuleSet:
        """Read all files.

        Raises:
            SettingsError: with every mistake in any of them.

        """
        mistakes: list[str] = []
        opt_outs, errors = OptOutKeywords(()), ErrorTable({})
        try:
            opt_outs = load_opt_out_keywords(self.folder, self.twilio_opt_outs)
        except ConfigurationError as error:
            mistakes += error.mistakes
        try:
            errors = load_error_table(self.folder)
        except ConfigurationError as error:
            mistakes += error.mistakes
        try:
            dispatcher = load_rules(
                self.folder / "keywords.toml",
                self.folder / TEMPLATES,
                self.functions,
                opt_outs,
                self.forwards,
                self.zones,
                self.clock,
            )
        except ConfigurationError as error:
            raise ConfigurationError([*mistakes, *error.mistakes]) from error
        if mistakes:
            raise ConfigurationError(mistakes)
        return RuleSet(dispatcher, errors)

    def present(self) -> frozenset[Path]:
        """Return which of the files are there; each of them may be missing."""
        return frozenset(path for name in FILES if (path := self.folder / name).is_file())

    def fingerprint(self) -> frozenset[FileStamp]:
        """Return what tells these files from changed ones, without reading them."""
        templates = sorted((self.folder / TEMPLATES).rglob("*"))
        return frozenset(_mark(path) for path in (*(self.folder / name for name in FILES), *templates))


def _mark(path: Path) -> FileStamp:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
