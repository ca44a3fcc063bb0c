"""Numbers that are not live yet: skipped, except for a reply to a contact who texted one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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


class PendingNumbers:
    """One worker's copy of the pending numbers; without any it costs nothing.

    Args:
        pools: returns the pools, in a mapping that is replaced as a whole when one of them changes.
        clock: seconds since the epoch.

    """

    def __init__(self, pools: Callable[[], Mapping[str, Pool]], clock: Callable[[], float]) -> None:
        self._pools = pools
        self._clock = clock
        self._reasons_for: Mapping[str, Pool] | None = None
        self._reasons = _NONE
        self.numbers: Mapping[str, PendingNumber] = {}
        """By address."""
        self.first_texted: dict[str, float] = {}
        """When each number first received a message through Twilio, of which this worker has a record."""

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
            self.first_texted[texted] = self._clock()
        pools = self._pools()
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
