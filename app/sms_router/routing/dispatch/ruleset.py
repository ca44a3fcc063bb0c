"""What is reloaded while the router runs, as one value: rules, templates, opt-out keywords, error table."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.published import KEYWORDS, TEMPLATES, PublishedRules
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.opt_outs.keywords import OptOutKeywords
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.senders.error_table import ErrorTable, load_error_table

FILES = (KEYWORDS, "opt-outs.toml", "carriers.toml")

FileStamp = tuple[str, int, int, int]
"""A file's path, modification time in nanoseconds, size and inode; zeros where there is none."""


@dataclass(frozen=True, slots=True)
class RuleSetDiff:
    """The differences of two rule sets, by name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        kinds = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds if names) or "nothing changed"


class RuleNames(NamedTuple):
    """What other workers compare with their own rules."""

    digest: str = ""
    """Of the names of all rules and steps."""
    steps: tuple[str, ...] = ()
    files: str = ""
    """A digest of the files that were read, replies and templates included."""


NO_NAMES = RuleNames()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Files that were read at one time, without mistakes."""

    dispatcher: Dispatcher
    errors: ErrorTable
    names: RuleNames = NO_NAMES

    def with_names(self, files: str) -> RuleSet:
        """Return the rules with what other workers compare; ``files`` is the digest of what was read."""
        conversations = self.dispatcher.conversations
        steps = tuple(sorted(conversations.steps)) if conversations is not None else ()
        names = sorted(name for name, _ in self._parts())
        digest = sha256("\n".join((*names, "", *steps)).encode()).hexdigest()[:16]
        return replace(self, names=RuleNames(digest, steps, files))

    def difference(self, other: RuleSet) -> RuleSetDiff:
        own, others = dict(self._parts()), dict(other._parts())
        return RuleSetDiff(
            tuple(name for name in others if name not in own),
            tuple(name for name in own if name not in others),
            tuple(name for name in others if name in own and others[name] != own[name]),
        )

    def _parts(self) -> Iterator[tuple[str, object]]:
        """Yield everything that can differ, by name; where a rule is written does not matter."""
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
        yield from ((f"default of {sid}", action) for sid, action in defaults.services.items())
        yield from self.dispatcher.opt_outs.parts.items()
        yield from ((f"error {code}", entry) for code, entry in self.errors.entries.items())


@dataclass(frozen=True, slots=True)
class RuleSetReader:
    """Reads the configuration folder.

    Handlers are the same in every rule set: they are imported once, when the router starts, because Python
    cannot undo an import.
    """

    folder: Path
    handlers: HandlerRegistry
    twilio_opt_outs: frozenset[str]
    """The Services on whose short codes Twilio answers opt-out keywords."""
    forwards: ForwardConfig
    zones: TimeZones
    clock: Callable[[], float] = time.time
    """Returns seconds since the epoch, for opening hours."""
    published: PublishedRules | None = None
    """Replaces keywords.toml and the templates of the folder."""

    def read(self) -> RuleSet:
        """Read all files.

        Raises:
            ConfigurationError: with all mistakes in them.

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
            dispatcher = self._read_rules(opt_outs)
        except ConfigurationError as error:
            raise ConfigurationError([*mistakes, *error.mistakes]) from error
        if mistakes:
            raise ConfigurationError(mistakes)
        return RuleSet(dispatcher, errors).with_names(self._digest())

    def _digest(self) -> str:
        """Return a digest of the files, which is the same on every replica that has the same ones."""
        digest = sha256()
        templates = sorted((self.folder / TEMPLATES).rglob("*")) if self.published is None else ()
        for path in (*filter(self.needs, map(self.folder.joinpath, FILES)), *templates):
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                digest.update(
                    b"%b %d\n%b" % (path.relative_to(self.folder).as_posix().encode(), len(content), content)
                )
        return digest.hexdigest()[:16]

    def _read_rules(self, opt_outs: OptOutKeywords) -> Dispatcher:
        with contextlib.ExitStack() as stack:
            folder, label = self.folder, ""
            if self.published is not None:
                folder, label = stack.enter_context(self.published.unpacked()), self.published.label
            return load_rules(
                folder / KEYWORDS,
                folder / TEMPLATES,
                self.handlers,
                opt_outs,
                self.forwards,
                self.zones,
                self.clock,
                label,
            )

    def with_published(self, version: PublishedRules) -> RuleSetReader:
        """Return a reader of a published version, which may be that of the files."""
        return replace(self, published=None if version.uses_files else version)

    def needs(self, path: Path) -> bool:
        """Return whether a file is read; keywords.toml is not where a version is published."""
        return self.published is None or path.name != KEYWORDS

    def present(self) -> frozenset[Path]:
        """Return the files that there are; none of them is required."""
        return frozenset(path for name in FILES if (path := self.folder / name).is_file())

    def fingerprint(self) -> frozenset[FileStamp]:
        """Return what changes when a file or a template does, without reading them."""
        templates = sorted((self.folder / TEMPLATES).rglob("*"))
        return frozenset(_stamp(path) for path in (*(self.folder / name for name in FILES), *templates))


def _stamp(path: Path) -> FileStamp:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0, 0
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino
