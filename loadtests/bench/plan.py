"""The size of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run; each load ends after its seconds or its messages, whichever is first."""

    rounds: int
    messages: int
    """At most, in each of the two loads of a measurement."""
    connections: int = 32
    closed_seconds: float = 5.0
    open_seconds: float = 3.0
    warmup: int = 500

    @property
    def webhooks(self) -> int:
        """The number of different messages of one measurement."""
        return self.warmup + 2 * self.messages

    @property
    def shorter(self) -> Plan:
        """The plan for measurements of the router alone."""
        return replace(
            self,
            messages=min(self.messages, 10_000),
            closed_seconds=min(self.closed_seconds, 1.5),
            open_seconds=min(self.open_seconds, 1.5),
        )


FULL = Plan(rounds=3, messages=25_000)
QUICK = Plan(rounds=1, messages=6_000, closed_seconds=1.0, open_seconds=1.0, warmup=200)
