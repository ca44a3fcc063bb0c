"""Numbers on their way in: not used before they are live, except to answer people who text them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sms_router.senders.models import SenderKind
from sms_router.senders.pool import Pool

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PendingNumber:
    """One number that is not live yet."""

    address: str
    country: str
    words: str
    """Why it is passed over, as the trail says it."""
    gradual: bool = False
    """True while it moves carrier by carrier: a text to it says nothing of other people."""


class PendingNumbers:
    """The numbers on their way as one worker knows them; costs nothing while there are none."""

    def __init__(self, pools: Callable[[], Mapping[str, Pool]], clock: Callable[[], float]) -> None:
        """``pools`` gives a mapping that is replaced as a whole; ``clock`` is in seconds since the epoch."""
        self._pools = pools
        self._clock = clock
        self._seen: Mapping[str, Pool] | None = None
        self._words = _NOTHING
        self.numbers: Mapping[str, PendingNumber] = {}
        """By their addresses."""
        self.texted: dict[str, float] = {}
        """When each was first texted through Twilio, as far as this worker knows."""

    def install(
        self, numbers: Iterable[PendingNumber], texted: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Put what is known in place of what was; what was texted here stays known while it is pending."""
        self.numbers = {each.address: each for each in numbers}
        known = {**self.texted, **texted}
        self.texted = {address: at for address, at in known.items() if address in self.numbers}
        self._seen = None

    def words(self, texted: str = "") -> Mapping[str, str]:
        """Return what speaks against each sender, by its sid; ``texted`` is the number of the message."""
        if not self.numbers:
            return _NOTHING
        if texted in self.numbers and texted not in self.texted:
            self.texted[texted] = self._clock()
        pools = self._pools()
        if pools is not self._seen:
            self._seen, self._words = pools, in_words(self.numbers.values(), pools.values())
        return self._words

    def notices(self) -> list[str]:
        """Say which numbers are live by all appearances, and still marked as on their way."""
        return [live_words(address) for address in sorted(self.texted) if not self.numbers[address].gradual]


def in_words(numbers: Iterable[PendingNumber], pools: Iterable[Pool]) -> Mapping[str, str]:
    """Return what speaks against the senders of some pools, by their sids."""
    pools = tuple(pools)
    words = {}
    for number in numbers:
        for pool in pools:
            sender = pool.find(number.address, number.country)
            if sender is None or (sender.kind is SenderKind.SHORT_CODE and sender.country != number.country):
                continue
            words[sender.sid] = number.words
    return words


def live_words(address: str) -> str:
    """Say that a number is live, and how to say so to the router."""
    return (
        f"{address} was texted through Twilio, so it is live, but it is still marked as on its way:"
        f" sms-router onboarding done {address} live"
    )
