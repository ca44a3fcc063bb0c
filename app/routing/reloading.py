"""Takes a changed configuration over while messages are answered: as a whole, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from app.mistakes import SettingsError
from app.routing.dispatch import Dispatcher
from app.routing.rulebook import Rulebook, RulebookReader
from app.senders.carriers import ErrorTable
from app.tasks import end

log = logging.getLogger("sms_router.reload")

EVERY = 1.0
"""Seconds between two looks at the files. A change is read when it has stood for one of them."""

MOST_TOLD = 5
"""Mistakes that the readiness page tells; the log has all of them."""


class Outcome(StrEnum):
    """What came of a reload; the values are the metric's."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class HasErrorTable(Protocol):
    """Who judges errors."""

    table: ErrorTable


class Reloader:
    """Watches the files of one worker's rulebook, and reads them again when they change.

    Reading happens in a thread. A message that is in work keeps the rule that it has found.
    """

    def __init__(
        self,
        reader: RulebookReader,
        people: HasErrorTable,
        report: Callable[[Outcome], None],
        every: float = EVERY,
    ) -> None:
        """Read the files for the first time; ``people`` get the error table, now and whenever it changes.

        Raises:
            SettingsError: with every mistake in the files.

        """
        self._reader = reader
        self._people = people
        self._report = report
        self._every = every
        self._marks = reader.marks()
        self._present = reader.present()
        self._current = reader.read()
        people.table = self._current.errors
        for warning in self._current.warnings():
            log.warning("%s", warning)
        self._refused: tuple[str, ...] = ()
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def dispatcher(self) -> Dispatcher:
        """The one that the router works with: the same object, whatever is reloaded."""
        return self._current.dispatcher

    def reasons(self) -> list[str]:
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

    def ask(self) -> None:
        """Read the files again, changed or not."""
        self._asked.set()

    async def aclose(self) -> None:
        """Stop watching."""
        await end(self._task)

    async def _watch(self) -> None:
        seen = self._marks
        while True:
            asked = await self._asked_within(self._every)
            before, seen = seen, await asyncio.to_thread(self._reader.marks)
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

    async def reload(self) -> Outcome:
        """Read the files, and work with them if they are right.

        A file that has gone was hardly meant to: without keywords.toml people would get no answer at all.
        """
        present = await asyncio.to_thread(self._reader.present)
        if gone := sorted(self._present - present):
            return self._refuse(
                [f"{path}: is gone; put it back, or an empty one in its place" for path in gone]
            )
        try:
            read = await asyncio.to_thread(self._reader.read)
        except SettingsError as error:
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
        outcome = Outcome.APPLIED if difference else Outcome.UNCHANGED
        self._report(outcome)
        return outcome

    def _take(self, read: Rulebook) -> None:
        """Work with what was read from the next message on."""
        self.dispatcher.adopt(read.dispatcher)
        self._people.table = read.errors
        self._current = replace(read, dispatcher=self.dispatcher)

    def _refuse(self, mistakes: tuple[str, ...] | list[str]) -> Outcome:
        self._refused = tuple(mistakes)
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        log.error("the changed configuration is refused, the old one stays:%s", lines)
        self._report(Outcome.REFUSED)
        return Outcome.REFUSED
