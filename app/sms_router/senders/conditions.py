"""What holds for the senders at one moment, for every recipient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class SenderConditions:
    """What speaks against senders now, in words a person can read, and when each was last used.

    By the sender's sid, since two short codes may share their digits (facts 9.1); by the address for
    numbers that no pool knows.
    """

    cordoned: Mapping[str, str] = field(default_factory=dict)
    """Taken out of use by an operator."""
    capped: Mapping[str, str] = field(default_factory=dict)
    """Have sent what they may in a day."""
    over_rate: Mapping[str, str] = field(default_factory=dict)
    """Have sent what they may in a second. More would wait in Twilio's queue (facts 5.4)."""
    used: Mapping[str, float] = field(default_factory=dict)
    """Seconds, by one clock, when each last sent; only the order matters."""
    pending: Mapping[str, str] = field(default_factory=dict)
    """On their way in: a port, a lease, a migration."""

    def objection(self, sender: str) -> str | None:
        """Say what speaks against a sender, None when nothing does."""
        return (
            self.cordoned.get(sender)
            or self.pending.get(sender)
            or self.capped.get(sender)
            or self.over_rate.get(sender)
        )

    def whatever_the_rate(self) -> SenderConditions:
        """Return the same without the rates."""
        return replace(self, over_rate={})

    def as_if_live(self, sender: str) -> SenderConditions:
        """Return the same without what is pending about one sender."""
        return replace(self, pending={sid: words for sid, words in self.pending.items() if sid != sender})


NO_CONDITIONS = SenderConditions()
