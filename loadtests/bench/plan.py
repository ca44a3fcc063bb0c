"""How long and how much."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Plan:
    """The bounds of a run; each turn ends at its seconds or its messages, whichever is first."""

    rounds: int
    messages: int
    """At most so many in each of the two loads of a turn."""
    connections: int = 32
    closed_seconds: float = 5.0
    open_seconds: float = 3.0
    warmup: int = 500

    @property
    def webhooks(self) -> int:
        """How many different messages one turn can need."""
        return self.warmup + 2 * self.messages

    @property
    def shorter(self) -> Plan:
        """Return what a turn is where the router is only held against itself."""
        return replace(
            self,
            messages=min(self.messages, 10_000),
            closed_seconds=min(self.closed_seconds, 1.5),
            open_seconds=min(self.open_seconds, 1.5),
        )


FULL = Plan(rounds=3, messages=25_000)
QUICK = Plan(rounds=1, messages=6_000, closed_seconds=1.0, open_seconds=1.0, warmup=200)
