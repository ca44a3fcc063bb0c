"""The choice of a sender, with the reason for each candidate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sms_router.senders.models import Sender, SenderKind


class CandidateResult(Enum):
    """What became of one candidate; the values are the words of the trail."""

    TAKEN = "taken"
    PASSED_OVER = "passed over"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate and why it was taken or not, in words a person can read."""

    address: str
    kind: SenderKind | None
    """None for a number that was texted and about which nothing else is known."""
    outcome: CandidateResult
    reason: str
    sid: str | None = None
    """The sender's sid where it has one; two short codes may share their digits (facts 9.1)."""

    @property
    def taken(self) -> bool:
        """True for the one that the answer leaves from."""
        return self.outcome is CandidateResult.TAKEN

    def __str__(self) -> str:
        """The line of the trail: ``12345: taken: short code of US, the person's country``."""
        return f"{self.address}: {self.outcome.value}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Which number the answer leaves from, if any, and how that came about."""

    sender: Sender | None
    """None also when the pool knows nothing about the number."""
    address: str | None
    """What goes into ``from``; None when nothing may or can be sent."""
    trail: tuple[Candidate, ...]
    story: str
    """The trail as lines, for the journal."""
    per_recipient: bool = False
    """True when somebody else in this person's place may get another sender of the same rank."""

    @classmethod
    def of(
        cls,
        sender: Sender | None,
        address: str | None,
        trail: tuple[Candidate, ...],
        *,
        personal: bool = False,
    ) -> Decision:
        """Return the decision with its story told."""
        return cls(sender, address, trail, "\n".join(map(str, trail)), personal)
