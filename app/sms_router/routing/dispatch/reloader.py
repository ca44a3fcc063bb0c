"""Takes a changed configuration over while messages are answered: as a whole, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.last_good import LastGoodRuleSet
from sms_router.routing.dispatch.ruleset import FileStamp, RuleSet, RuleSetReader
from sms_router.senders.error_table import ErrorTable
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.reload")

EVERY = 1.0
"""Seconds between two looks at the files. A change is read when it has stood for one of them."""

MOST_TOLD = 5
"""Mistakes that the readiness page tells; the log has all of them."""


class ReloadResult(StrEnum):
    """What came of a reload; the values are the metric's."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class ErrorTableHolder(Protocol):
    """Who judges errors."""

    table: ErrorTable


class Reloader:
    """Watches the files of one worker's rulebook, and reads them again when they change.

    Reading happens in a thread. A message that is in work keeps the rule that it has found.
    """

    def __init__(
        self,
        reader: RuleSetReader,
        people: ErrorTableHolder,
        report: Callable[[ReloadResult], None],
        every: float = EVERY,
        kept: LastGoodRuleSet | None = None,
    ) -> None:
        """Read the files for the first time; ``people`` get the error table, now and whenever it changes.

        What was ``kept`` by another worker takes their place when they have mistakes.

        Raises:
            SettingsError: with every mistake in the files.

        """
        self._reader = reader
        self._people = people
        self._report = report
        self._every = every
        self._marks = reader.fingerprint()
        self._present = reader.present()
        self._kept = kept
        self._refused: tuple[str, ...] = ()
        self._current = reader.read() if kept is None else self._first(kept)
        people.table = self._current.errors
        for warning in self._current.warnings():
            log.warning("%s", warning)
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def _first(self, kept: LastGoodRuleSet) -> RuleSet:
        names = kept.names()
        gone = [self._reader.folder / name for name in sorted(names)]
        try:
            self._look_for(path for path in gone if path not in self._present)
            read = self._reader.read()
        except ConfigurationError as error:
            old = kept.read(self._reader)
            if old is None:
                raise
            self._present |= frozenset(gone)
            self._refuse(error.mistakes)
            return old
        self._keep(kept, self._marks)
        return read

    def _keep(self, kept: LastGoodRuleSet, marks: frozenset[FileStamp]) -> None:
        """Keep the files, unless they have changed since they were read and found right."""
        kept.keep(self._reader.folder, lambda: self._reader.fingerprint() == marks)

    @staticmethod
    def _look_for(missing: Iterable[Path]) -> None:
        """Refuse when files have disappeared, which was probably a mistake.

        Without keywords.toml people would get no answer at all.
        """
        if gone := [f"{path}: is gone; put it back, or an empty one in its place" for path in missing]:
            raise ConfigurationError(gone)

    @property
    def dispatcher(self) -> Dispatcher:
        """The one that the router works with: the same object, whatever is reloaded."""
        return self._current.dispatcher

    def errors(self) -> list[str]:
        """Say why the files on disk are not what the router works with; empty when they are."""
        if not self._refused:
            return []
        told = [*self._refused[:MOST_TOLD]]
        if len(self._refused) > MOST_TOLD:
            told.append(f"and {len(self._refused) - MOST_TOLD} more")
        return [f"a changed configuration was refused, the old one stays: {'; '.join(told)}"]

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="reloader")

    def request_reload(self) -> None:
        """Read the files again, changed or not."""
        self._asked.set()

    async def aclose(self) -> None:
        """Stop watching."""
        await cancel_and_wait(self._task)

    async def _watch(self) -> None:
        seen = self._marks
        while True:
            asked = await self._asked_within(self._every)
            before, seen = seen, await asyncio.to_thread(self._reader.fingerprint)
            if asked or (seen != self._marks and seen == before):
                self._marks = seen
                await self.reload()

    async def _asked_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        asked = self._asked.is_set()
        self._asked.clear()
        return asked

    async def reload(self) -> ReloadResult:
        """Read the files, and work with them if they are right."""
        present = await asyncio.to_thread(self._reader.present)
        marks = await asyncio.to_thread(self._reader.fingerprint)
        try:
            self._look_for(sorted(self._present - present))
            read = await asyncio.to_thread(self._reader.read)
        except ConfigurationError as error:
            return self._refuse(error.mistakes)
        except Exception as error:
            log.exception("the configuration could not be read")
            return self._refuse((f"it could not be read: {error}",))
        self._refused = ()
        self._present = present
        difference = self._current.difference(read)
        if difference:
            for warning in read.warnings():
                log.warning("%s", warning)
            self._take(read)
        log.info("the configuration was read again: %s", difference)
        outcome = ReloadResult.APPLIED if difference else ReloadResult.UNCHANGED
        self._report(outcome)
        if difference and self._kept is not None:
            await asyncio.to_thread(self._keep, self._kept, marks)
        return outcome

    def _take(self, read: RuleSet) -> None:
        """Work with what was read from the next message on."""
        self.dispatcher.replace_rules(read.dispatcher)
        self._people.table = read.errors
        self._current = replace(read, dispatcher=self.dispatcher)

    def _refuse(self, mistakes: tuple[str, ...] | list[str]) -> ReloadResult:
        self._refused = tuple(mistakes)
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        log.error("the changed configuration is refused, the old one stays:%s", lines)
        self._report(ReloadResult.REFUSED)
        return ReloadResult.REFUSED
