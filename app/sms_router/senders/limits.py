"""What each sender may send, as configured: by kind, and number by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sms_router.senders.models import Sender, SenderKind


@dataclass(frozen=True, slots=True)
class SenderLimit:
    """The limits of one sender, in segments: what Twilio's MPS and the carriers' caps count (facts 5.4)."""

    per_second: float | None = None
    per_day: int | None = None

    @property
    def burst(self) -> float:
        """Seconds of work that a sender may have ahead of it and still take one segment more in a second."""
        return max(0.0, 1.0 - 1.0 / self.per_second) if self.per_second else 0.0

    def rate_in_words(self) -> str:
        """Say what is against a sender over its rate."""
        return f"over its rate: {self.per_second:g} a second"

    def cap_in_words(self) -> str:
        """Say what is against a sender that has had its day."""
        return f"has sent its {self.per_day} of today"


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits. What is said of a number goes before what is said of its kind, each on its own."""

    by_kind: Mapping[SenderKind, SenderLimit] = field(default_factory=dict)
    by_number: Mapping[str, SenderLimit] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything is limited."""
        return bool(self.by_kind or self.by_number)

    def of(self, sender: Sender) -> SenderLimit | None:
        """Return the limit of a sender, None when it has none."""
        own, kind = self.by_number.get(sender.address), self.by_kind.get(sender.kind)
        if own is None or kind is None:
            return own or kind
        return SenderLimit(own.per_second or kind.per_second, own.per_day or kind.per_day)
