"""Senders that an operator has taken out of use for a while, with the reason and the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

LONGEST_REASON = 200
"""Characters of why a sender is out of use; it is shown in every trail."""


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

    def holds(self, now: float) -> bool:
        """Tell whether it has not ended: machines whose clocks differ agree at once that it has begun."""
        return self.until is None or now < self.until

    def words(self, now: float) -> str:
        """Say it as the trail does: ``cordoned until 14:05 UTC: carrier incident``."""
        if self.until is None:
            return f"cordoned until it is released: {self.reason}"
        end, today = datetime.fromtimestamp(self.until, UTC), datetime.fromtimestamp(now, UTC).date()
        return (
            f"cordoned until {end:{'%H:%M' if end.date() == today else '%Y-%m-%d %H:%M'}} UTC: {self.reason}"
        )


def read_reason(text: str) -> str:
    """Return a reason as one line.

    Raises:
        ValueError: when it is empty or too long.

    """
    reason = " ".join(text.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise ValueError(f"a reason has 1 to {LONGEST_REASON} characters; it is shown in every trail")
    return reason


def describe(cordons: Iterable[Cordon], now: float) -> dict[str, str]:
    """Return what speaks against each sender, by its sid and by its address (see `Conditions`)."""
    holding = [each for each in cordons if each.holds(now)]
    return {key: each.words(now) for each in holding for key in (each.sid, each.address)}


class Cordons:
    """The cordons as one worker knows them; a cordon ends by itself, also while Redis is away."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is in seconds since the epoch."""
        self._clock = clock
        self._all: tuple[Cordon, ...] = ()
        self._words: Mapping[str, str] = {}
        self._until = inf

    @property
    def active(self) -> tuple[Cordon, ...]:
        """Those that hold now."""
        now = self._clock()
        return tuple(each for each in self._all if each.holds(now))

    def notices(self) -> list[str]:
        """Say which senders are out of use, and why."""
        now = self._clock()
        return [f"{each.address} is {each.words(now)}" for each in self.active]

    def install(self, cordons: Iterable[Cordon]) -> None:
        """Put what is known in place of what was."""
        self._all = tuple(cordons)
        self._renew()

    def look(self) -> None:
        """Find out anew which hold, should the clock have been set; called about once a second."""
        if self._all:
            self._renew()

    def words(self) -> Mapping[str, str]:
        """Return what speaks against each sender now; usually nothing."""
        if self._words and self._clock() >= self._until:
            self._renew()
        return self._words

    def _renew(self) -> None:
        now = self._clock()
        self._words = describe(self._all, now)
        self._until = min((each.until for each in self.active if each.until is not None), default=inf)
