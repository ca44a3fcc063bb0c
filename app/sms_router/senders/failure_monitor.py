"""The share of failed messages of each sender, and alerts when it is too high.

Shares, not counts: a number that sends much has many failures. Nothing is concluded about contacts from
them. The receipts of all workers count (`sms_router.membership.sync.failure_sync`).
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from sms_router.toml import StrictModel

log = logging.getLogger("sms_router.senders")

BUCKETS = 20
"""Parts of the window; receipts leave the window one bucket at a time."""

MAX_SENDERS = 20_000
MAX_ALERTS = 1000

ReceiptCounts = Counter[tuple[str, str | None]]
"""Receipts by sender and class of the error; None for delivered ones."""


class WarningRule(StrictModel):
    """``[failures]``: when to warn of a sender. The warning ends below half of ``share``."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of receipts that report a failure of one class, 0 to 1."""
    at_least: Annotated[int, Field(ge=1)] = 20
    """Receipts within the window; with fewer there is no warning."""
    window: Annotated[float, Field(ge=10, le=86_400)] = 600
    """Seconds."""


@dataclass(frozen=True, slots=True)
class FailingSender:
    """A sender's failures of one class within the window."""

    sender: str
    error_class: str
    """As in the error table (`error_table.ErrorClass`)."""
    failed: int
    receipts: int
    window: float
    """Seconds."""

    @property
    def share(self) -> float:
        return self.failed / self.receipts if self.receipts else 0.0

    def __str__(self) -> str:
        """``12345: 40% of its messages fail (error class sender): 12 of 30 in the last 600 s``."""
        return (
            f"{self.sender}: {self.share:.0%} of its messages fail (error class {self.error_class}):"
            f" {self.failed} of {self.receipts} in the last {self.window:g} s"
        )


@dataclass(frozen=True, slots=True)
class FailureAlert:
    """The begin or the end of a warning."""

    begins: bool
    failing: FailingSender

    def log(self) -> None:
        if self.begins:
            log.warning("%s", self.failing)
        else:
            log.info(
                "%s no longer fails too often (error class %s)",
                self.failing.sender,
                self.failing.error_class,
            )


@dataclass(slots=True)
class _ReceiptWindow:
    """The receipts of one sender by bucket, counted by error class; None counts all of them."""

    buckets: deque[tuple[int, Counter[str | None]]] = field(default_factory=deque)
    total: Counter[str | None] = field(default_factory=Counter)

    def add(self, bucket: int, error_class: str | None, count: int) -> None:
        if not self.buckets or self.buckets[-1][0] < bucket:
            self.buckets.append((bucket, Counter()))
        for counts in (self.buckets[-1][1], self.total):
            counts[None] += count
            if error_class is not None:
                counts[error_class] += count

    def remove_before(self, bucket: int) -> None:
        while self.buckets and self.buckets[0][0] < bucket:
            self.total -= self.buckets.popleft()[1]


@dataclass(eq=False, slots=True)
class FailureMonitor:
    """Counts the receipts of each sender; one in each worker."""

    rule: WarningRule
    clock: Callable[[], float]
    """Returns the seconds of a monotonic clock."""
    _windows: dict[str, _ReceiptWindow] = field(default_factory=dict, init=False)
    _warned: dict[tuple[str, str], None] = field(default_factory=dict, init=False)
    _unreported: ReceiptCounts = field(default_factory=Counter, init=False)
    _alerts: deque[FailureAlert] = field(default_factory=lambda: deque(maxlen=MAX_ALERTS), init=False)

    def record(self, sender: str, error_class: str | None) -> None:
        """Count one receipt; ``error_class`` is None for a delivered message."""
        if len(self._unreported) < MAX_SENDERS:
            self._unreported[sender, error_class] += 1
        self._add(sender, error_class, 1)

    def merge(self, counts: ReceiptCounts) -> None:
        """Count the receipts of another worker."""
        for (sender, error_class), count in counts.items():
            self._add(sender, error_class, count)

    def drain(self) -> ReceiptCounts:
        """Remove and return what this worker has not reported to the others yet."""
        drained, self._unreported = self._unreported, Counter()
        return drained

    def restore(self, drained: ReceiptCounts) -> None:
        """Put drained counts back, after they could not be reported."""
        self._unreported.update(drained)

    def drain_alerts(self) -> list[FailureAlert]:
        alerts = list(self._alerts)
        self._alerts.clear()
        return alerts

    def update(self) -> None:
        """Remove old receipts, and begin and end warnings; called about once a second."""
        oldest = self._bucket() - BUCKETS + 1
        for sender in list(self._windows):
            window = self._windows[sender]
            window.remove_before(oldest)
            if not window.buckets:
                del self._windows[sender]
        failing = [(figures.sender, figures.error_class) for figures in self.shares()]
        for key in dict.fromkeys([*self._warned, *failing]):
            self._judge(self._figures(*key))

    def failing(self) -> list[FailingSender]:
        return [self._figures(*key) for key in self._warned]

    def shares(self) -> Iterator[FailingSender]:
        """Yield the figures of every sender and class with a failure in the window."""
        for sender, window in self._windows.items():
            for error_class in window.total:
                if error_class is not None:
                    yield self._figures(sender, error_class)

    def _add(self, sender: str, error_class: str | None, count: int) -> None:
        bucket = self._bucket()
        window = self._windows.get(sender)
        if window is None:
            if len(self._windows) >= MAX_SENDERS:
                return
            window = self._windows[sender] = _ReceiptWindow()
        window.remove_before(bucket - BUCKETS + 1)
        window.add(bucket, error_class, count)

    def _figures(self, sender: str, error_class: str) -> FailingSender:
        window = self._windows.get(sender)
        total: Counter[str | None] = window.total if window is not None else Counter()
        return FailingSender(sender, error_class, total[error_class], total[None], self.rule.window)

    def _judge(self, failing: FailingSender) -> None:
        key = (failing.sender, failing.error_class)
        if key not in self._warned:
            if failing.receipts >= self.rule.at_least and failing.share >= self.rule.share:
                self._warned[key] = None
                self._alerts.append(FailureAlert(begins=True, failing=failing))
        elif failing.share < self.rule.share / 2:
            del self._warned[key]
            self._alerts.append(FailureAlert(begins=False, failing=failing))

    def _bucket(self) -> int:
        return int(self.clock() * BUCKETS / self.rule.window)
