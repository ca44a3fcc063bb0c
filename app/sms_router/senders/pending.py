"""Numbers that are not live yet: skipped, except for a reply to a contact who texted one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sms_router.senders.models import SenderKind
from sms_router.senders.pool import Pool

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PendingNumber:
    """One number that is not live yet."""

    address: str
    country: str
    reason: str
    """Why it is skipped, for the trail."""
    gradual: bool = False
    """True for a short code that moves carrier by carrier: one message to it proves nothing for others."""


@dataclass(eq=False, slots=True)
class PendingNumbers:
    """One worker's copy of the pending numbers; without any it costs nothing."""

    pools: Callable[[], Mapping[str, Pool]]
    """Returns the pools, in a mapping that is replaced as a whole when one of them changes."""
    clock: Callable[[], float]
    """Returns the seconds since the epoch."""
    numbers: Mapping[str, PendingNumber] = field(default_factory=dict, init=False)
    """By address."""
    first_texted: dict[str, float] = field(default_factory=dict, init=False)
    """When each number first received a message through Twilio, of which this worker has a record."""
    _reasons_for: Mapping[str, Pool] | None = field(default=None, init=False)
    _reasons: Mapping[str, str] = field(default_factory=lambda: _NONE, init=False)

    def install(
        self, numbers: Iterable[PendingNumber], first_texted: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Replace the numbers; what this worker has seen is kept while its number is pending."""
        self.numbers = {number.address: number for number in numbers}
        known = {**self.first_texted, **first_texted}
        self.first_texted = {address: at for address, at in known.items() if address in self.numbers}
        self._reasons_for = None

    def reasons(self, texted: str = "") -> Mapping[str, str]:
        """Return why senders are skipped, by sid; ``texted`` is the number that received the message."""
        if not self.numbers:
            return _NONE
        if texted in self.numbers and texted not in self.first_texted:
            self.first_texted[texted] = self.clock()
        pools = self.pools()
        if pools is not self._reasons_for:
            self._reasons_for = pools
            self._reasons = pending_reasons(self.numbers.values(), pools.values())
        return self._reasons

    def notices(self) -> list[str]:
        """Return a sentence for each number that receives messages and is still marked as pending."""
        return [
            live_notice(address) for address in sorted(self.first_texted) if not self.numbers[address].gradual
        ]


def pending_reasons(numbers: Iterable[PendingNumber], pools: Iterable[Pool]) -> Mapping[str, str]:
    """Return why the senders of some pools are skipped, by sid."""
    pools = tuple(pools)
    reasons = {}
    for number in numbers:
        for pool in pools:
            sender = pool.find(number.address, number.country)
            if sender is None or (sender.kind is SenderKind.SHORT_CODE and sender.country != number.country):
                continue
            reasons[sender.sid] = number.reason
    return reasons


def live_notice(address: str) -> str:
    """Return the notice for a pending number that receives messages, with the command that ends it."""
    return (
        f"{address} received a message through Twilio, so it is live, but it is still marked as pending:"
        f" sms-router onboarding done {address} live"
    )
