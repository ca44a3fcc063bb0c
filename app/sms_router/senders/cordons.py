"""Cordons: senders that an operator has taken out of use, with the reason and the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

MAX_REASON_LENGTH = 200
"""Characters; the reason is shown in every trail."""


@dataclass(frozen=True, slots=True)
class Cordon:
    """One sender out of use. Times are in seconds since the epoch."""

    sid: str
    address: str
    service_sid: str
    reason: str
    since: float
    until: float | None = None
    """None: until it is released."""
    who: str = ""
    """The operator, by the operating system's user name."""

    def is_active(self, now: float) -> bool:
        # ``since`` is not compared: a machine whose clock is behind applies a new cordon at once.
        return self.until is None or now < self.until

    def describe(self, now: float) -> str:
        """Return it as the trail shows it: ``cordoned until 14:05 UTC: carrier incident``."""
        if self.until is None:
            return f"cordoned until it is released: {self.reason}"
        end, today = datetime.fromtimestamp(self.until, UTC), datetime.fromtimestamp(now, UTC).date()
        format_ = "%H:%M" if end.date() == today else "%Y-%m-%d %H:%M"
        return f"cordoned until {end:{format_}} UTC: {self.reason}"


def parse_reason(text: str) -> str:
    """Return a reason as one line.

    Raises:
        ValueError: when it is empty or too long.

    """
    reason = " ".join(text.split())
    if not reason or len(reason) > MAX_REASON_LENGTH:
        raise ValueError(f"a reason has 1 to {MAX_REASON_LENGTH} characters; it is shown in every trail")
    return reason


def cordon_reasons(cordons: Iterable[Cordon], now: float) -> dict[str, str]:
    """Return the reasons of the active cordons, by sid and by address (see `SenderConditions`)."""
    active = [cordon for cordon in cordons if cordon.is_active(now)]
    return {key: cordon.describe(now) for cordon in active for key in (cordon.sid, cordon.address)}


@dataclass(eq=False, slots=True)
class Cordons:
    """One worker's copy of the cordons; they end on time while Redis is away."""

    clock: Callable[[], float]
    """Returns the seconds since the epoch."""
    installed: tuple[Cordon, ...] = field(default=(), init=False)
    """All of them, those that have ended too."""
    _reasons: Mapping[str, str] = field(default_factory=dict, init=False)
    _next_end: float = field(default=inf, init=False)

    @property
    def active(self) -> tuple[Cordon, ...]:
        now = self.clock()
        return tuple(cordon for cordon in self.installed if cordon.is_active(now))

    def notices(self) -> list[str]:
        now = self.clock()
        return [f"{cordon.address} is {cordon.describe(now)}" for cordon in self.active]

    def install(self, cordons: Iterable[Cordon]) -> None:
        self.installed = tuple(cordons)
        self._update()

    def recheck(self) -> None:
        """Find the active cordons again, because the clock may have been set; called once a second."""
        if self.installed:
            self._update()

    def reasons(self) -> Mapping[str, str]:
        """Return why senders are out of use now, by sid and by address."""
        if self._reasons and self.clock() >= self._next_end:
            self._update()
        return self._reasons

    def _update(self) -> None:
        self._reasons = cordon_reasons(self.installed, self.clock())
        self._next_end = min(
            (cordon.until for cordon in self.active if cordon.until is not None), default=inf
        )
