"""Reloads the configuration files when they change, as a whole or not at all, while messages are answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.isolated_loading import find_excess
from sms_router.routing.dispatch.last_good import LastGoodRuleSet
from sms_router.routing.dispatch.published import KEYWORDS, PublishedRules
from sms_router.routing.dispatch.rule_loader import add_places
from sms_router.routing.dispatch.rule_warnings import KnownSenders, find_warnings
from sms_router.routing.dispatch.ruleset import FileStamp, RuleSet, RuleSetReader
from sms_router.senders.error_table import ErrorTable
from sms_router.tasks import PeriodicTask, wait_for_event

log = logging.getLogger("sms_router.reload")

CHECK_INTERVAL = 1.0
"""Seconds between two checks of the files. A change is loaded once it is the same in two of them."""

MAX_REPORTED = 5
"""Mistakes on the readiness page; the log has all of them."""


class ReloadResult(StrEnum):
    """The result of a reload; the values are the metric's."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class ErrorTableHolder(Protocol):
    """Who uses the error table (`Contacts`)."""

    table: ErrorTable


class Reloader:
    """Watches the configuration files of one worker and loads them again when they change.

    They are read in a thread. A message in progress keeps the rule that it was resolved to.

    ``error_table_holder`` gets the error table, now and with each change. ``last_good`` replaces files that
    have mistakes when the worker starts, and is kept up to date afterwards. ``published`` is the last
    version that was used, from disk. ``known_senders`` returns what rules are compared with for warnings.

    Raises:
        ConfigurationError: with all mistakes in the files.

    """

    def __init__(
        self,
        reader: RuleSetReader,
        error_table_holder: ErrorTableHolder,
        report: Callable[[ReloadResult], None],
        interval: float = CHECK_INTERVAL,
        last_good: LastGoodRuleSet | None = None,
        known_senders: Callable[[], KnownSenders] = KnownSenders,
        published: PublishedRules | None = None,
    ) -> None:
        self.published: PublishedRules | None = None
        """The published version in use; None where none was published."""
        self._reader = reader
        self._reloading = asyncio.Lock()
        self._error_table_holder = error_table_holder
        self._report = report
        self._loaded = self._checked = reader.fingerprint()
        self._present = reader.present()
        self._last_good = last_good
        self._mistakes: tuple[str, ...] = ()
        self.rules = reader.read() if last_good is None else self._load_first(last_good)
        if published is not None:
            self._begin_with(published)
        self._known_senders = known_senders
        error_table_holder.table = self.rules.errors
        self._requested = asyncio.Event()
        self._task = PeriodicTask(
            "reloader", interval, self._check, wait_first=True, sleep=partial(wait_for_event, self._requested)
        )

    def _begin_with(self, published: PublishedRules) -> None:
        """Use the copy of a published version; the files stay where it has mistakes."""
        reader = self._reader.with_published(published)
        try:
            self.rules = reader.read()
        except ConfigurationError as error:
            log.error("%s is not used: %s", published.label, "; ".join(error.mistakes))
            return
        self._reader, self.published = reader, published

    def _load_first(self, last_good: LastGoodRuleSet) -> RuleSet:
        """Read the files, or the last good ones where they have mistakes."""
        folder = self._reader.folder
        paths = [folder / name for name in sorted(last_good.names())]
        try:
            _refuse_missing(path for path in paths if path not in self._present)
            rules = self._reader.read()
        except ConfigurationError as error:
            earlier = last_good.read(self._reader)
            if earlier is None:
                raise
            self._present |= frozenset(paths)
            self._refuse(error.mistakes)
            return earlier
        self._save(last_good, self._loaded)
        return rules

    def _save(self, last_good: LastGoodRuleSet, fingerprint: frozenset[FileStamp]) -> None:
        """Save the files as the last good ones, unless they have changed since they were read."""
        last_good.save(self._reader.folder, lambda: self._reader.fingerprint() == fingerprint)

    @property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher of the router: the same object after each reload."""
        return self.rules.dispatcher

    def errors(self) -> list[str]:
        """Return one sentence about why the files are not in use, or nothing."""
        if not self._mistakes:
            return []
        mistakes = [*self._mistakes[:MAX_REPORTED]]
        if len(self._mistakes) > MAX_REPORTED:
            mistakes.append(f"and {len(self._mistakes) - MAX_REPORTED} more")
        return [f"a changed configuration was refused, the old one stays: {'; '.join(mistakes)}"]

    def warnings(self) -> list[str]:
        """Return a sentence for each thing in the rules that is probably a mistake; slow for many rules."""
        return self._find_warnings(self.dispatcher)

    async def start(self) -> None:
        """Log the warnings about the rules, and watch the files from now on."""
        await asyncio.to_thread(self._log_warnings, self.dispatcher)
        self._task.start()

    def _log_warnings(self, dispatcher: Dispatcher) -> None:
        if warnings := self._find_warnings(dispatcher):
            log.warning("%s", "\n".join(warnings))

    def _find_warnings(self, dispatcher: Dispatcher) -> list[str]:
        warnings = find_warnings(dispatcher, self._known_senders())
        return add_places(warnings, self._reader.folder / KEYWORDS)

    def request_reload(self) -> None:
        """Load the files now, whether they have changed or not."""
        self._requested.set()

    async def aclose(self) -> None:
        await self._task.aclose()

    async def _check(self) -> None:
        is_requested = self._requested.is_set()
        self._requested.clear()
        before, self._checked = self._checked, await asyncio.to_thread(self._reader.fingerprint)
        has_changed = self._checked != self._loaded and self._checked == before
        if is_requested or has_changed:
            self._loaded = self._checked
            await self.reload()

    async def reload(self) -> ReloadResult:
        async with self._reloading:
            present = await asyncio.to_thread(self._reader.present)
            fingerprint = await asyncio.to_thread(self._reader.fingerprint)
            try:
                _refuse_missing(filter(self._reader.needs, sorted(self._present - present)))
                _refuse(await find_excess(self._reader.folder, self._reader.published))
                rules = await asyncio.to_thread(self._reader.read)
            except ConfigurationError as error:
                return self._refuse(error.mistakes)
            except Exception as error:
                log.exception("the configuration could not be read")
                return self._refuse((f"it could not be read: {error}",))
            self._mistakes = ()
            self._present = present
            result = await self._apply(rules)
            if result is ReloadResult.APPLIED and self._last_good is not None:
                await asyncio.to_thread(self._save, self._last_good, fingerprint)
            return result

    async def use_published(self, version: PublishedRules) -> Sequence[str]:
        """Use a published version; return its mistakes, with which the rules stay as they are."""
        async with self._reloading:
            reader = self._reader.with_published(version)
            try:
                _refuse(await find_excess(reader.folder, reader.published))
                rules = await asyncio.to_thread(reader.read)
            except ConfigurationError as error:
                self._report(ReloadResult.REFUSED)
                return error.mistakes
            self._reader, self.published = reader, version
            await self._apply(rules)
            return ()

    async def _apply(self, rules: RuleSet) -> ReloadResult:
        difference = self.rules.difference(rules)
        if difference:
            await asyncio.to_thread(self._log_warnings, rules.dispatcher)
            self.dispatcher.replace_rules(rules.dispatcher)
            self._error_table_holder.table = rules.errors
            self.rules = replace(rules, dispatcher=self.dispatcher)
        log.info("the configuration was read again: %s", difference)
        result = ReloadResult.APPLIED if difference else ReloadResult.UNCHANGED
        self._report(result)
        return result

    def _refuse(self, mistakes: tuple[str, ...] | list[str]) -> ReloadResult:
        self._mistakes = tuple(mistakes)
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        log.error("the changed configuration is refused, the old one stays:%s", lines)
        self._report(ReloadResult.REFUSED)
        return ReloadResult.REFUSED


def _refuse_missing(missing: Iterable[Path]) -> None:
    """Refuse files that have disappeared: without keywords.toml no contact would get a reply.

    Raises:
        ConfigurationError: naming each file.

    """
    _refuse([f"{path}: is gone; put it back, or an empty one in its place" for path in missing])


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigurationError(mistakes)
