"""How much of what each number sends is lost, and why: what an operator has to be told (design 7).

Shares, not counts: a number that sends much loses much. Nothing is concluded about people from it. The
receipts of all workers count (`sms_router.membership.sync.failure_sync`).
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

log = logging.getLogger("sms_router.senders")

_PARTS = 20
"""Parts of a window; a receipt is forgotten with its part."""

_MOST_WATCHED = 20_000
"""Numbers that are watched at once; more than that are not all ours."""

_MOST_NEWS = 1000

Seen = Counter[tuple[str, str | None]]
"""Receipts by number and class of the error; None for what arrived."""


@dataclass(frozen=True, slots=True)
class WarningRule:
    """When a number's failures are worth a warning. It ends when the share is below half of this."""

    share: float
    """Of all receipts in the window, those that tell of a failure of one class; 0 to 1."""
    at_least: int
    """Receipts in the window; fewer say nothing."""
    window: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Failing:
    """One number that loses too much for one reason."""

    sender: str
    fault: str
    """The class of the errors, as in the error table."""
    lost: int
    receipts: int
    window: float
    """Seconds."""

    @property
    def share(self) -> float:
        """How much of it is lost, 0 to 1."""
        return self.lost / self.receipts if self.receipts else 0.0

    def __str__(self) -> str:
        """Say it: ``12345 loses 40% of what it sends (class sender): 12 of 30 in the last 600 s``."""
        return (
            f"{self.sender} loses {self.share:.0%} of what it sends (class {self.fault}):"
            f" {self.lost} of {self.receipts} in the last {self.window:g} s"
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """A warning that begins or is over."""

    begins: bool
    of: Failing

    def log(self) -> None:
        """Say it."""
        if self.begins:
            log.warning("%s", self.of)
        else:
            log.info("%s no longer loses too much (class %s)", self.of.sender, self.of.fault)


@dataclass(slots=True)
class _Window:
    """The receipts of one number, in parts by time; None counts all of them."""

    parts: deque[tuple[int, Counter[str | None]]] = field(default_factory=deque)
    total: Counter[str | None] = field(default_factory=Counter)

    def add(self, part: int, fault: str | None, count: int) -> None:
        if not self.parts or self.parts[-1][0] < part:
            self.parts.append((part, Counter()))
        for counted in (self.parts[-1][1], self.total):
            counted[None] += count
            if fault is not None:
                counted[fault] += count

    def forget(self, before: int) -> None:
        while self.parts and self.parts[0][0] < before:
            self.total -= self.parts.popleft()[1]


class FailureMonitor:
    """Watches what receipts tell of each number; one in each worker."""

    def __init__(self, rule: WarningRule, clock: Callable[[], float]) -> None:
        """``clock`` measures time, in seconds; best one that nobody sets."""
        self.rule = rule
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._warned: dict[tuple[str, str], None] = {}
        self._untold: Seen = Counter()
        self._news: deque[Alert] = deque(maxlen=_MOST_NEWS)

    def record(self, sender: str, fault: str | None) -> None:
        """Count a receipt of a number: with the class of the error, or None for one that arrived."""
        if len(self._untold) < _MOST_WATCHED:
            self._untold[sender, fault] += 1
        self._add(sender, fault, 1)

    def learn(self, seen: Seen) -> None:
        """Count what other workers have seen."""
        for (sender, fault), count in seen.items():
            self._add(sender, fault, count)

    def take_untold(self) -> Seen:
        """Take what this worker has seen and not told to the others yet."""
        taken, self._untold = self._untold, Counter()
        return taken

    def give_back(self, taken: Seen) -> None:
        """Keep for later what could not be told."""
        self._untold.update(taken)

    def drain_alerts(self) -> list[Alert]:
        """Take which warnings have begun or are over."""
        news = list(self._news)
        self._news.clear()
        return news

    def _add(self, sender: str, fault: str | None, count: int) -> None:
        part = self._part()
        window = self._windows.get(sender)
        if window is None:
            if len(self._windows) >= _MOST_WATCHED:
                return
            window = self._windows[sender] = _Window()
        window.forget(part - _PARTS + 1)
        window.add(part, fault, count)

    def look(self) -> None:
        """Forget what is past, and find what begins and what is over; called about once a second."""
        before = self._part() - _PARTS + 1
        for sender in list(self._windows):
            window = self._windows[sender]
            window.forget(before)
            if not window.parts:
                del self._windows[sender]
        told = [(each.sender, each.fault) for each in self.shares()]
        for sender, fault in dict.fromkeys([*self._warned, *told]):
            self._judge(self._figures(sender, fault))

    def failing(self) -> list[Failing]:
        """Return what is warned of now."""
        return [self._figures(sender, fault) for sender, fault in self._warned]

    def shares(self) -> Iterator[Failing]:
        """Yield the figures of every number that has lost anything in its window."""
        for sender, window in self._windows.items():
            yield from self._of(sender, window)

    def _of(self, sender: str, window: _Window) -> list[Failing]:
        return [self._figures(sender, fault) for fault in window.total if fault is not None]

    def _figures(self, sender: str, fault: str) -> Failing:
        window = self._windows.get(sender)
        total: Counter[str | None] = window.total if window is not None else Counter()
        return Failing(sender, fault, total[fault], total[None], self.rule.window)

    def _judge(self, now: Failing) -> None:
        key = (now.sender, now.fault)
        if key not in self._warned:
            if now.receipts >= self.rule.at_least and now.share >= self.rule.share:
                self._warned[key] = None
                self._news.append(Alert(begins=True, of=now))
        elif now.share < self.rule.share / 2:
            del self._warned[key]
            self._news.append(Alert(begins=False, of=now))

    def _part(self) -> int:
        return int(self._clock() * _PARTS / self.rule.window)
