"""Follows the journal: the messages that were answered since the last look."""

from __future__ import annotations

import time
from itertools import takewhile

from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.streams import DEAD_LETTERS, JOURNAL, StreamEntry
from sms_router.routing.inbox.answer import Outcome

OVERLAP = 5_000
"""Milliseconds that are read again: the servers of a cluster have clocks of their own."""

ANSWER_TIMEOUT = 15.0
"""Seconds after which a message is returned without an answer: Twilio does not wait any longer."""

LATE_TIMEOUT = 300.0
"""Seconds that a late reply is waited for."""


class JournalFollower:
    """Returns each message that arrives from now on, once it is answered.

    Args:
        history: reads the journal.
        failed: return dead letters instead, with all their causes.
        late_replies: return a message whose handler was late again, with its reply.

    """

    def __init__(self, history: HistoryReader, *, failed: bool = False, late_replies: bool = False) -> None:
        self._history = history
        self._stream = DEAD_LETTERS if failed else JOURNAL
        self._late_replies = late_replies
        self._open: dict[str, tuple[StreamEntry, float]] = {}
        """By reference: the messages that are not answered, and since when."""
        self._late: set[str] = set()
        self._seen: set[StreamEntry] = set()
        newest = next(history.entries(self._stream), None)
        self._newest = newest.order[0] if newest is not None else 0
        self._new_entries()

    def _new_entries(self) -> list[StreamEntry]:
        """Return the entries since the last look, the oldest first."""
        since = self._newest - OVERLAP
        entries = [*takewhile(lambda entry: entry.order[0] >= since, self._history.entries(self._stream))]
        new = [entry for entry in reversed(entries) if entry not in self._seen]
        self._newest = max((entry.order[0] for entry in entries), default=self._newest)
        self._seen = set(entries)
        return new

    def read(self) -> list[MessageRecord]:
        now = time.monotonic()
        self._open |= {entry.reference: (entry, now) for entry in self._new_entries()}
        records = self._history.of_entries([entry for entry, _ in self._open.values()])
        return [record for record in records if self._is_due(record, now)]

    def _is_due(self, record: MessageRecord, now: float) -> bool:
        """Return whether to return a message now, and whether it stays open."""
        reference, waits = record.reference, now - self._open[record.reference][1]
        is_late = record.outcome == Outcome.LATE and record.late_reply is None and not record.causes
        if reference in self._late:
            if is_late and waits < LATE_TIMEOUT:
                return False
            self._late.discard(reference)
        elif record.outcome is None and not record.is_outbound and waits < ANSWER_TIMEOUT:
            return False
        elif is_late and self._late_replies:
            self._late.add(reference)
            return True
        del self._open[reference]
        return record.received is not None
