"""Numbers on their way to the account: port-in requests, how far each number is, how it comes (facts 9.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.numbers import Capabilities, Number, NumberKind, country_of, kind_of


class PortStatus(Enum):
    """How far one number is; the values are Twilio's."""

    IN_REVIEW = "in_review"
    WAITING_FOR_SIGNATURE = "waiting_for_signature"
    SUBMITTED = "port_submitted"
    REJECTED = "port_rejected"
    PENDING = "port_pending"
    CANCELED = "canceled"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class PortingNumber:
    """One number of a port-in request."""

    sid: str
    address: str
    status: PortStatus = PortStatus.IN_REVIEW
    port_date: datetime | None = None
    reason: str | None = None
    """Why the losing carrier rejected it."""


@dataclass(frozen=True, slots=True)
class PortIn:
    """One port-in request."""

    sid: str
    created: datetime
    numbers: tuple[PortingNumber, ...]

    @property
    def status(self) -> str:
        """What Twilio says of the whole of it, in the words of the request."""
        there = {number.status for number in self.numbers}
        if PortStatus.REJECTED in there:
            return "Action Required"
        return next(words for status, words in _WORDS if status in there)


_WORDS = (
    (PortStatus.IN_REVIEW, "In review"),
    (PortStatus.WAITING_FOR_SIGNATURE, "Waiting for Signature"),
    (PortStatus.SUBMITTED, "In progress"),
    (PortStatus.PENDING, "In progress"),
    (PortStatus.COMPLETED, "Completed"),
    (PortStatus.CANCELED, "Canceled"),
)
"""The number that is least far speaks for all. INFERENCE: Twilio does not say how it comes about."""


@dataclass(frozen=True, slots=True)
class PortabilityAnswer:
    """Whether a number can be ported by the API."""

    portable: bool
    reason: str | None = None
    """Why not."""
    pin_required: bool = False
    """True when the losing carrier wants the PIN and the account number."""


class Ports:
    """The port-in requests of the account, and which numbers could be asked for."""

    def __init__(self, account: Account, identifiers: Identifiers, clock: Clock) -> None:
        """Begin with none."""
        self._account = account
        self._identifiers = identifiers
        self._clock = clock
        self._requests: dict[str, PortIn] = {}
        self._portability: dict[str, PortabilityAnswer] = {}

    @property
    def requests(self) -> Iterable[PortIn]:
        """All requests, oldest first."""
        return self._requests.values()

    def find(self, sid: str) -> PortIn | None:
        """Return the request with this sid."""
        return self._requests.get(sid)

    def open(self, addresses: Iterable[str]) -> PortIn:
        """Ask for some numbers."""
        numbers = tuple(PortingNumber(self._identifiers.sid("PU"), address) for address in addresses)
        port = PortIn(self._identifiers.sid("KW"), self._clock.now(), numbers)
        self._requests[port.sid] = port
        return port

    def portability(self, address: str) -> PortabilityAnswer:
        """Tell whether a number can be ported: what was set, else landline and mobile ones of the US."""
        if address in self._portability:
            return self._portability[address]
        number = self._account.number_at(address)
        if number is not None and not number.porting:
            return PortabilityAnswer(portable=False, reason="The number is on this account already")
        if kind_of(address) is NumberKind.TOLL_FREE:
            return PortabilityAnswer(portable=False, reason="Toll-free numbers are not ported by the API")
        if country_of(address) != "US":
            return PortabilityAnswer(portable=False, reason="The API ports numbers of the US only")
        return PortabilityAnswer(portable=True)

    def declare(self, address: str, portability: PortabilityAnswer) -> None:
        """Set whether a number can be ported."""
        self._portability[address] = portability

    def move(
        self,
        port: PortIn,
        addresses: Iterable[str],
        status: PortStatus,
        port_date: datetime | None = None,
        reason: str | None = None,
    ) -> PortIn:
        """Let some numbers of a request come so far.

        A number is on the account from the losing carrier's yes on, so that it can be put into a Service
        before its day (INFERENCE); what is sent from it before it is ported is refused with 21659.
        """
        chosen = set(addresses)
        moved = tuple(
            replace(number, status=status, port_date=port_date or number.port_date, reason=reason)
            if number.address in chosen
            else number
            for number in port.numbers
        )
        for number in moved:
            if number.address in chosen:
                self._settle(number)
        self._requests[port.sid] = replace(port, numbers=moved)
        return self._requests[port.sid]

    def _settle(self, port: PortingNumber) -> None:
        number = self._account.number_at(port.address)
        if port.status in {PortStatus.PENDING, PortStatus.COMPLETED}:
            number = number or self._new_number(port.address)
            self._account.save_number(replace(number, porting=port.status is PortStatus.PENDING))
        elif number is not None and number.porting:
            self._account.remove_number(number.sid)

    def _new_number(self, address: str) -> Number:
        now = self._clock.now()
        able = Capabilities(sms=True, mms=True, voice=True)
        sid = self._identifiers.sid("PN")
        return Number(sid, address, country_of(address), able, address, created=now, updated=now)
